"""One file a process: written in whole lines, a new one each period or size, and opened anew wherever it went."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from trackline.logs.compression import Compression
from trackline.logs.names import LogName, read_name, safe_name
from trackline.logs.opening import close_own, make_directory, open_log
from trackline.logs.place import Place, may_be_written
from trackline.logs.retention import Retention, delete_old
from trackline.logs.rotation import DAY, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackline.config import LogSettings

_AGAIN_SECONDS = 60.0  # after a rename was refused


class LogFile:
    """
    The file of this process: ``app.log``, renamed to ``app.log.2026-11-21`` when its period is over. Only the writer thread uses it.

    Opened at the first line, and again where somebody has moved, deleted or emptied it, or its directory. ``opening`` makes the line
    that each file opens with. ``complain`` is told what goes wrong and does not stop the lines.
    """

    def __init__(self, settings: LogSettings, opening: Callable[[Path], bytes]) -> None:
        self._settings = settings
        self._directory = settings.log_dir
        self._name = safe_name(settings.service_name)
        self._schedule = Schedule(settings.rotate, settings.rotate_zone)
        self._compression: Compression | None = None
        if settings.compress is not None:
            self._compression = Compression(self._directory, self._name, settings.compress, settings.compress_after)
            self._compression.complain = self._say_of_rotation
        self._opening = opening
        self._opening_line = b""
        self.complain: Callable[[str], None] = lambda _: None
        self.written_bytes = self.rotations = self.rotation_errors = 0
        self._place: Place | None = None
        self._last_name: LogName | None = None
        self._forget_descriptor()

    @property
    def path(self) -> Path | None:
        """The live file, once it is known."""
        return self._place.path if self._place else None

    @property
    def is_open(self) -> bool:
        """Whether there is a file to close."""
        return self._descriptor is not None

    def write(self, lines: list[bytes]) -> None:
        """
        Append whole lines: one call of the system for all of them, where it takes them all and the file has room.

        The lines that are in the file are gone from the list. Raises OSError where not all of them are, and half a line is gone from
        the file: so the same list may be given again.
        """
        while lines:
            descriptor = self._ready(len(lines[0]))
            try:
                self._append(descriptor, lines, self._fitting(lines))
            except OSError as error:
                # A limit of the process's, or of the file system: the next file has room, if this one can be renamed.
                if error.errno != errno.EFBIG or self._size <= self._least or time.time() < self._may_roll_at:
                    raise
                self._next_rollover = 0.0

    def seconds_to_rollover(self) -> float:
        """How long until the file is to be closed, at most a minute: clocks are set."""
        return min(max(self._next_rollover - time.time(), 0.0), 60.0) if self._descriptor is not None else 60.0

    def roll_over(self) -> None:
        """Close a file whose period is over, also when nothing is logged."""
        if self._descriptor is not None and time.time() >= self._next_rollover:
            self._ready(0)

    def reopen(self) -> None:
        """Open the file anew if it is not where it was, as after logrotate's rename, also when nothing is logged."""
        if self._descriptor is not None:
            self._ready(0)

    def close(self) -> None:
        """Close the file and give up its place; no other is compressed any more."""
        if self._compression is not None:
            self._compression.stop()
        self._close_descriptor()
        place, self._place = self._place, None
        if place is not None:
            place.release()

    def forget(self) -> None:
        """Close what a forked child has of its parent's files: the next line opens one of its own."""
        if self._compression is not None:
            self._compression.forget()
        self.close()
        self._opening_line = b""
        self._last_name = None
        self.written_bytes = self.rotations = self.rotation_errors = 0

    def _say_of_rotation(self, what: str) -> None:
        self.rotation_errors += 1
        self.complain(what)

    def _forget_descriptor(self) -> None:
        self._descriptor: int | None = None
        self._identity: os.stat_result | None = None
        self._size = self._least = 0
        self._is_torn = False
        self._opened_at = self._next_rollover = self._may_roll_at = 0.0

    def _close_descriptor(self) -> None:
        descriptor, identity = self._descriptor, self._identity
        self._forget_descriptor()  # first: a fork in between must not close it twice
        if descriptor is not None and identity is not None:
            close_own(descriptor, identity)

    def _ready(self, needed: int) -> int:
        """Give the descriptor of a file that is where it should be, is not over, and has room."""
        descriptor, now = self._descriptor, time.time()
        if descriptor is None or self._place is None or not self._is_in_place(descriptor, self._place.path):
            return self._open(needed)
        if now < self._opened_at:  # the clock was set back
            self._opened_at, self._next_rollover = now, self._schedule.next_after(now)
        is_full = self._is_too_small_for(needed) and now >= self._may_roll_at
        if now < self._next_rollover and not is_full:
            return descriptor
        if self._size <= self._least:  # there is nothing in it but its opening
            self._next_rollover = self._schedule.next_after(now)
            return descriptor
        return self._open(needed) if self._rename(self._place.path) else descriptor

    def _is_in_place(self, descriptor: int, path: Path) -> bool:
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False  # closed by somebody who closes all there are, or stale, on a network's file system
        try:
            is_in_place = os.path.samestat(status, os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # we may not look any more; what we have open goes on
        # Emptied by logrotate's copytruncate, or a person's `>`; and perhaps its opening did not go in at first.
        if is_in_place and (status.st_size < self._size or self._opening_line):
            self._begin(descriptor, path)
        return is_in_place

    def _is_too_small_for(self, needed: int) -> bool:
        most = self._settings.max_file_bytes
        return most is not None and self._size + needed > most and self._size > self._least

    def _fitting(self, lines: list[bytes]) -> int:
        """Say how many of the lines there is room for: one at least."""
        most = self._settings.max_file_bytes
        if most is None or self._size + sum(map(len, lines)) <= most or time.time() < self._may_roll_at:
            return len(lines)
        room = most - self._size - len(lines[0])
        for count in range(1, len(lines)):
            room -= len(lines[count])
            if room < 0:
                return count
        return len(lines)

    def _open(self, needed: int) -> int:
        self._close_descriptor()
        if self._place is not None and not (self._place.is_held and may_be_written(self._place.path)):
            self.close()
        if self._place is None:
            make_directory(self._directory)
            self._place = Place(self._directory, self._name)
            if self._place.problem:
                self.complain(self._place.problem)
        path, now = self._place.path, time.time()
        # Kept until it is in a file: it is counted, and a number that is missing says that a line is.
        self._opening_line = self._opening_line or self._opening(path)
        # Where the name cannot be changed (a directory that is not ours, say) the file goes on: the lines matter more.
        is_refused = self._is_over(path, now, needed) and not self._rename(path)
        descriptor = open_log(path, self._settings.file_mode)
        self._delete_old(path, now)  # before it is written to: there may be no room but what this makes
        try:
            self._begin(descriptor, path)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._identity, self._opened_at = descriptor, os.fstat(descriptor), now
        self._next_rollover = now + _AGAIN_SECONDS if is_refused else self._schedule.next_after(now)
        if self._compression is not None:
            self._compression.start()
        return descriptor

    def _is_over(self, path: Path, now: float, needed: int) -> bool:
        try:
            status = path.lstat()
        except OSError:
            return False
        most = self._settings.max_file_bytes
        is_full = most is not None and status.st_size + len(self._opening_line) + needed > most
        return status.st_size > 0 and (is_full or self._schedule.next_after(status.st_mtime) <= now)

    def _begin(self, descriptor: int, path: Path) -> None:
        self._opening_line = self._opening_line or self._opening(path)
        size = os.fstat(descriptor).st_size
        # A process that was killed may have left half a line: ours must not be glued to it.
        self._is_torn = bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
        self._size = self._least = size
        self._append(descriptor, [self._opening_line], 1)
        self._opening_line = b""
        self._least = 0 if size else self._size

    def _append(self, descriptor: int, lines: list[bytes], count: int) -> None:
        data = b"".join(lines if count == len(lines) else lines[:count])
        written = 0
        try:
            if self._is_torn:
                self._size += os.write(descriptor, b"\n")
                self._is_torn = False
            while written < len(data):
                written += os.write(descriptor, data[written:] if written else data)
            del lines[:count]
            self._size += written
            self.written_bytes += written
        except OSError:
            whole = 0
            while lines and len(lines[0]) <= written - whole:
                whole += len(lines.pop(0))
            self._size += written
            self.written_bytes += whole
            self._cut(descriptor, written - whole)
            raise

    def _cut(self, descriptor: int, half: int) -> None:
        """Take half a line away again."""
        if not half:
            return
        try:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - half)
            self._size -= half
        except OSError:  # a file that can only be appended to
            self._is_torn = True

    def _rename(self, path: Path) -> bool:
        """Give the live file the name of its period; says whether it could be."""
        try:
            name = self._free_name(path.name, self._schedule.label(path.lstat().st_mtime))
            path.rename(path.with_name(str(name)))
        except FileNotFoundError:
            return True  # somebody else has just done so
        except OSError as error:
            self._next_rollover = self._may_roll_at = time.time() + _AGAIN_SECONDS
            self._say_of_rotation(f"cannot rename {path}: {error}; it goes on, and is tried again")
            return False
        self.rotations += 1
        self._last_name = name
        return True

    def _free_name(self, live: str, label: str) -> LogName:
        """Give a name that sorts after all there are: not one that retention has freed, either."""
        last = self._last_name
        numbers = [last.number] if last is not None and (last.live, last.period) == (live, label) else []
        for entry in os.listdir(self._directory):  # noqa: PTH208  (names are enough)
            name = read_name(entry, self._name)
            if name is not None and (name.live, name.period) == (live, label):
                numbers.append(name.number)
        return LogName(live, label, max(numbers, default=-1) + 1)

    def _delete_old(self, path: Path, now: float) -> None:
        settings = self._settings
        retention = Retention(now - settings.retention_days * DAY, settings.retention_files, settings.retention_bytes)
        with suppress(OSError):
            delete_old(self._directory, self._name, path, retention)
