"""What a request's scope says: the identity read from it, and the tracking ID written back into it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.context import get_current
from opentelemetry.trace import INVALID_SPAN, SpanContext, TraceFlags, format_trace_id, get_current_span

from trackline.generate import new_trace_id
from trackline.identity import TRACE_HEADERS, Identity, claim, identify, is_usable

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

    from trackline._asgi import Headers, Scope
    from trackline.config import TrackingSettings

    Found = tuple[tuple[bytes, bytes], ...]

CALLER_KEY = "trackline.caller"
"""Where in the scope the headers are that a caller sent who is not trusted."""

REQUEST_ID = b"x-request-id"
_log = logging.getLogger("trackline")


class RequestReader:
    """Reads the identity of a request from its scope, and writes the tracking ID back into it."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._trusts = settings.trusts
        self._id_headers = tuple(name.lower().encode("ascii") for name in settings.id_headers)
        self._is_plain = self._id_headers == (REQUEST_ID,) and settings.trusts is None
        self._other_id_headers = frozenset(self._id_headers) - {REQUEST_ID}
        self.wanted = frozenset((*self._id_headers, *TRACE_HEADERS, REQUEST_ID))

    def identify(self, scope: Scope, found: Found | None = None) -> tuple[str, bytes, Identity | None]:
        """
        Decide tracking ID (as text and as a header's value) and identity of a request; the application sees one X-Request-ID, that ID.

        ``found`` are the headers that matter, where somebody has looked for them already and there is no current span. No identity
        (None) where the tracking ID says it all: it is a new trace ID. Changes ``scope["headers"]`` to a new list; the scope is not
        copied, because what is outside of us reads from it what the router has put there (the route of a span).
        """
        if found is not None and self._is_plain and (sent := _only_request_id(found)) is not None:
            tracking_id = sent.decode("ascii")
            return tracking_id, sent, Identity(tracking_id, None, found)
        headers: Headers = scope.get("headers") or ()
        if type(headers) is not list:
            headers = scope["headers"] = list(headers)  # ASGI allows any iterable, also one that can be read only once
        if found is None:
            found = tuple(header for header in headers if header[0] in self.wanted)
        trace_id = claimed = None
        if get_current() or CALLER_KEY in scope or (found and self._trusts is not None):
            found, trace_id, claimed = self._look_around(scope, found)
            headers = scope["headers"]

        if claimed is not None and claimed.trace_id == trace_id:
            # A span outside of us has joined the trace of a caller who is not trusted: that ID is still the caller's.
            identity = Identity(new_trace_id(), trace_id)
        elif not found and trace_id is None:
            tracking_id = new_trace_id()
            value = tracking_id.encode("ascii")
            scope["headers"] = [*headers, (REQUEST_ID, value)]
            return tracking_id, value, None
        else:
            identity = identify(found, self._id_headers, trace_id)
        value = identity.tracking_id.encode("ascii")
        if not found:
            scope["headers"] = [*headers, (REQUEST_ID, value)]
        else:
            self._write_back(scope, headers, found, value)
        if trace_id is not None:
            _describe(get_current_span(), identity, claimed, found)
        return identity.tracking_id, value, identity

    def _look_around(self, scope: Scope, found: Found) -> tuple[Found, str | None, Identity | None]:
        """Give what counts of the headers found, the trace ID of the current span, and what an untrusted caller claims."""
        if found and self._trusts is not None and not holds(self._trusts, scope, otherwise=False):
            self._hide(scope)
            found = ()
        span = get_current_span()
        trace_id = None
        if span is not INVALID_SPAN and (context := span.get_span_context()).is_valid:
            trace_id = format_trace_id(context.trace_id)
        hidden = scope.get(CALLER_KEY)
        return found, trace_id, claim(hidden, self._id_headers) if hidden else None

    def _write_back(self, scope: Scope, headers: Headers, found: Found, value: bytes) -> None:
        """Leave one X-Request-ID, the tracking ID, and no ID header that was not usable: that is as though absent."""
        others = self._other_id_headers
        if not others:
            sent = 0
            for name, came in found:
                if name == REQUEST_ID:
                    sent += 1 if came == value else 2
            if sent == 1:
                return
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


def _only_request_id(found: Found) -> bytes | None:
    """Give the value of the one X-Request-ID, if it is usable: then the request is already as the application shall see it."""
    sent = None
    for name, value in found:
        if name == REQUEST_ID:
            if sent is not None:
                return None
            sent = value
    return sent if sent is not None and is_usable(sent) else None


def holds(question: Callable[[Scope], bool], scope: Scope, *, otherwise: bool) -> bool:
    """Ask a callable of the user's about a scope; one that raises is said in the log and does not fail the request."""
    try:
        return bool(question(scope))
    except Exception:  # noqa: BLE001  (never fail a request)
        _log.warning("%r raised for a request and counts as %r", question, otherwise, exc_info=True)
        return otherwise


def _describe(span: Span, identity: Identity, claimed: Identity | None, found: Found) -> None:
    """Put the tracking ID on the server span, if it records; what a caller claimed who is not trusted becomes a link."""
    if not span.is_recording():
        return
    span.set_attribute("tracking_id", identity.tracking_id)
    sent = [value.decode("ascii") for name, value in found if name == REQUEST_ID and is_usable(value)]
    if sent:
        span.set_attribute("http.request.header.x-request-id", sent)
    if claimed is None:
        return
    if claimed.trace_context is None:
        span.set_attribute("trackline.caller.tracking_id", claimed.tracking_id)
        return
    came = claimed.trace_context
    parent = SpanContext(int(came.trace_id, 16), int(came.parent_id, 16), is_remote=True, trace_flags=TraceFlags(came.flags))
    span.add_link(parent, {"trackline.caller.tracking_id": claimed.tracking_id})
