"""The one thread that takes lines from the queue to the file and to the console, and survives what happens to either."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from contextvars import Context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from trackline.logs.console import Console
    from trackline.logs.files import LogFile
    from trackline.logs.queue import LineQueue
    from trackline.logs.schema import Schema

_RETRY_SECONDS = 0.5
_WARN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LogStats:
    """What a process has logged so far, and what waits."""

    written: int
    """Lines that are in the file (or, with no file, on the console), without those that open and close it."""
    dropped: int
    """Lines for which there was no room in the queue."""
    queued: int
    """Lines that wait to be written."""
    queued_bytes: int
    """Their size."""
    errors: int
    """Failed attempts to write; the lines waited and were tried again."""
    path: Path | None
    """The live file, once there is one."""
    suppressed: int = 0
    """Lines that were left out by sampling or a rate limit."""


class LogWriter:
    """
    Writes what is in a queue, in a daemon thread that starts with the first line, and anew in a forked child.

    Lines that the file does not take (disk full, directory gone, no permission) wait in the queue, within its bound, and are tried
    again; stderr says so once a minute. The console never makes the file wait for more than its reader does.
    """

    is_exiting = False
    """Whether the process ends: a thread that starts now would be killed with it, so who logs writes."""

    def __init__(self, queue: LineQueue, schema: Schema, file: LogFile | None, console: Console | None) -> None:
        self._queue, self._schema, self._file, self._console = queue, schema, file, console
        self._warned_at = -_WARN_SECONDS
        if file is not None:
            file.complain = self._complain
        self._has_said_last = False
        self._renew()
        _writers.add(self)

    def _renew(self) -> None:
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._writing = threading.RLock()
        self._is_writing = False
        self._is_reopening = False
        self._stop: SimpleQueue[None] = SimpleQueue()  # an Event's lock is no place to be interrupted at by a signal handler
        self._cycles = self._written = self._errors = 0

    def renew_in_child(self) -> None:
        """Begin anew after a fork: what waits, the file, its lock, and the thread are the parent's."""
        self._queue.renew()
        if self._file is not None:
            self._file.forget()
        self._renew()

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, if it is not there; where none can be started any more (at exit), write on this one."""
        if not self._starting.acquire(blocking=False):
            return  # somebody is at it, perhaps ourselves: a signal handler or a warning may log from here
        try:
            if self._thread is not None:
                return
            if self.is_exiting:
                self._drain()
                return
            stop: SimpleQueue[None] = SimpleQueue()
            thread = threading.Thread(target=self._run, args=(stop,), name="trackline-writer", daemon=True)
            # In a context of its own: OTel's threading instrumentation gives a thread that of whoever starts it, a request's.
            Context().run(thread.start)
            self._stop, self._thread = stop, thread
        except RuntimeError:
            self._drain()
        finally:
            self._starting.release()

    def flush(self, timeout: float = 5.0) -> bool:
        """Have everything written that was logged before, within a number of seconds; says whether it was."""
        deadline = time.monotonic() + timeout
        thread = self._thread
        if thread is None:
            return self._drain() if len(self._queue) else True
        if thread is threading.current_thread():
            return False
        target = self._cycles + 2  # the cycle that runs now may have begun before
        while len(self._queue) or self._cycles < target:
            self._queue.wake()
            if time.monotonic() >= deadline or not thread.is_alive():
                return not len(self._queue)
            time.sleep(0.002)  # and no lock or event: this is called from signal handlers
        return True

    def reopen(self) -> None:
        """Have the file opened anew, soon, if it is not where it was; safe in a signal handler."""
        self._is_reopening = True
        self._queue.wake()

    def close(self, timeout: float = 5.0) -> int:
        """
        Write what waits and a closing line, close the file, end the thread; give the number of lines that could not be written.

        Takes no longer than ``timeout`` seconds. A line that is logged afterwards starts it all again.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._stop.put(None)
            self._queue.wake()
            thread.join(timeout)
            if thread.is_alive():
                self._complain(f"{len(self._queue)} lines were not written within {timeout:g} s")
                return len(self._queue)
        if self._thread is None and (len(self._queue) or (self._file is not None and self._file.is_open)):
            self._finish(is_written=self._drain())
        if self.is_exiting and len(self._queue) and not self._has_said_last:
            self._has_said_last = True
            self._warned_at = -_WARN_SECONDS
            self._complain(f"{len(self._queue)} lines could not be written")
        return len(self._queue)

    def stats(self) -> LogStats:
        """Give the figures of this process."""
        queue, file = self._queue, self._file
        path = file.path if file else None
        return LogStats(self._written, queue.dropped, len(queue), queue.bytes, self._errors, path)

    def _run(self, stop: SimpleQueue[None]) -> None:
        file = self._file
        is_written = True
        while stop.empty():
            if is_written:
                self._queue.wait(file.seconds_to_rollover() if file else 60.0)
            else:
                with contextlib.suppress(Empty):
                    stop.put(stop.get(timeout=_RETRY_SECONDS))
            is_written = self._drain()
        is_written = self._drain()
        self._finish(is_written=is_written)
        self._thread = None
        # Who logged in between saw that there was a thread.
        if is_written and len(self._queue):
            self.start()

    def _drain(self) -> bool:
        """Write what is in the queue now; says whether all of it was taken."""
        with self._writing:
            if self._is_writing:
                return False  # we are a signal handler, or a stream that logs, in the midst of it
            self._is_writing = True
            try:
                remaining = len(self._queue)
                while remaining > 0 and (batch := self._queue.take()):
                    remaining -= len(batch)
                    self._write(batch)
                if count := self._queue.take_unsaid():  # now that there is room for it
                    facts = {"dropped": count}
                    self._write([self._schema.notice("log-drop", f"{count} lines were dropped: the queue was full", facts)])
                if self._file is not None:
                    self._file.roll_over()
                    if self._is_reopening:
                        self._is_reopening = False
                        self._file.reopen()
            except Exception as error:  # noqa: BLE001  (OSError; and with any other, too, the lines after it are to be written)
                self._errors += 1
                self._complain(f"cannot write {self._file.path if self._file else 'the log'}: {error}; the lines wait, up to a bound")
                return False
            finally:
                self._is_writing = False
                self._cycles += 1
            return True

    def _write(self, batch: list[bytes]) -> None:
        lines = list(batch)
        try:
            if self._file is None:
                batch.clear()
            else:
                self._file.write(batch)  # and takes from the list what is in the file
        finally:
            self._queue.put_back(batch)
            del lines[len(lines) - len(batch) :]
            self._written += len(lines)
            if self._console is not None and lines:
                with contextlib.suppress(Exception):  # nobody reads it any more, or it is no real stream
                    self._console.write(b"".join(lines))

    def _finish(self, *, is_written: bool) -> None:
        with self._writing:
            file = self._file
            if file is None or self._is_writing:
                return
            # Not after lines that could not be written: it says that there are no more.
            if file.is_open and is_written:
                facts = {"lines": self._written, "dropped": self._queue.dropped}
                with contextlib.suppress(OSError):
                    file.write([self._schema.notice("log-close", "the log of this process ends here", facts)])
            file.close()

    def _complain(self, what: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            with contextlib.suppress(Exception):  # stderr may be closed; there is nowhere else to say it
                print(f"trackline: {what}", file=sys.stderr)  # noqa: T201


_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


def all_writers() -> list[LogWriter]:
    """Give the writers of this process."""
    return list(_writers)


def _renew_all() -> None:
    for writer in all_writers():
        writer.renew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
