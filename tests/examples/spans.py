"""An exporter for ``opentelemetry-instrument``: OTEL_TRACES_EXPORTER=files writes each span as a line of JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class FileExporter(SpanExporter):
    """Writes one file a process into TEST_SPANS."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        text = "".join(json.dumps(as_dict(span)) + "\n" for span in spans)
        with Path(os.environ["TEST_SPANS"], f"{os.getpid()}.jsonl").open("a") as file:
            file.write(text)
        return SpanExportResult.SUCCESS


def as_dict(span: ReadableSpan) -> dict[str, Any]:
    """Give what the tests look at, IDs in hex."""
    return {
        "service": span.resource.attributes["service.name"],
        "name": span.name,
        "kind": span.kind.name,
        "scope": span.instrumentation_scope.name,
        "trace_id": format_trace_id(span.context.trace_id),
        "span_id": format_span_id(span.context.span_id),
        "parent_id": format_span_id(span.parent.span_id) if span.parent else None,
        "tracking_id": (span.attributes or {}).get("tracking_id"),
    }


def announce(directory: Path) -> None:
    """Make a distribution that is nothing but the entry point; the directory is for PYTHONPATH."""
    about = directory / "fleet_spans-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fleet-spans\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[opentelemetry_traces_exporter]\nfiles = examples.spans:FileExporter\n")
