"""The one thread that takes lines from the queue to the file and to the console, and survives what happens to either."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from contextvars import Context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from trackline.logs.stderr import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trackline.logs.console import Console
    from trackline.logs.files import LogFile
    from trackline.logs.queue import LineQueue
    from trackline.logs.schema import Schema

_RETRY_SECONDS = 0.5
_WARN_SECONDS = 60.0
_SAY_SECONDS = 1.0
_EXIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LogStats:
    """What a process has logged so far, and what waits: ``written + dropped + queued`` is what was logged."""

    written: int
    """Lines that are in the file (or, with no file, on the console), without our own: those that open and close it, and log-drop."""
    dropped: int
    """Lines for which there was no room in the queue."""
    queued: int
    """Lines that wait to be written, those under way included."""
    queued_bytes: int
    """What they take in memory."""
    errors: int
    """Failed attempts to write; the lines waited and were tried again."""
    path: Path | None
    """The live file, once there is one."""
    suppressed: int = 0
    """Lines that were left out by sampling or a rate limit."""
    dropped_by_reason: Mapping[str, int] = field(default_factory=dict)
    """``level``, ``newest``, ``oldest``, ``timeout``: see ``queue_policy``; those that there were."""
    dropped_by_level: Mapping[str, int] = field(default_factory=dict)
    """``debug`` (below INFO), ``info``, ``warning``, ``error``, ``critical``; those that there were."""
    written_bytes: int = 0
    """What is in the file, ours included."""
    rotations: int = 0
    """Files that were ended and renamed."""
    rotation_errors: int = 0
    """Failed attempts to rename or to compress one; lines are written all the same."""


class LogWriter:
    """
    Writes what is in a queue, in a daemon thread that starts with the first line, and anew in a forked child.

    Lines that the file does not take (disk full, directory gone, no permission) wait in the queue, within its bound, and are tried
    again; stderr says so once a minute. The console never makes the file wait for more than its reader does.
    """

    is_exiting = False
    """Whether the process ends: a thread that starts now would be killed with it, so who logs writes."""

    is_running = False
    """Whether the thread is there."""

    def __init__(self, queue: LineQueue, schema: Schema, file: LogFile | None, console: Console | None) -> None:
        self._queue, self._schema, self._file, self._console = queue, schema, file, console
        self._warned_at = -_WARN_SECONDS
        if file is not None:
            file.complain = self._complain
        self._has_given_up = False
        self._renew()
        _writers.add(self)

    def _renew(self) -> None:
        self._thread: threading.Thread | None = None
        self.is_running = False
        self._starting = threading.Lock()
        self._writing = threading.RLock()
        self._is_writing = False
        self._is_reopening = False
        self._stop: SimpleQueue[None] = SimpleQueue()  # an Event's lock is no place to be interrupted at by a signal handler
        self._cycles = self._written = self._errors = 0
        self._notice: list[bytes] = []  # made, and not in the file yet
        self._closing_id: str | None = None
        self._said_drops_at = 0.0

    def renew_in_child(self) -> None:
        """Begin anew after a fork: what waits, the file, its lock, and the thread are the parent's."""
        self._queue.renew()
        if self._file is not None:
            self._file.forget()
        self._renew()

    def start(self) -> None:
        """Start the thread, if it is not there; where none can be started any more (at exit), write on this one."""
        if not self._starting.acquire(blocking=False):
            return  # somebody is at it, perhaps ourselves: a signal handler or a warning may log from here
        try:
            if self._thread is not None:
                return
            if self.is_exiting:
                self._drain(_EXIT_SECONDS)
                return
            stop: SimpleQueue[None] = SimpleQueue()
            thread = threading.Thread(target=self._run, args=(stop,), name="trackline-writer", daemon=True)
            try:
                # In a context of its own: OTel's threading instrumentation gives a thread that of whoever starts it, a request's.
                Context().run(thread.start)
            except RuntimeError:
                self._drain()
            finally:
                if thread.ident is not None:  # also where a signal handler has raised
                    self._stop, self._thread, self.is_running = stop, thread, True
        finally:
            self._starting.release()

    def flush(self, timeout: float = 5.0) -> bool:
        """
        Have everything written that was logged before, within a number of seconds; says whether it was.

        In a signal handler that has interrupted a log call it writes itself, and does not wait where the thread is at it: that goes on
        only when the handler has returned.
        """
        deadline = time.monotonic() + self._within(timeout)
        if self._thread is None:
            if not len(self._queue):
                return True
            self.start()
        thread = self._thread
        if thread is None:  # there can be none, or somebody is about to start it, perhaps who was interrupted by this
            return self._drain(timeout) and not len(self._queue)
        if thread is threading.current_thread():
            return not len(self._queue)
        target = self._cycles + 2  # the cycle that runs now may have begun before
        while len(self._queue) or self._cycles < target:
            self._queue.wake()
            if self._queue.is_interrupted:
                self._drain(0)
                return not len(self._queue)
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

        Takes no longer than ``timeout`` seconds, also where the disk stands still: then stderr says how many lines were not written,
        and they wait on for as long as the process lives. A line that is logged afterwards starts it all again. In a signal handler
        that has interrupted a log call it is as with `flush`: what is left then is written once the handler returns, and counted on
        stderr where the process ends instead.
        """
        deadline = time.monotonic() + self._within(timeout)
        self._queue.is_served = not self.is_exiting
        self.end()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            if self._queue.is_interrupted:
                return self._close_interrupted(deadline - time.monotonic())
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                self._say_last(f"{len(self._queue)} lines were not written within {timeout:.2g} s", is_last=self.is_exiting)
                return len(self._queue)
        is_written = True
        if self._thread is None and (len(self._queue) or (self._file is not None and self._file.is_open)):
            is_written = self._drain(deadline - time.monotonic())
            self._finish(is_written=is_written, timeout=deadline - time.monotonic())
        if self.is_exiting and not is_written and len(self._queue):  # else they are of a thread that logs on, and writes them itself
            self._say_last(f"{len(self._queue)} lines could not be written", is_last=True)
        return len(self._queue)

    def _close_interrupted(self, timeout: float) -> int:
        is_written = self._drain(timeout if self.is_exiting else 0)
        if self.is_exiting:
            self._finish(is_written=is_written and not len(self._queue), timeout=0)
            if len(self._queue):
                self._say_last(f"{len(self._queue)} lines were not written: a signal has interrupted what they wait for", is_last=True)
        return len(self._queue)

    def end(self) -> None:
        """Tell the thread to write what waits and to end; `close` waits for it."""
        if self._thread is not None:
            self._stop.put(None)
            self._queue.wake()

    def stats(self) -> LogStats:
        """Give the figures of this process."""
        queue, file = self._queue, self._file
        return LogStats(
            self._written,
            queue.dropped,
            len(queue),
            queue.waiting_bytes,
            self._errors,
            file.path if file else None,
            dropped_by_reason=queue.dropped_by_reason(),
            dropped_by_level=queue.dropped_by_level(),
            written_bytes=file.written_bytes if file else 0,
            rotations=file.rotations if file else 0,
            rotation_errors=file.rotation_errors if file else 0,
        )

    def _run(self, stop: SimpleQueue[None]) -> None:
        queue, file = self._queue, self._file
        is_written = True
        queue.writer = threading.get_ident()
        try:
            while stop.empty():
                if is_written:
                    queue.wait(file.seconds_to_rollover() if file else 60.0)
                else:
                    with contextlib.suppress(Empty):
                        stop.put(stop.get(timeout=_RETRY_SECONDS))
                is_written = self._drain()
            is_written = self._drain()
            self._finish(is_written=is_written)
        finally:  # whatever has happened, the next line starts another
            queue.writer = None
            self.is_running, self._thread = False, None
        # Who logged in between saw that there was a thread.
        if is_written and len(queue):
            self.start()

    def _drain(self, timeout: float = -1) -> bool:
        """Write what is in the queue now; says whether all of it was taken. Waits for who writes already, at most so many seconds."""
        if not self._writing.acquire(timeout=timeout if timeout == -1 else max(timeout, 0)):
            return False
        try:
            if self._is_writing:
                return False  # we are a signal handler, or a stream that logs, in the midst of it
            self._is_writing = True
            before, self._queue.writer = self._queue.writer, threading.get_ident()
            try:
                remaining = len(self._queue)
                while remaining > 0 and (batch := self._queue.take()):
                    remaining -= len(batch)
                    self._write(batch)
                    if time.monotonic() - self._said_drops_at > _SAY_SECONDS:
                        self._say_drops()
                self._say_drops()  # now that there is room for it
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
                self._queue.writer = before
                self._is_writing = False
                self._cycles += 1
            return True
        finally:
            self._writing.release()

    def _write(self, batch: list[bytes]) -> None:
        """Write lines of the application."""
        waiting = len(batch)
        try:
            self._output(batch)
        finally:
            self._written += waiting - len(batch)
            self._queue.settle()

    def _say_drops(self) -> None:
        if not self._notice and (facts := self._queue.take_unsaid()):
            self._said_drops_at = time.monotonic()
            message = f"{facts['dropped']} lines were dropped: the queue was full"
            self._notice.append(self._schema.notice("log-drop", message, facts))
        if self._notice:
            self._output(self._notice)

    def _output(self, batch: list[bytes]) -> None:
        """Write lines to where they go, and take from the list what is in the file (or, with no file, on the console)."""
        lines = list(batch) if self._console is not None else []
        try:
            if self._file is not None:
                self._file.write(batch)
        finally:
            if self._file is not None:
                del lines[len(lines) - len(batch) :]
            if self._console is not None and lines:
                with contextlib.suppress(Exception):  # nobody reads it any more, or it is no real stream
                    self._console.write(b"".join(lines))
            if self._file is None:
                batch.clear()

    def _finish(self, *, is_written: bool, timeout: float = -1) -> None:
        if not self._writing.acquire(timeout=timeout if timeout == -1 else max(timeout, 0)):
            return
        try:
            file = self._file
            if file is None or self._is_writing:
                return
            # Not after lines that could not be written: it says that there are no more.
            if file.is_open and is_written:
                self._closing_id = self._closing_id or self._schema.resource.event_id()  # one that could not be written is not missing
                facts = {"lines": self._written, **self._queue.totals()}
                line = self._schema.encode_notice(self._closing_id, "log-close", "the log of this process ends here", facts)
                with contextlib.suppress(OSError):
                    file.write([line])
                    self._closing_id = None
            file.close()
        finally:
            self._writing.release()

    def _within(self, timeout: float) -> float:
        """Give the seconds that there are: at the end of the process all there is has been waited once."""
        return 0.0 if self.is_exiting and self._has_given_up else timeout

    def _say_last(self, what: str, *, is_last: bool) -> None:
        """Say what is not written, whatever was said in the last minute; at the end of the process once."""
        if not (is_last and self._has_given_up):
            self._has_given_up = is_last
            self._warned_at = -_WARN_SECONDS
            self._complain(what)

    def _complain(self, what: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            say(what)


_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


def all_writers() -> list[LogWriter]:
    """Give the writers of this process."""
    return list(_writers)


def _renew_all() -> None:
    for writer in all_writers():
        writer.renew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
