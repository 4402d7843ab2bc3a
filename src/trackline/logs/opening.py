"""Open a log file to append to, where nobody can make it lead elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDWR | os.O_APPEND
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):  # the last for a pipe that somebody has put there
    _FLAGS |= getattr(os, _name, 0)


def open_log(path: Path, mode: int) -> int:
    """
    Give the descriptor of a log file, made with exactly this mode if it is not there; one that is there keeps its own.

    Raises OSError where it cannot be, is no regular file, or may be somebody else's: a link, or in a directory where everybody can
    write, a file of another user's or one with a second name.
    """
    try:
        descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        descriptor = os.open(path, _FLAGS)
        try:
            if not may_be_ours(os.fstat(descriptor), path.parent):
                raise PermissionError(errno.EPERM, "not a file of ours", str(path))
        except OSError:
            os.close(descriptor)
            raise
    else:
        with suppress(OSError):  # a file system without modes
            os.fchmod(descriptor, mode)  # whatever the umask
    return descriptor


def close_own(descriptor: int, identity: os.stat_result) -> None:
    """Close a file, if the descriptor is still this one's: somebody who closes all there are may have had it given to another."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), identity):
            os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Make a log directory if it is not there. Raises OSError where that cannot be, or another user's link is in its place."""
    directory.mkdir(parents=True, exist_ok=True)
    status = directory.lstat()
    if stat.S_ISLNK(status.st_mode) and not _is_trusted(status):
        raise PermissionError(errno.EPERM, "a link of another user's", str(directory))


def may_be_ours(status: os.stat_result, directory: Path) -> bool:
    """Say whether what is there under a name of ours may be written to: nobody else can have put it there to lead us on."""
    if not stat.S_ISREG(status.st_mode):
        return False
    is_common = directory.stat().st_mode & stat.S_IWOTH
    return not is_common or (status.st_nlink <= 1 and _is_trusted(status))


def _is_trusted(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid in (0, os.geteuid())
