"""The loggers of the servers (uvicorn, gunicorn, hypercorn, granian): their lines go where all others go, and back again at the end."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

from trackline.context import IDENTITY, TRACKING_ID
from trackline.identity import TRACE_HEADERS, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline._asgi import Scope

_NAMES = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "gunicorn",
    "gunicorn.error",
    "gunicorn.access",
    "hypercorn",
    "hypercorn.error",
    "hypercorn.access",
    "_granian",
    "granian.access",
)
# Whose access lines may be written where the context is not the request's, and what the scope is called there.
_OUTSIDE = {"granian.access": ("granian.asgi", "scope"), "hypercorn.access": ("hypercorn.logging", "request")}
_TRACKED_KEY = "trackline.tracking_id"  # the middleware's, which is no module that logging may know


@dataclass(slots=True)
class _Before:
    handlers: list[logging.Handler]
    removed: list[logging.Handler]
    propagate: bool


class ServerLoggers:
    """
    Takes the servers' loggers over: no handlers of their own that write to a stream, up to the root logger. `restore` undoes it.

    A server may configure its logging after us: uvicorn.run() after the import of the module, a gunicorn worker after its fork,
    hypercorn at its first line. So each of these loggers has a filter which looks again before its record goes anywhere.
    """

    def __init__(self) -> None:
        self._before: dict[str, _Before] = {}
        self._filters: list[tuple[logging.Logger, Callable[[logging.LogRecord], bool]]] = []

    def take(self) -> None:
        """Take over; again where a server has configured its logging since."""
        loggers = [logging.getLogger(name) for name in _NAMES]
        if not self._filters:
            self._filters = [(logger, self._make_filter(logger)) for logger in loggers]
            self._filters += [(logging.getLogger(name), _find_request) for name in _OUTSIDE]
            for logger, look in self._filters:
                logger.addFilter(look)
        for logger in loggers:
            self._take(logger)

    def _make_filter(self, logger: logging.Logger) -> Callable[[logging.LogRecord], bool]:
        def look_again(_record: logging.LogRecord) -> bool:
            above: logging.Logger | None = logger
            while above is not None and above.parent is not None:
                self._take(above)
                above = above.parent
            return True

        return look_again

    def _take(self, logger: logging.Logger) -> None:
        streams = streams_of(logger)
        if logger.propagate and not streams:
            return
        self._before[logger.name] = _Before(list(logger.handlers), streams, logger.propagate)
        for handler in streams:
            logger.removeHandler(handler)
        logger.propagate = True

    def restore(self) -> None:
        """Give them back as they were."""
        for logger, look in self._filters:
            logger.removeFilter(look)
        self._filters.clear()
        for name, before in self._before.items():
            logger = logging.getLogger(name)
            put_back(logger, before.handlers, before.removed)
            logger.propagate = before.propagate
        self._before.clear()


def streams_of(logger: logging.Logger) -> list[logging.Handler]:
    """Give a logger's handlers that write to a stream, and are nothing more: a file of the user's, or a test's capture, stays."""
    return [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]


def put_back(logger: logging.Logger, before: list[logging.Handler], removed: list[logging.Handler]) -> None:
    """Put handlers back where they were among the others, of which some may have come and some may have gone since."""
    since = [handler for handler in logger.handlers if handler not in before]
    logger.handlers = [handler for handler in before if handler in removed or handler in logger.handlers] + since


def _find_request(record: logging.LogRecord) -> bool:
    """
    Give a line of an access log the ID of its request where the context has none; as a filter, which lets everything pass.

    Granian writes it when the application has returned, and our middleware with it; hypercorn, where a client is gone before the answer
    is complete, in the task of the connection. They pass on nothing that names the request, so its scope is taken from their frame.
    """
    if TRACKING_ID.get() is not None:
        return True
    scope = _find_scope(*_OUTSIDE[record.name])
    tracking_id = scope.get(_TRACKED_KEY) if scope else None
    if not scope or not isinstance(tracking_id, str):
        return True
    record.tracking_id = tracking_id
    # The trace as well, where nothing else can run in this context any more and no span of an SDK's has said which one it is.
    if record.name == "granian.access" and isinstance(get_tracer_provider(), ProxyTracerProvider):
        TRACKING_ID.set(tracking_id)
        IDENTITY.set(Identity(tracking_id, None, [header for header in scope["headers"] if header[0] in TRACE_HEADERS]))
    return True


def _find_scope(module: str, name: str) -> Scope | None:
    frame = sys._getframe(1)  # noqa: SLF001  (as logging does to find its caller)
    for _ in range(12):
        if frame.f_back is None:
            return None
        frame = frame.f_back
        if frame.f_globals.get("__name__") == module:
            scope = frame.f_locals.get(name)
            return scope if isinstance(scope, dict) else None
    return None
