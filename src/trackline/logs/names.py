"""What the files of a service are called: live, rotated, compressed, and the locks beside them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_UNSAFE = re.compile(r"[^\w.\-]+")
_MAX_NAME = 150  # bytes; a file system takes 255, and we append a process, a period and a compression
_PROCESS = r"(?:-sp\d+|-\d+(?:-[0-9a-f]{6})?)?"
_PERIOD = r"\d{4}-\d\d-\d\d(?:T\d\d-\d\d-\d\d)?"


class LogName(NamedTuple):
    """
    A log file's name: ``app-7.log.2026-11-21_000002.gz``.

    The names of one process's files sort, byte by byte, in the order in which they were written, whether compressed or not.
    """

    live: str
    """Of the file that it was while it was written to: ``app-7.log``."""
    period: str = ""
    """The period's label; empty for a live file."""
    number: int = 0
    """Of those of the same period; the first has none."""
    compression: str = ""
    """``gz``, ``zst`` or nothing."""

    def __str__(self) -> str:
        """Give the name."""
        number = f"_{self.number:06}" if self.number else ""
        return ".".join(part for part in (self.live, self.period + number, self.compression) if part)


def safe_name(name: str) -> str:
    """Give a service's name as a file name: letters, digits and ``_ . -`` stay; never hidden, never another directory."""
    safe = _UNSAFE.sub("_", name).lstrip(".")
    return safe.encode()[:_MAX_NAME].decode("utf-8", "ignore") or "app"


def read_name(name: str, service: str) -> LogName | None:
    """Read a file's name, or give None where it is no file of a service's, or could not be: by its name, ``app-2`` may be one too."""
    match = _patterns(service)[0].fullmatch(name)
    return LogName(match[1], match[2] or "", int(match[3] or 0), match[4] or "") if match else None


def read_lock(name: str, service: str) -> str | None:
    """Give the live file's name that a lock of a service's is for, or None."""
    match = _patterns(service)[1].fullmatch(name)
    return f"{match[1]}.log" if match else None


def lock_name(live: str) -> str:
    """Give the name of a live file's lock."""
    return f".{live.removesuffix('.log')}.lock"


@lru_cache
def _patterns(service: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    stem = re.escape(service) + _PROCESS
    file = rf"({stem}\.log)(?:\.({_PERIOD})(?:_(\d{{6,}}))?(?:\.(gz|zst))?)?"
    return re.compile(file, re.ASCII), re.compile(rf"\.({stem})\.lock", re.ASCII)
