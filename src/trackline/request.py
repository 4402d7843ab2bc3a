"""What a request's scope says: the identity read from it, and the tracking ID written back into it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.context import Context, get_current
from opentelemetry.trace import INVALID_SPAN, SpanContext, TraceFlags, set_span_in_context

from trackline.generate import looks_like_uuid, new_trace_id
from trackline.identity import TRACE_HEADERS, Identity, claim, identify, is_usable

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

    from trackline._asgi import Scope
    from trackline.config import TrackingSettings

    Header = tuple[bytes, bytes]
    Found = tuple[Header, ...]

CALLER_KEY = "trackline.caller"
"""Where in the scope the headers are that a caller sent who is not trusted."""

REQUEST_ID = b"x-request-id"
_ID_ATTRIBUTE = "tracking_id"
_HEADER_ATTRIBUTE = "http.request.header.x-request-id"
# What get_current_span looks up, without its check of the type against an abstract class, which takes longer than all the rest.
_SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
_log = logging.getLogger("trackline")


class RequestReader:
    """Reads the identity of a request from its scope, and writes the tracking ID back into it."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._trusts = settings.trusts
        self._id_headers = tuple(name.lower().encode("ascii") for name in settings.id_headers)
        self._is_plain = self._id_headers == (REQUEST_ID,)
        self._other_id_headers = frozenset(self._id_headers) - {REQUEST_ID}
        self.wanted = frozenset((*self._id_headers, *TRACE_HEADERS, REQUEST_ID))

    def decide(
        self,
        scope: Scope,
        headers: list[Header],
        found: Found,
        context: Context,
    ) -> tuple[str, bytes, Identity | None]:
        """
        Decide tracking ID (as text and as a header's value) and identity of a request; the application sees one X-Request-ID, that ID.

        ``headers`` are those of the scope, ``found`` those among them that matter (`wanted`), ``context`` is OTel's. No identity (None)
        where the tracking ID says it all: it is a new trace ID, or the span's. Gives the scope a new list of headers; the scope itself
        is not copied, because what is outside of us reads from it what the router has put there (the route of a span).
        """
        span: Span = context.get(_SPAN_KEY, INVALID_SPAN)  # type: ignore[assignment]
        span_context = span.get_span_context()
        number = span_context.trace_id if span_context.is_valid else None
        claimed = None
        if self._trusts is not None and (found or CALLER_KEY in scope):
            headers, found, claimed = self._distrust(scope, headers, found)

        if found and self._is_plain:
            sent = None
            for name, value in found:
                if name == REQUEST_ID:
                    sent = value if sent is None else b""
            if sent and is_usable(sent):  # the one X-Request-ID: the request is already as the application shall see it
                tracking_id = sent.decode("ascii")
                if number is not None and span.is_recording():
                    span.set_attribute(_ID_ATTRIBUTE, tracking_id)
                    span.set_attribute(_HEADER_ATTRIBUTE, [tracking_id])
                return tracking_id, sent, Identity(tracking_id, number, found)

        identity: Identity | None
        trace_id = None if number is None else "%032x" % number  # noqa: UP031  (half of what format_trace_id takes)
        if found:
            identity = identify(found, self._id_headers, trace_id)
            tracking_id, value = identity.tracking_id, identity.tracking_id.encode("ascii")
            self._write_back(scope, headers, found, value)
        else:
            # Where the span outside of us has joined the trace of a caller who is not trusted, that ID is still the caller's.
            is_theirs = claimed is not None and claimed.trace_id == trace_id
            tracking_id = new_trace_id() if trace_id is None or is_theirs else trace_id
            # A trace ID that looks like a UUID would, as a tracking ID alone, stand for another trace (see `is_trace_id`).
            is_enough = tracking_id is trace_id and not looks_like_uuid(trace_id)
            identity = None if trace_id is None or is_enough else Identity(tracking_id, trace_id)
            value = tracking_id.encode("ascii")
            scope["headers"] = [*headers, (REQUEST_ID, value)]
        if number is not None and span.is_recording():
            _describe(span, tracking_id, claimed, found)
        return tracking_id, value, identity

    def identify(self, scope: Scope) -> tuple[str, bytes, Identity | None]:
        """Find what matters in a scope, and `decide`."""
        return self.decide(scope, *self.find(scope), get_current())

    def find(self, scope: Scope) -> tuple[list[Header], Found]:
        """Give the headers of a scope, as a list that is the scope's own from now on, and those among them that matter."""
        headers: list[Header] = scope.get("headers") or []
        if type(headers) is not list:
            headers = scope["headers"] = list(headers)  # ASGI allows any iterable, also one that can be read only once
        wanted = self.wanted
        found: Found = ()
        for header in headers:
            if header[0] in wanted:
                found = (*found, header)
        return headers, found

    def claim(self, found: Found) -> Identity | None:
        """Give the identity that a caller claims, trusted or not, or None."""
        return claim(found, self._id_headers)

    def _distrust(self, scope: Scope, headers: list[Header], found: Found) -> tuple[list[Header], Found, Identity | None]:
        """Give headers and findings without what an untrusted caller sent, and what such a caller claims."""
        if found and self._trusts is not None and not holds(self._trusts, scope, otherwise=False):
            self._hide(scope)
            headers, found = scope["headers"], ()
        hidden = scope.get(CALLER_KEY)
        return headers, found, claim(hidden, self._id_headers) if hidden else None

    def _write_back(self, scope: Scope, headers: list[Header], found: Found, value: bytes) -> None:
        """Leave one X-Request-ID, the tracking ID, and no ID header that was not usable: that is as though absent."""
        others = self._other_id_headers
        kept = [header for header in headers if header[0] != REQUEST_ID and (header[0] not in others or is_usable(header[1]))]
        scope["headers"] = [*kept, (REQUEST_ID, value)]

    def hide_untrusted(self, scope: Scope) -> None:
        """Take everything that names an ID or a trace out of a request whose caller is not trusted. Never raises."""
        if (
            self._trusts is not None
            and scope["type"] in ("http", "websocket")
            and any(header[0] in self.wanted for header in scope.get("headers") or ())
            and not holds(self._trusts, scope, otherwise=False)
        ):
            self._hide(scope)

    def _hide(self, scope: Scope) -> None:
        headers = list(scope.get("headers") or ())
        scope[CALLER_KEY] = [header for header in headers if header[0] in self.wanted]
        scope["headers"] = [header for header in headers if header[0] not in self.wanted]


