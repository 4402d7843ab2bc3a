"""One file a process: written in whole lines, a new one each day, the old ones kept for a number of days."""

from __future__ import annotations

import os
import re
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trackline.logs.place import Place, is_free, safe_name

if TYPE_CHECKING:
    from collections.abc import Callable

_MODE = 0o640


class LogFile:
    """
    The file of this process: ``app.log``, renamed to ``app.log.2026-11-21`` at local midnight. Only the writer thread uses it.

    Opened at the first line. ``write`` gives whole lines to write(2) in one call and raises OSError where that fails; what it has
    written by then it knows, so the same lines may be given again. ``opening`` makes the line that each file opens with.
    """

    def __init__(self, directory: Path, name: str, retention_days: int, opening: Callable[[Path], bytes]) -> None:
        self._directory = directory
        self._name = safe_name(name)
        self._retention_days = retention_days
        self._opening = opening
        self._place: Place | None = None
        self._descriptor: int | None = None
        self._next_rollover = 0.0
        self._written_of_batch = 0
        self.bytes_written = 0

    @property
    def path(self) -> Path | None:
        """The live file, once it is known."""
        return self._place.path if self._place else None

    def write(self, data: bytes) -> None:
        """Append whole lines; after an error, call again with the same."""
        descriptor = self._descriptor
        if descriptor is None or (time.time() >= self._next_rollover and not self._written_of_batch):
            descriptor = self._open()
        while self._written_of_batch < len(data):
            written = os.write(descriptor, data[self._written_of_batch :] if self._written_of_batch else data)
            self._written_of_batch += written
            self.bytes_written += written
        self._written_of_batch = 0

    def seconds_to_rollover(self) -> float:
        """How long until the file of today is to be closed, at most a minute: clocks are set."""
        return min(max(self._next_rollover - time.time(), 0.0), 60.0) if self._descriptor is not None else 60.0

    def roll_over(self) -> None:
        """Close a file whose day is over, also when nothing is logged."""
        if self._descriptor is not None and time.time() >= self._next_rollover and self._written_of_batch == 0:
            self._open()

    def close(self) -> None:
        """Close the file and give up its place."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._place is not None:
            self._place.release()
            self._place = None

    def _open(self) -> int:
        if self._place is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._place = Place(self._directory, self._name)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        path = self._place.path
        today = datetime.now().astimezone().date()
        try:
            written_on = datetime.fromtimestamp(path.stat().st_mtime).astimezone().date()
            if written_on < today and path.stat().st_size:
                path.rename(_free_name(path, written_on.isoformat()))
        except FileNotFoundError:
            pass
        self._next_rollover = _midnight_after(today).timestamp()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        self._descriptor = descriptor
        opening = self._opening(path)
        # A process that was killed may have left half a line: ours must not be glued to it.
        os.write(descriptor, opening if _ends_on_newline(path) else b"\n" + opening)
        self._delete_old()
        return descriptor

    def _delete_old(self) -> None:
        """Delete what is older than the retention: rotated files of all processes of this name, and what dead ones left behind."""
        oldest = time.time() - self._retention_days * 86_400
        ours = re.compile(rf"{re.escape(self._name)}(-sp\d+|-\d+(-[0-9a-f]{{6}})?)?\.log(\.\d{{4}}-\d\d-\d\d(\.\d+)?(\.gz|\.zst)?)?")
        for path in self._directory.iterdir():
            if (match := ours.fullmatch(path.name)) is None or path == self.path:
                continue
            try:
                if path.stat().st_mtime >= oldest:
                    continue
                lock = self._directory / f".{path.name.removesuffix('.log')}.lock"
                if match[3]:
                    path.unlink()
                elif is_free(lock):
                    path.unlink()
                    lock.unlink(missing_ok=True)
            except OSError:
                continue  # somebody else deletes too, or may, and we may not


def _midnight_after(today: date) -> datetime:
    # A day is not always 24 hours: the system's zone knows.
    return datetime.combine(today + timedelta(days=1), datetime.min.time()).astimezone()


def _free_name(path: Path, day: str) -> Path:
    candidate, number = Path(f"{path}.{day}"), 0
    while candidate.exists() or Path(f"{candidate}.gz").exists() or Path(f"{candidate}.zst").exists():
        number += 1
        candidate = Path(f"{path}.{day}.{number}")
    return candidate


def _ends_on_newline(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"
