"""Find the lines of one tracking ID in log files: live, rotated and compressed, of all processes, while they are written."""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from trackline.identity import derive_trace_id
from trackline.search.compressed import decompressed, unreadable
from trackline.search.line import Line, file_name, in_order, read_ids, read_line
from trackline.search.scan import finder, objects, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from trackline.search.compressed import Reader

    Warn = Callable[[str], None]

_SWEEPS, _MOVING_SECONDS = 5, 5.0
_SKEW_SECONDS = 60.0  # between the clock that lines are stamped by and a file system's
_LOG_FILE = re.compile(r"\.log(?:$|[.-])|\.(?:gz|zst)$").search


def find_lines(
    tracking_id: str,
    paths: Iterable[str | os.PathLike[str]],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    warn: Warn | None = None,
) -> list[Line]:
    """
    Give the lines that carry this tracking ID, its derived trace ID, or this trace ID, in order of time; each line once.

    An ID that a message merely mentions does not count. A path is a file, or a directory that is searched for log files with all
    that is below it. Files may be written to, rotated and compressed meanwhile. What cannot be read (a file without permission, a
    damaged one, a link to nowhere) goes to ``warn``, by default a line on stderr, and the others are searched all the same.

    ``since`` and ``until``, both inclusive and with an offset, leave out what was logged before and after; files that were last
    written to before are not read at all. A line with no time is never left out.
    """
    if not tracking_id:
        raise ValueError(f"{tracking_id=}: expected a text that is not empty")
    wanted = {tracking_id, derive_trace_id(tracking_id)}
    finders = [finder(text) for text in wanted]
    found: dict[tuple[object, ...], Line] = {}
    files = LogFiles(paths, warn or _to_stderr, since=since)
    for path, file in files:
        try:
            for raw, number in scan(file, finders):
                for fields, piece in objects(raw):
                    if not wanted.isdisjoint(read_ids(fields)):
                        line = read_line(piece, path, number, fields)
                        if line.time and ((since and line.time < since) or (until and line.time > until)):
                            continue
                        # The same text at the same place is a copy: the file was compressed, or renamed and read again.
                        key = (line.event_id,) if line.event_id else (file_name(path).family, number, piece)
                        found.setdefault(key, line)
        except unreadable() as error:
            files.warn(path, error)
    files.warn_of_the_rest()
    return in_order(found.values())


class LogFiles:
    """
    The log files that are there, each opened once, even if they are renamed or compressed meanwhile.

    The list is read again after the last file, until nothing new is in it: a file that was renamed between the listing and the
    opening, or while the directory was read, comes up under its new name. Where there is something new for five seconds on end, not
    counting those in which files are read, it is said. Iterating once more gives what is new by then. Files are told apart by device,
    inode and their first KiB, since inodes are used again. Those that were last written to before ``since`` are left out.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], warn: Warn, *, since: datetime | None = None) -> None:
        self._oldest = since.timestamp() - _SKEW_SECONDS if since else 0.0
        self._paths = [Path(path) for path in paths]
        self._warn = warn
        self._warned: set[str] = set()
        self._seen: set[tuple[int, int, bytes]] = set()
        self._without_zstd: set[str] = set()
        self._is_listed = self._is_gone = False

    def __iter__(self) -> Iterator[tuple[Path, Reader]]:
        deadline = None
        for sweep in itertools.count(1):
            seen, self._is_gone = len(self._seen), False
            for path in self._listed():
                try:
                    # A pipe can be read once; to open it again would wait for another writer.
                    if self._is_listed and not path.is_file():
                        continue
                    with path.open("rb") as file:
                        reader = self._unseen(file, path)
                        if reader is not None:
                            before = time.monotonic()
                            yield path, reader
                            deadline = deadline and deadline + time.monotonic() - before  # reading is not moving
                except FileNotFoundError:
                    self._is_gone = True  # rotated since the listing: the next sweep meets it under its new name
                except (OSError, ValueError, ImportError) as error:  # not every CPython was built with bz2 and lzma
                    self.warn(path, error)
            self._is_listed = True
            if len(self._seen) == seen and not self._is_gone:
                break
            deadline = deadline or time.monotonic() + _MOVING_SECONDS
            if sweep >= _SWEEPS and time.monotonic() > deadline:
                self._warn_once("files come and go faster than they can be listed: of the last seconds there may be more")
                break

    def warn(self, path: object, error: object) -> None:
        """Say what is wrong with a file; once, though each sweep meets it."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        self._warn_once(f"{path}: {reason}")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)

    def warn_of_the_rest(self) -> None:
        """Say what only the end tells: that there were no files, or zstd files and nothing to read them with."""
        if names := sorted(self._without_zstd):
            more = f" and {len(names) - 1} more" if names[1:] else ""
            self._warn(f"{names[0]}{more}: not searched, zstd needs `pip install zstandard` or CPython 3.14")
        elif not self._seen and not self._warned:
            self._warn(f"no log files in {', '.join(map(str, self._paths))}")

    def _unseen(self, file: BinaryIO, path: Path) -> Reader | None:
        info = os.fstat(file.fileno())
        head: bytes = file.peek(1024)[:1024]  # type: ignore[attr-defined]  # open(…, "rb") gives a BufferedReader
        key = (info.st_dev, info.st_ino, head)
        if key in self._seen:
            return None
        self._seen.add(key)
        if info.st_mtime < self._oldest and stat.S_ISREG(info.st_mode):
            return None
        reader = decompressed(file, head)
        if reader is None:
            self._without_zstd.add(str(path))
        return reader

    def _listed(self) -> Iterator[Path]:
        folders: set[tuple[int, int]] = set()
        for path in self._paths:
            try:
                mode = path.stat().st_mode
            except (OSError, ValueError) as error:
                renamed = sorted(path.parent.glob(glob.escape(path.name) + ".*")) if path.name else []
                yield from renamed
                if not renamed:
                    self.warn(path, error)
                continue
            if stat.S_ISDIR(mode):
                yield from self._below(path, folders)
            else:
                yield path

    def _below(self, top: Path, folders: set[tuple[int, int]]) -> Iterator[Path]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                info = folder.stat()
                if (info.st_dev, info.st_ino) in folders:
                    if folder.is_symlink():
                        self.warn(folder, "a link to a directory that is searched already")
                    continue
                folders.add((info.st_dev, info.st_ino))
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                self.warn(folder, error)
                continue
            for entry in entries:
                try:
                    mode = entry.stat().st_mode
                except OSError as error:
                    if entry.is_symlink():  # to nowhere or to itself
                        self.warn(entry.path, error)
                    elif _LOG_FILE(entry.name):
                        if isinstance(error, FileNotFoundError):
                            self._is_gone = True
                        else:
                            self.warn(entry.path, error)
                    continue
                if stat.S_ISDIR(mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(mode) and _LOG_FILE(entry.name):
                    yield Path(entry.path)


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"trackline: {message}\n")
