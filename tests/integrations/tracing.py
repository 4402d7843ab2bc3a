"""An SDK whose spans become log lines, so that a worker's can be read from outside."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider


class LogSpans(SpanProcessor):
    """Logs each span that ends: "span NAME", with its kind, its IDs and its parent's."""

    def on_end(self, span: ReadableSpan) -> None:
        """Log it."""
        logging.getLogger("spans").info("span %s", span.name, extra=described(span))


def described(span: ReadableSpan) -> dict[str, Any]:
    """Give a span's kind and IDs, in hex."""
    context = span.get_span_context()
    return {
        "kind": span.kind.name,
        "trace": f"{context.trace_id:032x}",
        "span": f"{context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else None,
    }


def worker_tracing() -> None:
    """Set up the SDK in a worker."""
    provider = TracerProvider()
    provider.add_span_processor(LogSpans())
    trace.set_tracer_provider(provider)
