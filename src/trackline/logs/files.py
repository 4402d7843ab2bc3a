"""One file a process: written in whole lines, a new one each day, the old ones kept for a number of days."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trackline.logs.place import Place, safe_name
from trackline.logs.retention import delete_old

if TYPE_CHECKING:
    from collections.abc import Callable

_MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class LogFile:
    """
    The file of this process: ``app.log``, renamed to ``app.log.2026-11-21`` at local midnight. Only the writer thread uses it.

    Opened at the first line, and again where somebody has moved or deleted it, or its directory. ``opening`` makes the line that each
    file opens with.
    """

    def __init__(self, directory: Path, name: str, retention_days: int, opening: Callable[[Path], bytes]) -> None:
        self._directory = directory
        self._name = safe_name(name)
        self._retention_days = retention_days
        self._opening = opening
        self._opening_line = b""
        self._place: Place | None = None
        self._descriptor: int | None = None
        self._next_rollover = 0.0

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
        Append whole lines: one call of the system for all of them, where it takes them all.

        The lines that are in the file are gone from the list. Raises OSError where not all of them are, and half a line is gone from
        the file: so the same list may be given again.
        """
        descriptor = self._descriptor
        if descriptor is None or time.time() >= self._next_rollover or not self._is_in_place(descriptor):
            descriptor = self._open()
        _append(descriptor, lines)

    def seconds_to_rollover(self) -> float:
        """How long until the file of today is to be closed, at most a minute: clocks are set."""
        return min(max(self._next_rollover - time.time(), 0.0), 60.0) if self._descriptor is not None else 60.0

    def roll_over(self) -> None:
        """Close a file whose day is over, also when nothing is logged."""
        if self._descriptor is not None and time.time() >= self._next_rollover:
            self._open()

    def close(self) -> None:
        """Close the file and give up its place."""
        self._close_descriptor()
        place, self._place = self._place, None
        if place is not None:
            place.release()

    def forget(self) -> None:
        """Close what a forked child has of its parent's file: the next line opens one of its own."""
        self.close()
        self._opening_line = b""

    def _close_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, None  # first: a fork in between must not close it twice
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return self._place is not None and os.path.samestat(os.fstat(descriptor), self._place.path.lstat())
        except OSError:
            return False

    def _open(self) -> int:
        self._close_descriptor()
        if self._place is not None and (not self._place.is_held or self._place.path.is_symlink()):
            self.close()
        if self._place is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._place = Place(self._directory, self._name)
        path = self._place.path
        today = datetime.fromtimestamp(time.time()).astimezone().date()
        # Where the name cannot be changed (a directory that is not ours, say) the file goes on: the lines matter more.
        with suppress(OSError):
            status = path.lstat()
            written_on = datetime.fromtimestamp(status.st_mtime).astimezone().date()
            if written_on < today and status.st_size:
                path.rename(_free_name(path, written_on.isoformat()))
        descriptor = os.open(path, _FLAGS, _MODE)
        try:
            self._begin(descriptor, path)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._next_rollover = _midnight_after(today).timestamp()
        with suppress(OSError):
            delete_old(self._directory, self._name, time.time() - self._retention_days * 86_400, path)
        return descriptor

    def _begin(self, descriptor: int, path: Path) -> None:
        # Kept until it is in a file: it is counted, and a number that is missing says that a line is.
        self._opening_line = self._opening_line or self._opening(path)
        size = os.fstat(descriptor).st_size
        # A process that was killed may have left half a line: ours must not be glued to it.
        is_whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
        _append(descriptor, [self._opening_line if is_whole else b"\n" + self._opening_line])
        self._opening_line = b""


def _append(descriptor: int, lines: list[bytes]) -> None:
    data = b"".join(lines)
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:] if written else data)
        lines.clear()
    except OSError:
        whole = 0
        while lines and len(lines[0]) <= written - whole:
            whole += len(lines.pop(0))
        if written > whole:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - (written - whole))
        raise


def _midnight_after(today: date) -> datetime:
    # A day is not always 24 hours: the system's zone knows.
    return datetime.combine(today + timedelta(days=1), datetime.min.time()).astimezone()


def _free_name(path: Path, day: str) -> Path:
    candidate, number = Path(f"{path}.{day}"), 0
    while candidate.exists() or Path(f"{candidate}.gz").exists() or Path(f"{candidate}.zst").exists():
        number += 1
        candidate = Path(f"{path}.{day}.{number}")
    return candidate
