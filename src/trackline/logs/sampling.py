"""The filter that keeps some lines of the same message, and says in the log how many it has left out."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import Counter, OrderedDict
from contextvars import Context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from trackline.sampling import RateLimit, Sampling

_LOGGER = "trackline"
_MOST_KEYS = 4096
_LONGEST = 256
_NAMED = 10
_SWEEP_SECONDS = 1.0
_OTHERS = ("", logging.NOTSET, "others")

Key = tuple[str, int, str]


class _Window:
    __slots__ = ("ends_at", "left_out", "seen", "since_kept")

    def __init__(self) -> None:
        self.ends_at = 0.0
        self.seen = self.left_out = self.since_kept = 0


class SamplingFilter(logging.Filter):
    """
    Keeps as many lines as a `Sampling` or a `RateLimit` says: for loggers and handlers, ours and those of others.

    A line that is kept after others were left out has their number as ``suppressed_lines``. When their time is over (a second later at
    the most), and at exit, the logger ``trackline`` says how many there were, with ``event.action`` "log-sample". Its own lines and
    those of levels from ``below`` are never left out. Thread-safe; remembers 4,096 messages; a forked child begins anew. Raises
    ValueError for any other setting.
    """

    def __init__(self, sampling: Sampling | RateLimit) -> None:
        super().__init__()
        if isinstance(sampling, Sampling):
            self._first, self._every, self._is_by_message = sampling.first, sampling.then_every, True
        elif isinstance(sampling, RateLimit):
            self._first, self._every, self._is_by_message = sampling.lines, 0, sampling.by == "message"
        else:
            raise ValueError(f"sampling={sampling!r}: expected a trackline.Sampling or a trackline.RateLimit")
        self._per, self._below = sampling.per, sampling.below
        self._renew()
        _filters.add(self)

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a signal handler that logs may come in between
        self._windows: OrderedDict[Key, _Window] = OrderedDict()
        self._unsaid: Counter[Key] = Counter()
        self._thread: threading.Thread | None = None
        self._stop: SimpleQueue[None] = SimpleQueue()
        self.suppressed = 0
        """How many lines were left out so far, in this process."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is kept; one that follows on others that were not gets their number. Never raises."""
        try:
            if record.levelno >= self._below or record.name == _LOGGER:
                return True
            number = self._left_out_before(self._key(record))
        except Exception:  # noqa: BLE001  (a record of the user's that is none; better a line too many)
            return True
        if number is None:
            return False
        if number:
            record.suppressed_lines = number
        return True

    def say(self, *, is_last: bool = True) -> None:
        """Say in the log what was left out and not yet said: all of it, or what is over by now."""
        with self._lock:
            now = monotonic()
            for key, window in self._windows.items():
                if window.left_out and (is_last or now >= window.ends_at):
                    self._end(key, window)
            unsaid, self._unsaid = self._unsaid, Counter()
        if not unsaid:
            return
        total = unsaid.total()
        facts: dict[str, Any] = {"event.action": "log-sample", "suppressed": total}
        facts["suppressed_most"] = [f"{number} {_name(key)}" for key, number in unsaid.most_common(_NAMED)]
        logging.getLogger(_LOGGER).info("%d lines were left out: sampled", total, extra=facts)

    def close(self) -> None:
        """Say what was left out, and end the thread that waits for that."""
        with self._lock:
            stop, self._thread = self._stop, None
        stop.put(None)
        self.say()

    def _key(self, record: logging.LogRecord) -> Key:
        if not self._is_by_message:
            return record.name, logging.NOTSET, ""
        message = record.msg if type(record.msg) is str else type(record.msg).__name__
        return record.name, record.levelno, message[:_LONGEST]

    def _left_out_before(self, key: Key) -> int | None:
        """Give the number of lines left out since the last one that was kept, or None where this one is left out, too."""
        with self._lock:
            now = monotonic()
            window = self._windows.get(key)
            if window is None:
                window = self._windows[key] = _Window()
                if len(self._windows) > _MOST_KEYS:
                    self._end(*self._windows.popitem(last=False))
            if now >= window.ends_at:
                self._end(key, window)
                window.ends_at, window.seen = now + self._per, 0
                self._windows.move_to_end(key)
            window.seen += 1
            over = window.seen - self._first
            if over <= 0 or (self._every and over % self._every == 0):
                number, window.since_kept = window.since_kept, 0
                return number
            window.since_kept += 1
            window.left_out += 1
            self.suppressed += 1
        if self._thread is None:
            self._start()
        return None

    def _end(self, key: Key, window: _Window) -> None:
        if window.left_out:
            self._unsaid[key if key in self._unsaid or len(self._unsaid) < _MOST_KEYS else _OTHERS] += window.left_out
            window.left_out = 0

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._stop = SimpleQueue()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="trackline-sampling", daemon=True)
            try:
                Context().run(self._thread.start)  # in a context of its own, not that of a request
            except RuntimeError:  # at exit, where it is said anyhow
                self._thread = None

    def _run(self, stop: SimpleQueue[None]) -> None:
        is_over = False
        while not is_over:
            try:
                stop.get(timeout=max(self._per, _SWEEP_SECONDS))
                is_over = True
            except Empty:
                self.say(is_last=False)
            with self._lock:
                if is_over or not any(window.left_out for window in self._windows.values()):
                    is_over = True
                    if self._stop is stop:
                        self._thread = None


def _name(key: Key) -> str:
    return " ".join(part for part in (key[0], logging.getLevelName(key[1]) if key[1] else "", key[2]) if part)


def sampling_of(handler: logging.Handler) -> list[SamplingFilter]:
    """Give the filters of a handler that are of this kind."""
    return [one for one in handler.filters if isinstance(one, SamplingFilter)]


_filters: weakref.WeakSet[SamplingFilter] = weakref.WeakSet()


@atexit.register
def say_all() -> None:
    """Say in the log what all filters of this process have left out; to be called before the log is closed."""
    for one in list(_filters):
        one.close()


def _renew_all() -> None:
    for one in list(_filters):
        one._renew()  # noqa: SLF001  (of this module)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
