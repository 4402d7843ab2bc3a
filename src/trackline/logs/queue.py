"""The bounded queue between those who log and the one thread that writes; what it has no room for, it counts."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import repeat
from logging import ERROR, INFO
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from trackline.config import QUEUE_POLICIES
from trackline.logs.blocking import may_wait
from trackline.logs.drops import LEVELS, Drops

if TYPE_CHECKING:
    from collections.abc import Callable

OVERHEAD = 56
"""What a line takes in memory besides its own bytes: the head of the object, what malloc rounds up, and its place in the queue."""

CALL_BYTES = 1024
"""What a call counts that waits to be made a line of: no less than it takes in memory, with all that it refers to."""

_TICK = 0.05
_BATCH_BYTES = 256 * 1024
_MAX_LINE = 256 * 1024
_CHUNK = 32  # lines
_MAX_SEARCHED = 4096  # lines: a quarter of a millisecond


class _Debug(bytes):
    __slots__ = ()


class _Warning(bytes):
    __slots__ = ()


class _Error(bytes):
    __slots__ = ()


class _Critical(bytes):
    __slots__ = ()


# A line knows its level by its type: most are INFO, and cost nothing.
_KINDS: tuple[type[bytes], ...] = (_Debug, bytes, _Warning, _Error, _Critical)
_NAMES: dict[type, str] = {**dict(zip(_KINDS, LEVELS, strict=True)), tuple: "info"}
_KIND_OF = dict(zip((10, 20, 30, 40, 50), _KINDS, strict=True))
_GOES_FIRST = frozenset({_Debug, bytes, tuple})


def _kind_of(level: int) -> type[bytes]:
    return _KINDS[int(min(max(level // 10 - 1, 0), len(_KINDS) - 1))]  # a level of somebody's own may be no integer


class LineQueue:
    """
    Holds finished lines until they are written, up to a number of lines and of bytes, memory's overhead included.

    ``put`` never raises; safe in any thread, in a signal handler, in ``__del__`` and from inside of itself. As long as there is room it
    takes no lock, and it wakes the writer once for many lines. Where there is none, the policy says what goes:

    - "level-aware": DEBUG above four fifths of the bound, INFO above nine tenths; WARNING and above are dropped only where no line
      below WARNING is left in the queue for them to displace.
    - "drop-newest": the line that comes.
    - "drop-oldest": those that have waited longest.
    - "block": ``put`` waits for room, up to ``timeout`` seconds, and drops the line then. It does not wait where `may_wait` forbids it,
      nor in the thread that writes, nor when the process ends: there a line of WARNING or above displaces those below, and any
      other is dropped.

    The bounds hold to within one line of each thread that logs at the same moment. One thread at a time may take.
    """

    _has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()

    def __init__(
        self, max_lines: int = 200_000, max_bytes: int = 64 * 1024 * 1024, policy: str = QUEUE_POLICIES[0], timeout: float = 1.0
    ) -> None:
        self.max_lines, self.max_bytes, self.policy, self.timeout = max_lines, max_bytes, policy, timeout
        self.finish: Callable[[list[Any]], None] = lambda _entries: None
        """Makes lines, in place, of the calls among what is taken."""
        self.renew()

    def renew(self) -> None:
        """Begin empty, as in a forked child: what is waiting is the parent's, and its locks may be held for ever."""
        self._lock = threading.RLock()
        self._lines: deque[Any] = deque()  # lines, and calls of which there is to be one
        self._front: deque[Any] = deque()  # what was kept of the lines among which room was made: before the others
        self._batch: list[bytes] = []  # under way to the file: before all
        self._batch_bytes = 0
        self._bytes = 0  # of all three
        self._drops = Drops()
        self._wake: SimpleQueue[None] = SimpleQueue()  # its put() may be called by whoever interrupts its put()
        self._is_awake = self._is_urgent = self._has_taken = False
        self._gates: deque[threading.Lock] = deque()
        self.writer: int | None = None
        """The thread that takes, by its identifier, while there is one: it never waits for room."""
        self.is_served = True
        """Whether it is worth waiting for room; not where the process ends and nobody is left to make any."""
        self._easy_bytes = self.max_bytes * self._tenths(_Debug) // 10 - _MAX_LINE
        self._set_easy_lines()

    def put(self, line: bytes, level: int) -> bool:
        """Append a line, or drop it and count it. Says whether it was taken."""
        if level != INFO:
            line = (_KIND_OF.get(level) or _kind_of(level))(line)
        if self._bytes > self._easy_bytes or len(self._lines) >= self._easy_lines:
            if not self._put_with_care(line):
                return False
        else:
            # First the size, for with no call in it nothing comes between the read and the write of `+=` under the GIL.
            size = len(line) + OVERHEAD
            self._bytes += size
            self._lines.append(line)
        if level >= ERROR:
            self._is_awake = True
            self.wake()
        elif not self._is_awake:
            self._is_awake = True
            self._wake.put(None)
        return True

    def put_call(self, call: tuple[Any, ...]) -> bool:
        """Append what a call has said at INFO, of which `finish` makes a line; or drop it and count it. Says whether it was taken."""
        if self._bytes > self._easy_bytes or len(self._lines) >= self._easy_lines:
            if self._drop_at_once(call):
                return False
            entries: list[Any] = [call]
            self.finish(entries)
            return self.put(entries[0], INFO)
        self._bytes += CALL_BYTES
        self._lines.append(call)
        if not self._is_awake:
            self._is_awake = True
            self._wake.put(None)
        return True

    def wake(self) -> None:
        """Have the writer come at once."""
        if not self._is_urgent:
            self._is_urgent = True
            self._wake.put(None)

    def wait(self, seconds: float) -> None:
        """
        Wait, in the writer, until there is something: at once for an error, else a little while, so that more comes along.

        While lines keep coming nobody wakes it. Returns after a number of seconds if there was nothing.
        """
        if self._is_awake and not self._has_taken:
            with self._lock:
                self._is_awake = False  # before the look: who puts a line after it, wakes us
                self._is_awake = bool(self._lines or self._front)
        self._has_taken = False
        try:
            if not self._is_awake:
                self._wake.get(timeout=seconds)
            if not self._is_urgent:
                self._wake.get(timeout=min(seconds, _TICK))
            while True:  # one turn is enough for however many there were
                self._wake.get_nowait()
        except Empty:
            pass
        with self._lock:
            self._is_urgent = False  # before the lines are taken: who comes later wakes again

    def take(self) -> list[bytes]:
        """
        Give the lines that are to be written next, in order; an empty list where there are none.

        Until they are taken from this list, and `settle` is called, they count as waiting, and are given again.
        """
        batch: list[Any] = self._batch
        if not batch:
            with self._lock:
                size = 0
                for lines in (self._front, self._lines):
                    while lines and size < _BATCH_BYTES:
                        count = 1 if len(lines[0]) > _BATCH_BYTES // _CHUNK else min(len(lines), _CHUNK)
                        # In one go: what an exception out of a signal handler interrupts would be lost.
                        batch.extend(map(deque.popleft, repeat(lines, count)))
                        size += count * CALL_BYTES // 2 if type(batch[-1]) is tuple else sum(map(len, batch[-count:]))
                self._batch_bytes = size + len(batch) * OVERHEAD
                self._has_taken = self._has_taken or bool(batch)
                self._set_easy_lines()
        calls = list(map(type, batch)).count(tuple)
        if calls:
            counted = calls * CALL_BYTES
            if calls < len(batch):
                counted += sum(len(entry) + OVERHEAD for entry in batch if type(entry) is not tuple)
            self.finish(batch)
            with self._lock:
                self._batch_bytes = sum(map(len, batch)) + len(batch) * OVERHEAD
                self._bytes += self._batch_bytes - counted
        return batch

    def settle(self) -> None:
        """Give back the room of those lines of the batch that are written."""
        with self._lock:
            size = sum(map(len, self._batch)) + len(self._batch) * OVERHEAD
            freed = self._batch_bytes - size
            self._batch_bytes = size
            self._bytes -= freed
            if not (self._batch or self._front or self._lines):
                self._bytes = 0  # whatever an exception out of a signal handler has left of a line that never came
            self._set_easy_lines()
        with suppress(IndexError):
            while True:
                self._gates.popleft().release()

    def take_unsaid(self) -> dict[str, int]:
        """Give the facts about what was dropped since this was last asked: they are to be said in the log."""
        with self._lock:
            return self._drops.take_unsaid()

    def totals(self) -> dict[str, int]:
        """Give the facts about all that was dropped."""
        with self._lock:
            return self._drops.totals()

    @property
    def dropped(self) -> int:
        """How many lines were dropped."""
        with self._lock:
            return self._drops.total

    def dropped_by_reason(self) -> dict[str, int]:
        """How many lines were dropped, for each of `drops.REASONS` that there was."""
        with self._lock:
            return self._drops.by_reason()

    def dropped_by_level(self) -> dict[str, int]:
        """How many lines were dropped of each level that there was, in lower case."""
        with self._lock:
            return self._drops.by_level()

    def __len__(self) -> int:
        with self._lock:
            return len(self._batch) + len(self._front) + len(self._lines)

    @property
    def waiting_bytes(self) -> int:
        """What the waiting lines take in memory, in bytes."""
        return max(self._bytes, 0)

    @property
    def is_interrupted(self) -> bool:
        """Whether the caller, a signal handler, has interrupted code that holds the lock: nothing is taken before it returns."""
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

    def _set_easy_lines(self) -> None:
        """Set the number of lines, of those that wait as they came, up to which a line is taken with no lock."""
        # Without the GIL `+=` on an attribute is more than one step.
        easy = self.max_lines * self._tenths(_Debug) // 10 if self._has_gil else 0
        self._easy_lines = easy - len(self._batch) - len(self._front)

    def _tenths(self, kind: type[bytes]) -> int:
        """Give how much of the bounds there is for lines of a kind."""
        if self.policy != "level-aware":
            return 10
        return 8 if kind is _Debug else 9 if kind is bytes else 10

    def _put_with_care(self, line: bytes) -> bool:
        size = len(line) + OVERHEAD
        reason = self._append_where_room(line, size, displaces=self.policy == "level-aware")
        if reason and self.policy == "block":
            reason = self._append_in_time(line, size) if self._may_wait(size) else self._append_where_room(line, size)
        if reason:
            self._count(reason, line)
        return not reason

    def _append_where_room(self, line: bytes, size: int, *, displaces: bool = True) -> str:
        """Append a line if there is room or room can be made; give the reason for which it is to be dropped, or nothing."""
        policy, kind = self.policy, type(line)
        with self._lock:
            tenths = self._tenths(kind)
            if not self._has_room(size, tenths):
                if policy == "drop-oldest":
                    self._drop_oldest(size)
                elif displaces and kind not in _GOES_FIRST and policy != "drop-newest":
                    self._displace(size)
                if not self._has_room(size, tenths):
                    return "level" if policy == "level-aware" else "newest"
            self._bytes += size
            self._lines.append(line)
        return ""

    def _has_room(self, size: int, tenths: int) -> bool:
        waiting = len(self._batch) + len(self._front) + len(self._lines)
        return self._bytes + size <= self.max_bytes * tenths // 10 and waiting < self.max_lines * tenths // 10

    def _drop_oldest(self, size: int) -> None:
        with suppress(IndexError):  # there is none left: who interrupts this may have dropped the last
            while not self._has_room(size, 10):
                self._drop((self._front or self._lines).popleft(), "oldest")
        self._set_easy_lines()

    def _displace(self, size: int) -> None:
        """Drop the oldest lines below WARNING for one that is more; look at each line once, and at so many in one call."""
        searched = 0
        with suppress(IndexError):
            while searched < _MAX_SEARCHED and not self._has_room(size, 10):
                searched += 1
                line = self._lines.popleft()
                if type(line) in _GOES_FIRST:
                    self._drop(line, "level")
                else:
                    self._front.append(line)
        self._set_easy_lines()

    def _drop_at_once(self, call: tuple[Any, ...]) -> bool:
        """Drop a call that there is no room for, before a line is made of it; where the policy makes no room for one of INFO."""
        if self.policy not in ("level-aware", "drop-newest"):
            return False
        with self._lock:
            if self._has_room(CALL_BYTES, self._tenths(bytes)):
                return False
            self._count("level" if self.policy == "level-aware" else "newest", call)
        return True

    def _drop(self, line: Any, reason: str) -> None:
        self._bytes -= CALL_BYTES if type(line) is tuple else len(line) + OVERHEAD
        self._count(reason, line)

    def _count(self, reason: str, line: Any) -> None:
        with self._lock:
            self._drops.count(reason, _NAMES[type(line)])

    def _may_wait(self, size: int) -> bool:
        if size > self.max_bytes or not self.is_served or self.writer == threading.get_ident():
            return False
        return not self.is_interrupted and may_wait()

    def _append_in_time(self, line: bytes, size: int) -> str:
        """Append a line as soon as there is room; give the reason for which it is to be dropped, or nothing."""
        deadline = time.monotonic() + self.timeout
        while True:
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
            try:
                if not self._append_where_room(line, size, displaces=False):
                    return ""
                if not gate.acquire(timeout=max(deadline - time.monotonic(), 0)):
                    return "timeout"
            except BaseException:  # what a signal handler raises
                self._count("timeout", line)
                raise
            finally:
                with suppress(ValueError):
                    self._gates.remove(gate)
