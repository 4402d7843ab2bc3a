"""Levels changed while the process runs: for good or for some time, by a call or by a signal."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from trackline.config import parse_level

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNAL_SECONDS = 600.0
"""How long SIGUSR1 holds."""
_MOST_SECONDS = 7 * 86_400
_log = logging.getLogger("trackline.levels")


def set_level(logger_name: str, level: int | str | None, for_seconds: float | None = None) -> None:
    """
    Set the level of a logger, "root" for the root logger, in this process; after ``for_seconds`` it is what it was before.

    None for the level makes the logger follow the one above it. A second call replaces the first: what it goes back to is the level
    from before both. A level that somebody else has set in between stays. Each worker process has its own levels; a forked child goes
    on with those of its parent, and back as it does. Thread-safe; not to be called from a signal handler. Raises ValueError where a
    value is wrong.
    """
    if not isinstance(logger_name, str) or not logger_name:
        raise ValueError(f"logger_name={logger_name!r}: expected a logger's name, or 'root'")
    if level is None and logger_name == "root":
        raise ValueError("level=None: expected a level; there is no logger above the root logger")
    number = logging.NOTSET if level is None else parse_level(level)
    if for_seconds is not None and (
        isinstance(for_seconds, bool) or not isinstance(for_seconds, int | float) or not 0 < for_seconds <= _MOST_SECONDS
    ):
        raise ValueError(f"for_seconds={for_seconds!r}: expected None, or a number of seconds above 0, up to {_MOST_SECONDS}")
    _levels.set(logger_name, number, for_seconds)


def get_levels() -> dict[str, tuple[str, float | None]]:
    """Give the loggers that have a level of their own, the root logger first: its name, and in how many seconds it goes back."""
    return _levels.get()


def go_back() -> None:
    """Take back all levels that are set for some time."""
    _levels.go_back(math.inf)


def check_signals() -> None:
    """Raise ValueError in another thread than the main one, and where there are no such signals."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGUSR1"):
        raise ValueError("level_signals=True: expected the main thread, on a system with SIGUSR1")


def watch_signals() -> Callable[[], None]:
    """
    Have SIGUSR1 set the root logger to DEBUG for `SIGNAL_SECONDS`, and SIGUSR2 take that back; gives a function that undoes it.

    Handlers that were there are called too. Only where `check_signals` has nothing against it.
    """
    undo = [_on(signal.SIGUSR1, "DEBUG"), _on(signal.SIGUSR2, None)]
    _levels.watch(True)

    def stop() -> None:
        _levels.watch(False)
        for one in undo:
            one()

    return stop


def _on(number: signal.Signals, level: str | None) -> Callable[[], None]:
    before: Any = signal.getsignal(number)

    def handle(number: int, frame: FrameType | None) -> None:
        _levels.order(level)
        if callable(before):
            before(number, frame)

    signal.signal(number, handle)

    def undo() -> None:
        if signal.getsignal(number) is handle and threading.current_thread() is threading.main_thread():
            signal.signal(number, before)

    return undo


class _Change(NamedTuple):
    before: int
    now: int
    until: float


class _Levels:
    """The changes that are to be taken back, and the thread that does it. It starts with the first, and anew in a forked child."""

    def __init__(self) -> None:
        self._changes: dict[str, _Change] = {}
        self._is_watching = False
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._orders: SimpleQueue[tuple[str | None] | None] = SimpleQueue()  # its put() is safe in a signal handler
        self._thread: threading.Thread | None = None

    def renew_in_child(self) -> None:
        self._renew()
        self._start_if_needed()

    def set(self, name: str, level: int, seconds: float | None) -> None:
        logger = logging.getLogger(name)
        with self._lock:
            change = self._changes.pop(name, None)
            before = change.before if change is not None and change.now == logger.level else logger.level
            if seconds is not None:
                self._changes[name] = _Change(before, level, time.monotonic() + seconds)
        _change(logger, level, f" for {seconds:g} s" if seconds is not None else "")
        self._start_if_needed()
        self._orders.put(None)

    def get(self) -> dict[str, tuple[str, float | None]]:
        now = time.monotonic()
        known = [logging.getLogger(), *list(logging.getLogger().manager.loggerDict.values())]
        with self._lock:
            changes = dict(self._changes)
        return {
            logger.name: (
                logging.getLevelName(logger.level),
                round(max(changes[logger.name].until - now, 0.0), 1) if logger.name in changes else None,
            )
            for logger in known
            if isinstance(logger, logging.Logger) and (logger.level or logger is logging.getLogger())
        }

    def go_back(self, now: float) -> None:
        """Take back what is due."""
        with self._lock:
            due = {name: change for name, change in self._changes.items() if change.until <= now}
            for name in due:
                del self._changes[name]
        for name, change in due.items():
            logger = logging.getLogger(name)
            if logger.level == change.now:
                _change(logger, change.before, " again")

    def order(self, level: str | None) -> None:
        if self._is_watching:
            self._orders.put((level,))

    def watch(self, is_watching: bool) -> None:
        self._is_watching = is_watching
        self._start_if_needed()
        self._orders.put(None)

    def _start_if_needed(self) -> None:
        with self._lock:
            if self._thread is None and (self._changes or self._is_watching):
                self._thread = threading.Thread(target=self._run, name="trackline-levels", daemon=True)
                # In a context of its own: it must not log under the ID of the request that has started it.
                Context().run(self._thread.start)

    def _run(self) -> None:
        orders = self._orders
        while True:
            self.go_back(time.monotonic())
            with self._lock:
                if not self._changes and not self._is_watching:
                    self._thread = None
                    return
                until = min((change.until for change in self._changes.values()), default=math.inf)
            try:
                order = orders.get(timeout=None if until == math.inf else max(until - time.monotonic(), 0.0))
            except Empty:
                continue
            if order is not None and order[0] is not None:
                self.set("root", parse_level(order[0]), SIGNAL_SECONDS)
            elif order is not None:
                self.go_back(math.inf)


def _change(logger: logging.Logger, level: int, how_long: str) -> None:
    before = logger.level
    message = "level of %s: %s, then %s%s"
    args = (logger.name, logging.getLevelName(before), logging.getLevelName(level), how_long)
    # While the lower of both is in force, so that it is seen.
    if before <= level:
        _log.info(message, *args)
    logger.setLevel(level)
    if level < before:
        _log.info(message, *args)


_levels = _Levels()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_levels.renew_in_child)
