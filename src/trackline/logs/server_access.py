"""The access lines of the servers: left out where our own says the same, and given the ID of their request where it has none."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

from trackline import exchange as exchanges
from trackline.context import IDENTITY, TRACKING_ID
from trackline.exchange import EXCHANGE, is_watched
from trackline.identity import TRACE_HEADERS, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline._asgi import Scope

# Where each server writes the line of a request, and what has the scope there: a dict, or the attribute `scope` of an object.
_PLACES = {
    "uvicorn.access": ("uvicorn.protocols", "self"),
    "uvicorn.error": ("uvicorn.protocols", "self"),  # of WebSockets
    "hypercorn.access": ("hypercorn.logging", "request"),
    "granian.access": ("granian.asgi", "scope"),
    "gunicorn.access": ("gunicorn.asgi.protocol", "scope"),
}
_OF_WEBSOCKETS = '%s - "WebSocket %s" '  # uvicorn's, on a logger for all kinds of lines
# Whose lines may be written where the context is not the request's.
_OUTSIDE = ("granian.access", "hypercorn.access")
_TRACKED_KEY = "trackline.tracking_id"  # the middleware's, which is no module that logging may know
_HELD_BACK = 1.0  # seconds


class ServerAccess:
    """
    Filters on the servers' access logs, from `take` to `restore`.

    A line goes if its request is watched for our access log, or was: by the mark in the scope that the server has passed on, or, where
    somebody has passed a copy of that on, by the context. So the lines of an application without our middleware stay.
    """

    def __init__(self) -> None:
        self._filters: list[tuple[logging.Logger, Callable[[logging.LogRecord], bool]]] = []
        self._held: dict[logging.LogRecord, Scope] = {}
        self._uvicorn = logging.getLogger("uvicorn.access")

    def take(self) -> None:
        """Add the filters."""
        self._filters = [(logging.getLogger(name), self._is_to_be_written) for name in _PLACES]
        self._filters += [(logging.getLogger(name), _find_request) for name in _OUTSIDE]
        for logger, look in self._filters:
            logger.addFilter(look)
        if "isEnabledFor" not in vars(self._uvicorn):  # so that most of its records are not even made
            self._uvicorn.isEnabledFor = self._is_enabled  # type: ignore[method-assign]

    def restore(self) -> None:
        """Remove them."""
        for logger, look in self._filters:
            logger.removeFilter(look)
        self._filters.clear()
        if self._uvicorn.isEnabledFor == self._is_enabled:
            del self._uvicorn.isEnabledFor
        for record in list(self._held):
            self._write_held(record)

    def _is_enabled(self, level: int) -> bool:
        return not is_watched() and type(self._uvicorn).isEnabledFor(self._uvicorn, level)

    def _is_to_be_written(self, record: logging.LogRecord) -> bool:
        if exchanges.listener is None:
            return True
        if record.name == "uvicorn.error" and not (type(record.msg) is str and record.msg.startswith(_OF_WEBSOCKETS)):
            return True
        if is_watched():
            return False
        scope = _find_scope(record.name)
        if scope is None:
            return True
        if is_watched(scope):
            return False
        if record.name != "granian.access":
            return True
        if scope["type"] == "http":
            return EXCHANGE.get() is None  # which is over by now, in a context that is of this request alone
        return not self._hold_back(record, scope)

    def _hold_back(self, record: logging.LogRecord, scope: Scope) -> bool:
        """Keep granian's line of a WebSocket until it shows whose it is: it is written before the application is called."""
        import asyncio  # not where Trackline is imported: it is most of what that would take

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._held[record] = scope
        loop.call_later(_HELD_BACK, self._write_held, record)
        return True

    def _write_held(self, record: logging.LogRecord) -> None:
        scope = self._held.pop(record, None)
        if scope is not None and not is_watched(scope):
            logging.getLogger(record.name).callHandlers(record)


def _find_request(record: logging.LogRecord) -> bool:
    """
    Give a line of an access log the ID of its request where the context has none; as a filter, which lets everything pass.

    Granian writes it when the application has returned, and our middleware with it; hypercorn, where a client is gone before the answer
    is complete, in the task of the connection. They pass on nothing that names the request, so its scope is taken from their frame.
    """
    if TRACKING_ID.get() is not None:
        return True
    scope = _find_scope(record.name)
    tracking_id = scope.get(_TRACKED_KEY) if scope else None
    if not scope or not isinstance(tracking_id, str):
        return True
    record.tracking_id = tracking_id
    # The trace as well, where nothing else can run in this context any more and no span of an SDK's has said which one it is.
    if record.name == "granian.access" and isinstance(get_tracer_provider(), ProxyTracerProvider):
        TRACKING_ID.set(tracking_id)
        IDENTITY.set(Identity(tracking_id, None, [header for header in scope["headers"] if header[0] in TRACE_HEADERS]))
    return True


def _find_scope(logger: str) -> Scope | None:
    module, name = _PLACES[logger]
    frame = sys._getframe(1)  # noqa: SLF001  (as logging does to find its caller)
    for _ in range(12):
        if frame.f_back is None:
            return None
        frame = frame.f_back
        if frame.f_globals.get("__name__", "").startswith(module):
            scope: Any = frame.f_locals.get(name)
            scope = getattr(scope, "scope", scope)
            return scope if isinstance(scope, dict) else None
    return None
