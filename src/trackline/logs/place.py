"""Which file is this process's own: a name, held by a lock for as long as the process lives."""

from __future__ import annotations

import os
import re
from contextlib import suppress
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
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_MAX_NAME = 150  # bytes; a file system takes 255, and we append a process, a day and a compression


def safe_name(name: str) -> str:
    """Give a service's name as a file name: letters, digits and ``_ . -`` stay; never hidden, never another directory."""
    safe = _UNSAFE.sub("_", name).lstrip(".")
    return safe.encode()[:_MAX_NAME].decode("utf-8", "ignore") or "app"


class Place:
    """
    A log file's path that no other process writes to.

    ``app.log`` for the first process, ``app-sp1.log`` for uvicorn's SpawnProcess-1, ``app-<pid>.log`` for everyone who finds these
    taken: forked workers all have the main process's name, so a lock has to tell them apart. The lock is on a file of its own beside
    the log, so that it stays through rotation, and ends with the process however that ends. Raises OSError where the directory takes
    no file.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._lock: int | None = None
        for stem in _stems(name):
            path = directory / f"{stem}.log"
            # A link is not followed: it may lead anywhere.
            if not path.is_symlink() and (lock := _claim(lock_of(path))) is not None:
                self.path = path
                self._lock = lock if lock >= 0 else None
                return
        self.path = directory / f"{name}-{os.getpid()}-{os.urandom(3).hex()}.log"

    @property
    def is_held(self) -> bool:
        """Whether the lock's file is still the one that this process holds: somebody may have deleted the whole directory."""
        return self._lock is None or _is_at(self._lock, lock_of(self.path))

    def release(self) -> None:
        """Let others have it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                os.close(lock)


def lock_of(path: Path) -> Path:
    """Give the lock of a live log file."""
    return path.with_name(f".{path.name.removesuffix('.log')}.lock")


def is_free(path: Path) -> bool:
    """Say whether nobody holds the place of a live log file: the process that wrote there has ended."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(lock_of(path), _FLAGS)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # somebody else's, who may be alive
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def delete_place(path: Path) -> None:
    """Delete a live log file that a dead process has left, and its lock, while nobody else can claim it."""
    lock = _claim(lock_of(path))
    if lock is None or lock < 0:
        return
    try:
        path.unlink(missing_ok=True)
        lock_of(path).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _stems(name: str) -> tuple[str, ...]:
    process = current_process().name
    own = f"{name}-{os.getpid()}"
    if process == "MainProcess":
        return name, own
    if spawned := _SPAWNED.fullmatch(process):
        return f"{name}-sp{spawned[1]}", own
    return (own,)


def _claim(path: Path) -> int | None:
    """Give the descriptor of a lock that is ours now (-1 where there are no locks), or None where somebody else has it."""
    if fcntl is None:
        return -1
    while True:
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o640)
        except OSError:
            if path.is_symlink() or path.exists():
                return None  # another user's, say
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # deleted by somebody's retention between the two calls


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))  # noqa: PTH116
    except OSError:
        return False
