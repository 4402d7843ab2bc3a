"""inject and extract: the tracking ID and the trace through anything that carries text by name, such as a message's headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import propagate
from opentelemetry.context import attach, detach
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import INVALID_SPAN, format_trace_id, get_current_span

from trackline.context import IDENTITY, TRACKING_ID, get_identity
from trackline.identity import Identity, identify, is_usable

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    Carrier = Mapping[Any, Any] | Iterable[tuple[Any, Any]]

REQUEST_ID = "X-Request-ID"
_ID_HEADERS = (b"x-request-id",)
_MAX_VALUE = 16 * 1024


def inject(carrier: MutableMapping[str, Any]) -> None:
    """
    Put the tracking ID and the trace of now into a carrier: ``X-Request-ID``, ``traceparent``, and what else belongs to it.

    With a current span, OTel's propagators write its trace context. Without one, what the caller of this request sent goes on as it
    came, and none is made up: its sampled flag would decide for everyone downstream. What the carrier has already, in any case, stays.
    Outside of a request it does nothing. Never raises for what is in the carrier.

        inject(message.headers)
    """
    identity = get_identity()
    span = get_current_span().get_span_context()
    if identity is not None:
        tracking_id = identity.tracking_id
    elif span.is_valid:
        tracking_id = format_trace_id(span.trace_id)
    else:
        return
    present = {_text(name).lower() for name in carrier}
    if "x-request-id" not in present and is_usable(tracking_id):
        carrier[REQUEST_ID] = tracking_id
    if "traceparent" in present:
        return
    came = identity.trace_context if identity is not None else None
    # A remote span is the caller's own, which somebody without an SDK has made current: verbatim says more than a version 00 of it.
    if span.is_valid and not (span.is_remote and came is not None and came.trace_id == format_trace_id(span.trace_id)):
        propagate.inject(carrier, setter=_Adding(present))
    elif came is not None and identity is not None:
        carrier["traceparent"] = came.header
        if "tracestate" not in present and (tracestate := identity.tracestate) is not None:
            carrier["tracestate"] = tracestate


class _Adding(Setter[MutableMapping[str, Any]]):
    """Adds what is not there in any case: TrackingPropagator, set up globally, has an X-Request-ID of its own to set."""

    def __init__(self, present: set[str]) -> None:
        self._present = present

    def set(self, carrier: MutableMapping[str, Any], key: str, value: str) -> None:
        if key.lower() not in self._present:
            carrier[key] = value


class extract:  # noqa: N801  (it is used like a function)
    """
    Run a block under the tracking ID and the trace that a carrier brings; yields the tracking ID, a new one where none came.

    A carrier is a mapping, or pairs as Kafka's clients have them; names in any case, values text or bytes. What is not usable or not
    valid in it is as though absent. A span that starts inside becomes the child of the sender's.

        with extract(message.headers) as tracking_id: ...

    Where somebody else's instrumentation begins a span for the message, ``keep_span`` leaves it and all of OTel's Context alone:
    "always", or only where a span of the "same trace" as the carrier's is current already.

    For one thread or task; make a new one for each message.
    """

    __slots__ = ("_context", "_identity", "_tokens")

    def __init__(self, carrier: Carrier, *, keep_span: Literal["never", "same trace", "always"] = "never") -> None:
        found = _read(carrier)
        claimed = identify(found, _ID_HEADERS)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in found}
        if claimed.trace_context is None:  # strictly: OTel's own parser is lenient
            headers.pop("traceparent", None)
        self._context: Context | None = propagate.extract(headers)
        span = get_current_span(self._context)
        if span is not INVALID_SPAN and claimed.trace_context is None and (context := span.get_span_context()).is_valid:
            claimed = identify(found, _ID_HEADERS, format_trace_id(context.trace_id))  # another format than W3C's (b3, jaeger)
        if keep_span != "never":
            begun = get_current_span().get_span_context()
            trace_id = format_trace_id(begun.trace_id) if begun.is_valid and not begun.is_remote else None
            if keep_span == "always" or claimed.trace_id == trace_id:
                # Not even attached as it is: whoever attached it may detach it before us.
                self._context = None
                claimed = identify(found, _ID_HEADERS, trace_id)
        self._identity = claimed
        self._tokens: tuple[Token[str | None], Token[Identity | None], Token[Context] | None] | None = None

    def __enter__(self) -> str:
        tracking_id = self._identity.tracking_id
        context = attach(self._context) if self._context is not None else None
        self._tokens = TRACKING_ID.set(tracking_id), IDENTITY.set(self._identity), context
        return tracking_id

    def __exit__(self, *exc_info: object) -> None:
        if self._tokens is not None:
            tracking, identity, context = self._tokens
            self._tokens = None
            if context is not None:
                detach(context)
            IDENTITY.reset(identity)
            TRACKING_ID.reset(tracking)


def _read(carrier: Carrier) -> list[tuple[bytes, bytes]]:
    """Give the pairs of a carrier, names in lower case; what cannot be a header's value is left out."""
    pairs = carrier.items() if isinstance(carrier, Mapping) else carrier
    found = []
    for name, values in pairs:
        for value in values if isinstance(values, list | tuple) else (values,):
            if isinstance(value, str | bytes) and len(value) <= _MAX_VALUE:
                sent = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
                found.append((_text(name).lower().encode("utf-8", "replace"), sent))
    return found


def _text(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)
