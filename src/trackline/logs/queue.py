"""The bounded queue between those who log and the one thread that writes; what it has no room for, it counts."""

from __future__ import annotations

import threading
from collections import deque
from logging import WARNING
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 64 * 1024 * 1024
MAX_LINES = 200_000
_TICK = 0.05
_HEADROOM = 10  # a tenth
_BATCH_BYTES = 256 * 1024


class LineQueue:
    """
    Holds finished lines until the writer takes them, up to a number of lines and of bytes.

    `put` never blocks and never raises; safe in any thread, in a signal handler, in ``__del__`` and from inside of itself: it takes no
    lock on its way, and wakes the writer once for many lines. When the queue is full, lines below WARNING are dropped first; a tenth
    of the bound is kept for WARNING and above. The bounds hold to within a few lines where many threads log at once.
    """

    def __init__(self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self.max_lines, self.max_bytes = max_lines, max_bytes
        self.renew()

    def renew(self) -> None:
        """Begin empty, as in a forked child: what is waiting is the parent's, and its locks may be held for ever."""
        self._lines: deque[bytes] = deque()
        self._wake: SimpleQueue[bool] = SimpleQueue()  # its put() may be called by whoever interrupts its put()
        self._is_waking = False
        self._bytes = 0
        self._dropped_lock = threading.RLock()
        self.dropped = 0
        self._unsaid = 0

    def put(self, line: bytes, level: int) -> bool:
        """Append a line, or drop it and count it. Says whether it was taken."""
        lines, size = self._lines, len(line)
        waiting = self._bytes + size
        if (waiting > self.max_bytes or len(lines) >= self.max_lines) and not (
            level >= WARNING
            and waiting <= self.max_bytes + self.max_bytes // _HEADROOM
            and len(lines) < self.max_lines + self.max_lines // _HEADROOM
        ):
            with self._dropped_lock:
                self.dropped += 1
                self._unsaid += 1
            return False
        lines.append(line)
        # No lock: with no call in it, nothing comes between its read and its write under the GIL; the writer sets it right whenever it
        # has all.
        self._bytes += size
        if level > WARNING:
            self._wake.put(True)
        elif not self._is_waking:
            self._is_waking = True
            self._wake.put(False)
        return True

    def wake(self) -> None:
        """Have the writer come at once."""
        self._wake.put(True)

    def wait(self, seconds: float) -> None:
        """Wait, in the writer, until there is something: at once for an error, else a little while, so that more comes along."""
        try:
            is_urgent = self._wake.get(timeout=seconds)
            while not is_urgent:
                is_urgent = self._wake.get(timeout=_TICK)
            while True:  # one turn is enough for however many errors there were
                self._wake.get_nowait()
        except Empty:
            pass
        self._is_waking = False  # before the lines are taken: who comes later wakes again

    def take(self) -> list[bytes]:
        """Take the next lines, in order, as many as are to be written at once; an empty list where there is none."""
        lines, batch, size = self._lines, [], 0
        while lines and size < _BATCH_BYTES:
            line = lines.popleft()
            batch.append(line)
            size += len(line)
        self._bytes -= size
        if not lines:
            self._bytes = 0
        return batch

    def put_back(self, batch: Sequence[bytes]) -> None:
        """Return lines which could not be written, in front."""
        self._lines.extendleft(reversed(batch))
        self._bytes += sum(map(len, batch))

    def take_unsaid(self) -> int:
        """Give how many lines were dropped since this was last asked: it is to be said in the log."""
        with self._dropped_lock:
            count, self._unsaid = self._unsaid, 0
        return count

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def bytes(self) -> int:
        """How many bytes are waiting."""
        return max(self._bytes, 0)
