"""TrackingIdGenerator: the trace of a request that came with an ID and no trace has the trace ID derived from that ID."""

from __future__ import annotations

from opentelemetry.context import get_value
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from trackline.context import ROOT_KEY, Root
from trackline.generate import new_trace_id
from trackline.identity import derive_trace_id


class TrackingIdGenerator(RandomIdGenerator):
    """
    Makes trace IDs: derived from a tracking ID that came in alone, else random.

    ``OTEL_PYTHON_ID_GENERATOR=trackline``, beside ``OTEL_PROPAGATORS=trackline,baggage``, which tells it of the ID. The SDK asks it for
    root spans only, and then the sampler, which decides as ever: the derived IDs are as evenly spread as random ones. Only the first
    root span of a request gets the derived ID. Safe in any thread.
    """

    def __init__(self) -> None:
        Root.is_asked_for = True

    def generate_trace_id(self) -> int:
        """Give a trace ID, 128 bits, never zero."""
        root = get_value(ROOT_KEY)
        if isinstance(root, Root) and not root.is_taken:
            root.is_taken = True
            return int(derive_trace_id(root.tracking_id), 16)
        return int(new_trace_id(), 16)
