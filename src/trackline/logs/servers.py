"""The loggers of the servers (uvicorn, gunicorn, hypercorn, granian): their lines go where all others go, and back again at the end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackline.logs.server_access import ServerAccess

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass(slots=True)
class _Before:
    handlers: list[logging.Handler]
    removed: list[logging.Handler]
    propagate: bool


class ServerLoggers:
    """
    Takes the servers' loggers over: no handlers of their own that write to a stream, up to the root logger. `restore` undoes it.

    A server may configure its logging after us: uvicorn.run() after the import of the module, a gunicorn worker after its fork,
    hypercorn at its first line. So each of these loggers has a filter which looks again before its record goes anywhere. They are left
    alone for as long as the handler is not the root logger's.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._before: dict[str, _Before] = {}
        self._filters: list[tuple[logging.Logger, Callable[[logging.LogRecord], bool]]] = []
        self._access = ServerAccess()

    def take(self) -> None:
        """Take over; again where a server has configured its logging since."""
        loggers = [logging.getLogger(name) for name in _NAMES]
        if not self._filters:
            self._filters = [(logger, self._make_filter(logger)) for logger in loggers]
            for logger, look in self._filters:
                logger.addFilter(look)
            self._access.take()
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
        if (logger.propagate and not streams) or self._handler not in logging.getLogger().handlers:
            return
        self._before[logger.name] = _Before(list(logger.handlers), streams, logger.propagate)
        for handler in streams:
            logger.removeHandler(handler)
        logger.propagate = True

    def restore(self) -> None:
        """Give them back as they were."""
        self._access.restore()
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
