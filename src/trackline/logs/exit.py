"""What is logged last: written when the process ends by itself, by SIGTERM, or as a child of multiprocessing."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from multiprocessing.util import Finalize, register_after_fork
from typing import TYPE_CHECKING

from trackline.logs.writer import LogWriter, all_writers

if TYPE_CHECKING:
    from types import FrameType

_is_registered = False


def flush_at_exit() -> None:
    """Have every writer closed when the process ends; to be called where logging is set up."""
    global _is_registered  # noqa: PLW0603
    if not _is_registered:
        _is_registered = True
        atexit.register(_close_all)
        # A child of multiprocessing ends in os._exit(), past atexit: a forked one forgets its parent's finalizers, and then runs these.
        register_after_fork(_close_child, _close_child)
        _close_child()
    # SIGINT raises KeyboardInterrupt and so ends in atexit; SIGTERM ends the process at once, unless somebody handles it. uvicorn
    # handles it and sends it again, to whoever was there before, when it has shut down.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _close_all(timeout: float = 5.0) -> None:
    LogWriter.is_exiting = True
    for writer in all_writers():
        writer.close(timeout)


def _terminate(number: int, _frame: FrameType | None) -> None:
    _close_all(timeout=2.0)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _close_child(_: object = None) -> None:
    Finalize(None, _close_all, exitpriority=-1000)  # after everybody else's, who may log
