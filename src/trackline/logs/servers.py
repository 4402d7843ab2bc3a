"""The loggers of the servers (uvicorn, gunicorn, hypercorn, granian): their lines go where all others go, and back again at the end."""

from __future__ import annotations

import logging
from dataclasses import dataclass

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
    propagate: bool


class ServerLoggers:
    """Takes the servers' loggers over: no handlers of their own that write to a stream, up to the root logger. `restore` undoes it."""

    def __init__(self) -> None:
        self._before: dict[str, _Before] = {}

    def take(self) -> None:
        """Take over; again where a server has configured its logging since, as uvicorn.run() does after the import of the module."""
        for name in _NAMES:
            logger = logging.getLogger(name)
            streams = [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]
            if logger.propagate and not streams:
                continue
            self._before.setdefault(name, _Before(list(logger.handlers), logger.propagate))
            for handler in streams:
                logger.removeHandler(handler)
            logger.propagate = True

    def restore(self) -> None:
        """Give them back as they were."""
        for name, before in self._before.items():
            logger = logging.getLogger(name)
            logger.handlers = before.handlers
            logger.propagate = before.propagate
        self._before.clear()
