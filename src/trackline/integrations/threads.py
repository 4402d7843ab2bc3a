"""Threads and thread pools: what they run has the tracking ID and the span of who started it, without `trackline.carry`."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Threads that a library starts with the first request and keeps for all: they are nobody's.
_LIBRARIES = ("anyio", "asyncio", "concurrent", "logging", "multiprocessing", "opentelemetry", "sentry_sdk", "trackline")


def instrument() -> None:
    """
    Have every `threading.Thread` (a Timer too) and every call of a `ThreadPoolExecutor` run with the context of who started it.

    That is the tracking ID, OTel's span and every other ContextVar, as they are at ``start()`` and ``submit()``: what Python 3.14 does
    with ``-X thread_inherit_context`` for threads, and no version for pools. A change inside is not seen outside. A pool's own threads,
    and those of libraries which serve the whole process, belong to no request and get nothing. Safe together with OTel's own
    instrumentation of threads, in any order. Call it early: threads that run already, and what was submitted, stay as they are.
    """
    global _is_active  # noqa: PLW0603  (it is the process's threads that are instrumented)
    _is_active = True
    _wrap(threading.Thread, "start", _make_start)
    _wrap(ThreadPoolExecutor, "submit", _make_submit)


def uninstrument() -> None:
    """Undo `instrument`; what runs goes on as it began. Never raises."""
    global _is_active  # noqa: PLW0603
    _is_active = False
    for (cls, name), (original, wrapped) in list(_wrapped.items()):
        if vars(cls)[name] is wrapped:  # who has wrapped it after us keeps one that does nothing more of ours
            setattr(cls, name, original)
            del _wrapped[cls, name]


_is_active = False
_wrapped: dict[tuple[type, str], tuple[Any, Any]] = {}


def _wrap(cls: type, name: str, make: Callable[[Any], Any]) -> None:
    original = inner = vars(cls)[name]
    known = _wrapped.get((cls, name), (None, None))[1]
    while inner is not None:
        if inner is known:
            return
        inner = getattr(inner, "__wrapped__", None)
    wrapped = functools.wraps(original, updated=())(make(getattr(cls, name)))
    _wrapped[cls, name] = original, wrapped
    setattr(cls, name, wrapped)


def _make_start(original: Any) -> Any:
    def start(self: threading.Thread) -> None:
        # Since 3.14 a thread may have been given a context by its maker.
        if not _is_active or getattr(self, "_context", None) is not None or _is_of_library(self):
            original(self)
            return
        context, run = copy_context(), self.run

        def run_in_context() -> None:
            vars(self).pop("run", None)  # it holds the thread
            # The thread's own context, and not context.run(): the hook for what it raises is called outside of run().
            for variable, value in context.items():
                variable.set(value)
            run()

        self.run = run_in_context  # type: ignore[method-assign]
        try:
            original(self)
        except BaseException:
            vars(self).pop("run", None)
            raise

    return start


def _make_submit(original: Any) -> Any:
    def submit(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if _is_active and args:
            args = (copy_context().run, *args)
        return original(self, *args, **kwargs)

    return submit


def _is_of_library(thread: threading.Thread) -> bool:
    """Say whether a thread's code is of a library that keeps its threads: by the module of its target, or of its class."""
    target = getattr(thread, "_target", None) or type(thread)
    module = getattr(target, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in _LIBRARIES
