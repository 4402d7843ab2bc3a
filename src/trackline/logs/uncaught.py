"""Exceptions that nobody catches, in the log: the one that ends the process, those of threads, and those that Python ignores."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from trackline.logs.hooking import hook, log_at, raised_at
from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LOGGER = "trackline.uncaught"
_LAST_WORDS = 2.0  # seconds


def log_uncaught(is_on_console: Callable[[float], bool]) -> list[Callable[[], None]]:
    """
    Log what reaches ``sys.excepthook`` and ``threading.excepthook`` as CRITICAL, and ``sys.unraisablehook`` as ERROR.

    A hook of somebody else's is called too; Python's own, which prints to stderr, only where what was logged is not on the console, for
    which ``is_on_console`` waits a number of seconds. Gives the functions that undo it.
    """

    def log_exception(previous: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # Ctrl-C is no error. What is logged while the interpreter is taken down reaches nobody any more.
        is_said = (
            not issubclass(kind, KeyboardInterrupt)
            and not sys.is_finalizing()
            and _log(f"uncaught exception: {kind.__name__}", kind, error, trace)
            and is_on_console(_LAST_WORDS)
        )
        if previous is not sys.__excepthook__ or not is_said:
            previous(kind, error, trace)

    def log_of_thread(previous: Any, args: threading.ExceptHookArgs) -> None:
        kind, error = args.exc_type, args.exc_value
        name = args.thread.name if args.thread is not None else "?"
        is_said = (
            not issubclass(kind, SystemExit)
            and error is not None
            and not sys.is_finalizing()
            and _log(f"uncaught exception in thread {name}: {kind.__name__}", kind, error, args.exc_traceback)
            and is_on_console(0)
        )
        if previous is not threading.__excepthook__ or not is_said:
            previous(args)

    def log_unraisable(previous: Any, args: Any) -> None:
        kind, error = args.exc_type, args.exc_value
        # The object may be half gone: nothing of it is kept but its text.
        what = args.err_msg or "exception ignored in"
        is_said = (
            error is not None
            and not sys.is_finalizing()
            and _log(f"{what}: {text_of(args.object)}", kind, error, args.exc_traceback, level=logging.ERROR)
            and is_on_console(0)
        )
        if previous is not sys.__unraisablehook__ or not is_said:
            previous(args)

    return [
        hook(sys, "excepthook", log_exception),
        hook(threading, "excepthook", log_of_thread),
        hook(sys, "unraisablehook", log_unraisable),
    ]


def _log(
    message: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None, *, level: int = logging.CRITICAL
) -> bool:
    try:
        return log_at(LOGGER, level, message, raised_at(trace), exc_info=(kind, error, trace))
    except Exception:  # noqa: BLE001  (a handler of the user's: what has happened must be said all the same)
        return False
