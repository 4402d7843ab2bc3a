"""Which files of the log directory are too old to keep."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from trackline.logs.place import delete_place, is_free

if TYPE_CHECKING:
    from pathlib import Path

_OF_PROCESS = r"(?:-sp\d+|-\d+(?:-[0-9a-f]{6})?)?"
_OF_DAY = r"\.\d{4}-\d\d-\d\d(?:\.\d+)?(?:\.gz|\.zst)?"


def delete_old(directory: Path, name: str, oldest: float, own: Path) -> None:
    """
    Delete what was last written before a time: rotated files of this name, and live ones that dead processes have left behind.

    What belongs to a process that lives is left to that process, which may be another service's: ``app-2`` is a name too.
    """
    ours = re.compile(rf"({re.escape(name)}{_OF_PROCESS}\.log)({_OF_DAY})?|\.({re.escape(name)}{_OF_PROCESS})\.lock", re.ASCII)
    for path in directory.iterdir():
        if (match := ours.fullmatch(path.name)) is None:
            continue
        live = directory / (match[1] or f"{match[3]}.log")
        with suppress(OSError):  # somebody else deletes too, or may, and we may not
            if path.lstat().st_mtime >= oldest or (live != own and not is_free(live)):
                continue
            if match[2]:
                path.unlink()
            elif live != own and (match[1] or not live.exists()):
                delete_place(live)
