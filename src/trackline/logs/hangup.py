"""SIGHUP, by which logrotate says that it has renamed the files: they are opened anew at once, also where nothing is logged."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from trackline.logs.writer import all_writers

if TYPE_CHECKING:
    from types import FrameType

_SIGHUP = getattr(signal, "SIGHUP", None)
_watching = 0
_before: Any = None


def watch_hangup() -> None:
    """
    Have SIGHUP open the files anew, and then do what it did before, until `unwatch_hangup` is called as often.

    Nothing changes in a thread other than the main one, where SIGHUP is ignored (as by nohup: the process's children inherit that), and
    where it would end a process that has a terminal: there it says that the terminal is gone.
    """
    global _watching  # noqa: PLW0603
    _watching += 1
    take_hangup()


def take_hangup() -> None:
    """Take the signal again, if it is watched, from a server that has set it back to what ends the process."""
    global _before  # noqa: PLW0603
    if not _watching or _SIGHUP is None or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(_SIGHUP)
    if handler in (_on_hangup, signal.SIG_IGN, None) or (handler is signal.SIG_DFL and _has_terminal()):
        return
    _before = handler
    signal.signal(_SIGHUP, _on_hangup)


def unwatch_hangup() -> None:
    """Have SIGHUP do what it did before, once nobody watches it any more and if nobody has taken it since."""
    global _watching  # noqa: PLW0603
    _watching -= 1
    if _watching or _SIGHUP is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(_SIGHUP) is _on_hangup:
        signal.signal(_SIGHUP, _before)


def _on_hangup(number: int, frame: FrameType | None) -> None:
    for writer in all_writers():
        writer.reopen()
    if callable(_before):
        _before(number, frame)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
