"""What asyncio's event loops say about errors that nobody awaits: under the request that they belong to, with the task's name."""

from __future__ import annotations

import functools
import logging
import sys
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from trackline.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER = "asyncio"
_TASK: ContextVar[str | None] = ContextVar("trackline_failed_task", default=None)


class LoopErrors:
    """
    Wraps ``default_exception_handler`` of the kinds of event loops that there are, asyncio's and uvloop's.

    It logs to the logger "asyncio" already; but in whatever context the garbage is collected, which may be that of another request. A
    handler that the user has set on a loop is not touched, and has the same effect where it calls the default one.
    """

    def __init__(self) -> None:
        self._patches = Patches()
        self._is_on = False

    def take(self) -> None:
        """Wrap what is not wrapped yet."""
        import asyncio  # not where Trackline is imported: it is most of what that would take

        if not self._is_on:
            self._is_on = True
            logging.getLogger(LOGGER).addFilter(_name_task)
        kinds: list[Any] = [asyncio.BaseEventLoop]
        if (uvloop := sys.modules.get("uvloop")) is not None and hasattr(uvloop, "Loop"):
            kinds.append(uvloop.Loop)
        for kind in kinds:
            self._patches.wrap(kind, "default_exception_handler", self._wrapped)

    def restore(self) -> None:
        """Give back what was there."""
        self._is_on = False
        logging.getLogger(LOGGER).removeFilter(_name_task)
        self._patches.undo()

    def _wrapped(self, original: Callable[[Any, dict[str, Any]], None]) -> Callable[[Any, dict[str, Any]], None]:
        @functools.wraps(original)
        def default_exception_handler(loop: Any, context: dict[str, Any]) -> None:
            if not self._is_on:
                return original(loop, context)

            def handle() -> None:
                _TASK.set(_task_name(context))
                original(loop, context)

            # A copy: the context itself may be entered already, where a task reports its own error.
            return _context_of(context).copy().run(handle)

        return default_exception_handler


def _context_of(context: dict[str, Any]) -> Context:
    """
    Give the context of what has failed, or of now where nothing is named.

    Before Python 3.12 a task does not tell its own: then an empty one, because that of now may be another request's.
    """
    for key in ("task", "future", "handle"):
        thing = context.get(key)
        if thing is None:
            continue
        own = thing.get_context() if hasattr(thing, "get_context") else getattr(thing, "_context", None)
        return own if isinstance(own, Context) else Context()
    return copy_context()


def _task_name(context: dict[str, Any]) -> str | None:
    for key in ("task", "future"):
        task: Any = context.get(key)
        if hasattr(task, "get_name"):  # a future has none
            return str(task.get_name())
    return None


def _name_task(record: logging.LogRecord) -> bool:
    if (name := _TASK.get()) is not None:
        vars(record)["asyncio.task"] = name
    return True
