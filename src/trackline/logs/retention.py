"""Which files of the log directory are not kept: too old, too many, or too large together."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from trackline.logs.names import LogName, read_lock, read_name
from trackline.logs.place import delete_place, is_free, service_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept of all files of a service together; None is no limit."""

    oldest: float
    """When the oldest file was written to last, at least, in seconds since 1970."""
    files: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: LogName
    written: float
    size: int


def delete_old(directory: Path, service: str, own: Path, retention: Retention) -> None:
    """
    Delete what is not kept: rotated files of the service, and live ones that dead processes have left behind, the oldest first.

    Files of living processes count, and are never deleted; nor is what may be another service's: ``app-2`` is a name too. ``own`` is
    the live file of this process.
    """
    files, locks = _files_of(directory, service)

    @cache
    def owner(live: str) -> str:
        """Say who has the place of a live file: us, another living process of the service, nobody, or somebody else."""
        path = directory / live
        if path == own:
            return "us"
        signed = service_of(path)
        if signed not in ("", service):
            return "other"
        if is_free(path):
            return "nobody"
        return "living" if signed else "other"

    ours = [file for file in files if owner(file.name.live) != "other"]
    count, size = len(ours), sum(file.size for file in ours)
    for file in sorted(ours, key=lambda file: (file.written, file.path.name)):
        is_over = (retention.files is not None and count > retention.files) or (retention.bytes is not None and size > retention.bytes)
        if (is_over or file.written < retention.oldest) and _delete(file, owner):
            count, size = count - 1, size - file.size
    for path, live in locks:
        with suppress(OSError):
            if path.lstat().st_mtime < retention.oldest and owner(live) == "nobody" and not (directory / live).exists():
                delete_place(directory / live)


def _files_of(directory: Path, service: str) -> tuple[list[_File], list[tuple[Path, str]]]:
    files, locks = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if live := read_lock(entry.name, service):
                locks.append((directory / entry.name, live))
            elif name := read_name(entry.name, service):
                with suppress(OSError):  # somebody else deletes too
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        files.append(_File(directory / entry.name, name, status.st_mtime, status.st_size))
    return files, locks


def _delete(file: _File, owner: Callable[[str], str]) -> bool:
    try:
        if file.name.period:
            file.path.unlink(missing_ok=True)
        elif owner(file.name.live) == "nobody":
            delete_place(file.path)
    except OSError:  # we may not
        return False
    return not file.path.exists()
