"""Which file is this process's own: a name, held by a lock for as long as the process lives."""

from __future__ import annotations

import errno
import os
import re
import time
from contextlib import suppress
from multiprocessing import current_process
from typing import TYPE_CHECKING

from trackline.logs.names import lock_name, read_lock
from trackline.logs.opening import close_own, may_be_ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there two services of one name must not share a directory
    fcntl = None  # type: ignore[assignment]

_SPAWNED = re.compile(r"SpawnProcess-(\d+)")
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TAKEN = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO)
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


class _NoLocksError(OSError):
    """The file system locks no file."""


class Place:
    """
    A log file's path that no other process writes to.

    ``app.log`` for the first process, ``app-sp1.log`` for uvicorn's SpawnProcess-1, ``app-<pid>.log`` for everyone who finds these
    taken: forked workers all have the main process's name, so a lock has to tell them apart. What a dead process of the service has
    left is taken over before there is a new name, so that workers which come and go do not leave a file each. The lock is on a file of
    its own beside the log, which names the service, so that it stays through rotation, and ends with the process however that ends.
    Where the file system has no locks, each process has a name that nobody had before it. Raises OSError where the directory takes no
    file.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._lock: int | None = None
        self.problem = ""
        """What is wrong with it, if anything is."""
        try:
            self._find(directory, name)
        except _NoLocksError as error:
            self.problem = f"no locks in {directory}: {error.strerror}; each process begins a file, and none of the dead is taken over"
            self.path = next(path for path in _own_names(directory, name) if not os.path.lexists(path) and _sign_new(path, name))

    def _find(self, directory: Path, name: str) -> None:
        for path in _candidates(directory, name):
            if not may_be_written(path):
                continue
            lock = _claim(lock_of(path))
            if lock is not None:
                self.path = path
                if lock >= 0:
                    self._lock, self._identity = lock, os.fstat(lock)
                    _sign(lock, name)
                return

    @property
    def is_held(self) -> bool:
        """Whether the lock's file is still the one that this process holds: somebody may have deleted the whole directory."""
        return self._lock is None or _is_at(self._lock, lock_of(self.path))

    def release(self) -> None:
        """Let others have it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            close_own(lock, self._identity)


def lock_of(path: Path) -> Path:
    """Give the lock of a live log file."""
    return path.with_name(lock_name(path.name))


def service_of(path: Path) -> str | None:
    """Give the name of the service that had the place of a live log file last, empty where that was none; None if it cannot be told."""
    try:
        descriptor = os.open(lock_of(path), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    try:
        return _signed_by(descriptor)
    finally:
        os.close(descriptor)


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


def _candidates(directory: Path, name: str) -> Iterator[Path]:
    process = current_process().name
    spawned = _SPAWNED.fullmatch(process)
    if process == "MainProcess":
        yield directory / f"{name}.log"
    elif spawned:
        own = directory / f"{name}-sp{spawned[1]}.log"
        if not lock_of(own).exists():
            yield from _left_behind(directory, name, is_spawned=True)
        yield own
    yield from _left_behind(directory, name, is_spawned=False)
    yield from _own_names(directory, name)


def _own_names(directory: Path, name: str) -> Iterator[Path]:
    own = directory / f"{name}-{os.getpid()}.log"
    yield own
    while True:
        yield own.with_name(f"{name}-{os.getpid()}-{os.urandom(3).hex()}.log")


def _left_behind(directory: Path, name: str, *, is_spawned: bool) -> list[Path]:
    """Give the places of the service's processes, dead or alive, the one that was written to last first."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            live = read_lock(entry.name, name)
            if live is None or live == f"{name}.log" or live.startswith(f"{name}-sp") is not is_spawned:
                continue
            path = directory / live
            # By its name alone it could be that of another service, called `app-2`.
            if service_of(path) == name:
                found.append((_written(path), path))
    return [path for _, path in sorted(found, reverse=True)]


def _written(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def may_be_written(path: Path) -> bool:
    """Say whether what is there under a log's name, if anything is, is a file that may be ours."""
    try:
        return may_be_ours(path.lstat(), path.parent)
    except FileNotFoundError:
        return True


def _sign(lock: int, name: str) -> None:
    if _signed_by(lock) == name:
        return
    with suppress(OSError):  # the disk is full: nobody takes it over then
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{name}\n".encode(), 0)


def _sign_new(path: Path, name: str) -> bool:
    """Make the lock's file of a place, which locks nothing; says whether it was not there before."""
    try:
        lock = os.open(lock_of(path), _FLAGS | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        return False
    try:
        _sign(lock, name)
    finally:
        os.close(lock)
    return True


def _signed_by(lock: int) -> str:
    try:
        return os.pread(lock, 1024, 0).decode("utf-8", "replace").removesuffix("\n")
    except OSError:
        return ""


def _claim(path: Path) -> int | None:
    """Give the descriptor of a lock that is ours now (-1 where there are no locks), or None where somebody else has it."""
    if fcntl is None:
        return -1
    while True:
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o640)
        except OSError as error:
            if error.errno in _TAKEN and os.path.lexists(path):
                return None  # a link, or another user's
            raise
        try:
            is_locked = _is_locked(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _NoLocksError(error.errno, error.strerror, str(path)) from error
        if not is_locked:
            os.close(descriptor)
            return None
        if not may_be_ours(os.fstat(descriptor), path.parent):
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # deleted by somebody's retention between the two calls


def _is_locked(descriptor: int) -> bool:
    """
    Lock a file, and say whether that could be done; somebody may just be looking whether it can (`is_free`).

    Raises OSError where no file can be locked: on Lustre without its option for it, on NFS without its daemon.
    """
    for seconds in (0.0005, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in _HELD:
                raise
            time.sleep(seconds)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))  # noqa: PTH116
    except OSError:
        return False
