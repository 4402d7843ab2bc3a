"""Which file is this process's own: a name, held by a lock for as long as the process lives."""

from __future__ import annotations

import os
import re
from multiprocessing import current_process
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there two services of one name must not share a directory
    fcntl = None  # type: ignore[assignment]

_SPAWNED = re.compile(r"SpawnProcess-(\d+)")
_UNSAFE = re.compile(r"[^\w.\-]+")


def safe_name(name: str) -> str:
    """Give a service's name as a file name: letters, digits and ``_ . -`` stay; never hidden, never another directory."""
    return _UNSAFE.sub("_", name).lstrip(".")[:100] or "app"


class Place:
    """
    A log file's path that no other process writes to.

    ``app.log`` for the first process, ``app-sp1.log`` for uvicorn's SpawnProcess-1, ``app-<pid>.log`` for everyone who finds these
    taken: forked workers all have the main process's name, so a lock has to tell them apart. The lock is on a file of its own beside
    the log, so that it stays through rotation, and ends with the process however that ends.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._lock: int | None = None
        for stem in self._stems(name):
            if self._claim(directory / f".{stem}.lock"):
                self.path = directory / f"{stem}.log"
                return
        self.path = directory / f"{name}-{os.getpid()}-{os.urandom(3).hex()}.log"

    @staticmethod
    def _stems(name: str) -> tuple[str, ...]:
        process = current_process().name
        own = f"{name}-{os.getpid()}"
        if process == "MainProcess":
            return name, own
        if spawned := _SPAWNED.fullmatch(process):
            return f"{name}-sp{spawned[1]}", own
        return (own,)

    def _claim(self, path: Path) -> bool:
        if fcntl is None:
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def is_free(lock: Path) -> bool:
    """Say whether nobody holds the lock of a place: the process that wrote there has ended."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
