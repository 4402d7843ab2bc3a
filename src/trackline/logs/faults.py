"""The trace of a crash (a segfault, an abort), which no logging survives: faulthandler's, in a file beside the log."""

from __future__ import annotations

import errno
import faulthandler
import os
import re
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from trackline.logs.exit import call_last
from trackline.logs.names import safe_name
from trackline.logs.opening import may_be_ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackline.config import LogSettings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FLAGS = os.O_WRONLY | os.O_APPEND
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):  # the last for a pipe that somebody has put there
    _FLAGS |= getattr(os, _name, 0)


class FaultFile:
    """
    ``orders-<pid>.fault``, where Python writes the stack of every thread when the process crashes; with no file, stderr.

    Not where faulthandler is on already: a process has one. A forked child has its parent's. The file is locked while a process that
    may write to it lives; deleted at its end where nothing was written, and otherwise after ``retention_days``, by whoever comes next.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._stem = safe_name(settings.service_name)
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._is_ours = False
        self._forget: Callable[[], None]

    def open(self) -> None:
        """Switch faulthandler on. Never raises: a crash without a trace is still better than no start."""
        if faulthandler.is_enabled():
            return
        if self._settings.file:
            with suppress(OSError):
                self._path = self._settings.log_dir / f"{self._stem}-{os.getpid()}.fault"
                self._descriptor = _open_locked(self._path, self._settings.file_mode)
                self._delete_old(self._settings.log_dir)
        with suppress(OSError, ValueError, AttributeError, RuntimeError):  # a stderr that is no file, or none
            faulthandler.enable(sys.stderr if self._descriptor is None else self._descriptor)
            self._is_ours = True
            self._forget = call_last(self.close)

    def close(self) -> None:
        """Switch it off, and delete the file where it is empty and nobody else has it."""
        if not self._is_ours:
            return
        self._is_ours = False
        self._forget()
        faulthandler.disable()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._path is not None:
            with suppress(OSError):
                os.close(descriptor)
            _delete(self._path, before=0.0)

    def _delete_old(self, directory: Path) -> None:
        is_one = re.compile(re.escape(self._stem) + r"-\d+\.fault").fullmatch
        before = time.time() - self._settings.retention_days * 86_400
        for path in directory.iterdir():
            if is_one(path.name) and path != self._path:
                _delete(path, before)


def _open_locked(path: Path, mode: int) -> int:
    for _ in range(10):
        descriptor = os.open(path, _FLAGS | os.O_CREAT, mode)
        if not may_be_ours(os.fstat(descriptor), path.parent):
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "not a file of ours", str(path))
        _lock(descriptor)
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                with suppress(OSError):
                    os.fchmod(descriptor, mode)  # the umask has taken from it
                return descriptor
        os.close(descriptor)  # another process has found it empty and deleted it, just before it was locked
    raise OSError(f"{path} is deleted again and again")


def _delete(path: Path, before: float) -> None:
    """Delete a file that is empty, or was last written to before a time, unless a process has it."""
    with suppress(OSError):
        descriptor = os.open(path, _FLAGS)
        try:
            status = os.fstat(descriptor)
            if (not status.st_size or status.st_mtime < before) and _lock(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
