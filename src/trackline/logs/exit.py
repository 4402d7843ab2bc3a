"""What is logged last: written when the process ends by itself, by a signal, or as a child of multiprocessing."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.util import Finalize, register_after_fork
from typing import TYPE_CHECKING, Any

from trackline.logs.sampling import say_all
from trackline.logs.writer import LogWriter, all_writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SECONDS = 5.0
_is_registered = False
_last: list[Callable[[], None]] = []


def flush_at_exit() -> None:
    """
    Have every writer closed when the process ends; to be called where logging is set up, and again when the application starts.

    A child that is forked from where logging is set up has other signal handlers than its parent by then.
    """
    global _is_registered  # noqa: PLW0603
    if not _is_registered:
        _is_registered = True
        atexit.register(_close_all)
        # A child of multiprocessing ends in os._exit(), past atexit: it forgets its parent's finalizers, runs these, and then its own.
        register_after_fork(_close_child, _close_child)
        if parent_process() is not None:
            _close_child()
    if threading.current_thread() is threading.main_thread():
        _take_signals()
        _follow_uvicorn(getattr(signal.getsignal(signal.SIGTERM), "__self__", None))


def _take_signals() -> None:
    """Handle the signals that would end the process at once; Python's own handler for SIGINT ends in atexit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


class _Captured(list[int]):
    """
    The signals that a uvicorn server has got, which it sends again when it has shut down, in reversed order: the last thing it does.

    By then it has put back the handlers of before. Where the application is imported after uvicorn has set its own (in its worker
    processes), or logging is set up before a fork, those are the system's, and end the process with no word to anybody.
    """

    def __reversed__(self) -> Iterator[int]:
        _take_signals()
        return super().__reversed__()


def _follow_uvicorn(server: Any) -> None:
    captured = getattr(server, "_captured_signals", None)
    if type(captured) is list and hasattr(server, "should_exit"):
        server._captured_signals = _Captured(captured)  # noqa: SLF001  (there is no hook; without it the last lines are lost)


def _close_all(timeout: float | None = None) -> None:
    say_all()
    LogWriter.is_exiting = True
    deadline = time.monotonic() + (_SECONDS if timeout is None else timeout)
    writers = all_writers()
    for writer in writers:
        writer.end()  # all of them at once
    for writer in writers:
        writer.close(max(deadline - time.monotonic(), 0.0))
    for callback in tuple(_last):
        callback()


def call_last(callback: Callable[[], None]) -> Callable[[], None]:
    """Have a function called when all lines are written and the process ends; gives one that takes this back."""
    _last.append(callback)

    def undo() -> None:
        with suppress(ValueError):
            _last.remove(callback)

    return undo


def _terminate(number: int, _frame: FrameType | None) -> None:
    _close_all(timeout=2.0)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _close_child(_: object = None) -> None:
    Finalize(None, _close_all, exitpriority=-1000)  # after everybody else's, who may log