def holds(question: Callable[[Scope], bool], scope: Scope, *, otherwise: bool) -> bool:
    """Ask a callable of the user's about a scope; one that raises is said in the log and does not fail the request."""
    try:
        return bool(question(scope))
    except Exception:  # noqa: BLE001  (never fail a request)
        _log.warning("%r raised for a request and counts as %r", question, otherwise, exc_info=True)
        return otherwise


def _describe(span: Span, tracking_id: str, claimed: Identity | None, found: Found) -> None:
    """Put the tracking ID on the server span, which records; what a caller claimed who is not trusted becomes a link."""
    span.set_attribute(_ID_ATTRIBUTE, tracking_id)
    sent = [value.decode("ascii") for name, value in found if name == REQUEST_ID and is_usable(value)]
    if sent:
        span.set_attribute(_HEADER_ATTRIBUTE, sent)
    if claimed is None:
        return
    came = claimed.trace_context
    if came is None:
        span.set_attribute("trackline.caller.tracking_id", claimed.tracking_id)
    else:
        flags = TraceFlags(came.flags)
        parent = SpanContext(int(came.trace_id, 16), int(came.parent_id, 16), is_remote=True, trace_flags=flags)
        span.add_link(parent, {"trackline.caller.tracking_id": claimed.tracking_id})
