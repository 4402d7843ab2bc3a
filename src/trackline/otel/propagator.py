"""TrackingPropagator: every client that OTel instruments passes the ID on, every consumer picks it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import baggage, trace
from opentelemetry.context import Context, get_value, set_value
from opentelemetry.propagators.textmap import CarrierT, Getter, Setter, TextMapPropagator, default_getter, default_setter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from trackline.context import IDENTITY, OTEL_KEY, ROOT_KEY, Root, get_tracking_id
from trackline.identity import BAGGAGE_KEY, claim, is_usable
from trackline.tracecontext import format_traceparent

if TYPE_CHECKING:
    from trackline.identity import Identity

# Not that of `trackline.carriers`: where OTEL_PROPAGATORS names us, `opentelemetry.propagate` imports us while that imports it.
REQUEST_ID = "X-Request-ID"
_IDENTITY_KEY = "trackline.identity"
_ID_HEADERS = (b"x-request-id",)
_NAMES = (REQUEST_ID, "traceparent", "tracestate", "baggage")


class TrackingPropagator(TextMapPropagator):
    """
    Carries ``X-Request-ID``, ``traceparent``, ``tracestate`` and the baggage entry ``tracking_id``.

    In place of ``tracecontext``: ``OTEL_PROPAGATORS=trackline,baggage``. Trace Context is read strictly by Level 2, and passed on as it
    came where there is no SDK. An ID that came without a trace makes no span and decides nothing about sampling; with
    `trackline.otel.id_generator.TrackingIdGenerator` the trace that begins there has the derived trace ID. Never raises for what is in
    a carrier; keeps nothing, so one serves any number of threads.
    """

    def extract(self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter) -> Context:
        """Give the context with what the carrier brings; what is not usable or not valid in it is as though absent."""
        context = Context() if context is None else context
        found = []
        for name in _NAMES:
            values = getter.get(carrier, name) or (getter.get(carrier, name.lower()) if name == REQUEST_ID else None)
            for value in values or ():
                sent = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
                found.append((name.lower().encode("ascii"), sent))
        identity = claim(found, _ID_HEADERS)
        if identity is None:
            return context
        context = set_value(OTEL_KEY, identity.tracking_id, context)
        context = set_value(_IDENTITY_KEY, identity, context)
        came = identity.trace_context
        if came is None:
            return set_value(ROOT_KEY, Root(identity.tracking_id), context)
        if identity.tracking_id != came.trace_id:
            # Services that pass on what is OTel's and drop X-Request-ID keep the ID by this.
            context = baggage.set_baggage(BAGGAGE_KEY, identity.tracking_id, context)
        span = SpanContext(
            trace_id=int(came.trace_id, 16),
            span_id=int(came.parent_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(came.flags),
            trace_state=TraceState.from_header([identity.tracestate]) if identity.tracestate else None,
        )
        return trace.set_span_in_context(NonRecordingSpan(span), context)

    def inject(self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter) -> None:
        """Put the ID and the trace of a context (by default, of now) into a carrier."""
        span = trace.get_current_span(context).get_span_context()
        passed_on = get_value(OTEL_KEY, context)
        tracking_id = get_tracking_id() or (passed_on if isinstance(passed_on, str) else None)
        if tracking_id is None and span.is_valid:
            tracking_id = trace.format_trace_id(span.trace_id)
        if tracking_id is not None and is_usable(tracking_id) and not _has_id(carrier):
            setter.set(carrier, REQUEST_ID, tracking_id)
        came = self._came(context)
        if span.is_valid and not (span.is_remote and came is not None and _is_of(came, span)):
            trace_id, span_id = trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)
            setter.set(carrier, "traceparent", format_traceparent(trace_id, span_id, span.trace_flags))
            if span.trace_state:
                setter.set(carrier, "tracestate", span.trace_state.to_header())
        elif came is not None and came.trace_context is not None:
            setter.set(carrier, "traceparent", came.trace_context.header)
            if came.tracestate is not None:
                setter.set(carrier, "tracestate", came.tracestate)

    @property
    def fields(self) -> set[str]:
        """The names that `inject` may set."""
        return {REQUEST_ID, "traceparent", "tracestate"}

    @staticmethod
    def _came(context: Context | None) -> Identity | None:
        """Give what the caller of this request, or the sender of this message, has sent."""
        kept = get_value(_IDENTITY_KEY, context)
        identity: Identity | None = IDENTITY.get() if kept is None else kept  # type: ignore[assignment]
        return identity if identity is not None and identity.trace_context is not None else None


def _has_id(carrier: object) -> bool:
    """Say whether somebody has put an X-Request-ID there already: it stays. Carriers need not be containers."""
    try:
        return REQUEST_ID in carrier or REQUEST_ID.lower() in carrier  # type: ignore[operator]
    except TypeError:
        return False


def _is_of(identity: Identity, span: SpanContext) -> bool:
    came = identity.trace_context
    return came is not None and came.trace_id == trace.format_trace_id(span.trace_id)
