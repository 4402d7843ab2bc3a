"""The applications under OpenTelemetry's SDK: each way to have a server span, and an exporter which writes spans into a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware

import trackline
from servers.apps import SEEING, handle_any, is_partner, make_app, make_starlette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPANS = Path(os.environ["TEST_DIRECTORY"], "spans.jsonl")

TRUSTS: dict[str, Any] = {
    "nobody": "none",
    "elsewhere": ["10.0.0.0/8", "fd00::/8"],
    "here": ["127.0.0.0/8"],
    "partners": is_partner,
}


class FileExporter(SpanExporter):
    """Writes each span as a line of JSON."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with SPANS.open("a") as file:
            for span in spans:
                file.write(json.dumps(as_dict(span)) + "\n")
        return SpanExportResult.SUCCESS


def as_dict(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "scope": span.instrumentation_scope.name,
        "trace_id": format_trace_id(span.context.trace_id),
        "span_id": format_span_id(span.context.span_id),
        "parent_id": format_span_id(span.parent.span_id) if span.parent else None,
        "attributes": dict(span.attributes or {}),
        "links": [
            {
                "trace_id": format_trace_id(link.context.trace_id),
                "span_id": format_span_id(link.context.span_id),
                "attributes": dict(link.attributes or {}),
            }
            for link in span.links
        ],
    }


def set_up(telemetry: str) -> None:
    """Set the SDK up, unless ``opentelemetry-instrument`` has."""
    if telemetry == "instrument":
        provider = trace.get_tracer_provider()
    else:
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
        if telemetry == "configured":
            from trackline.otel import configure

            configure()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter()))


def make_contrib_before(name: str, **options: Any) -> Any:
    app = make_app(name, install=False)
    FastAPIInstrumentor.instrument_app(app)
    trackline.install(app, **options)
    return app


def make_contrib_after(name: str, **options: Any) -> Any:
    app = make_app(name, **options)
    FastAPIInstrumentor.instrument_app(app)
    return app


def make_starlette_traced(name: str, **options: Any) -> Any:
    return make_starlette(name, (Middleware(OpenTelemetryMiddleware), *SEEING), **options)


def make_contrib_after_debug(name: str) -> Any:
    app = make_app(name, debug=True)
    FastAPIInstrumentor.instrument_app(app)
    return app


def make_contrib_after_handled(name: str) -> Any:
    app = make_app(name)
    FastAPIInstrumentor.instrument_app(app)
    app.add_exception_handler(Exception, handle_any)
    return app


MAKERS: dict[str, Callable[..., Any]] = {
    "native": make_app,
    "contrib-before": make_contrib_before,
    "contrib-after": make_contrib_after,
    "starlette": make_starlette_traced,
}


def make_apps(telemetry: str) -> dict[str, Any]:
    """Make each application, and each with each kind of trust."""
    set_up(telemetry)
    apps = {name: make(name) for name, make in MAKERS.items()}
    if telemetry == "sdk":
        apps["debug"] = make_contrib_after_debug("debug")
        apps["handled"] = make_contrib_after_handled("handled")
        apps |= {
            f"{name}-{kind}": make(f"{name}-{kind}", trust=trust) for name, make in MAKERS.items() for kind, trust in TRUSTS.items()
        }
    return apps
