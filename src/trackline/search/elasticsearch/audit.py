"""Prove what has arrived: the numbers of each process's lines in an index, beside those in files or by themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackline.search.account import ProcessAudit, account
from trackline.search.audit import AuditReport, by_time
from trackline.search.audit import audit as audit_files
from trackline.search.elasticsearch.comparison import ProcessComparison, compare
from trackline.search.elasticsearch.index import DEFAULT_PATTERN, Index
from trackline.search.elasticsearch.stored import StoredLines
from trackline.search.numbers import size

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from trackline.elastic.connection import Connection

PATIENCE = 10.0
_PAUSE = 1.0  # seconds between two looks: an index shows what is new once a second, at the most


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonReport:
    """What a comparison of files with an index has found."""

    processes: tuple[ProcessComparison, ...]
    """In order of time: those that have lines in the files."""
    files: AuditReport
    """What the files alone say."""
    indices: tuple[Path, ...]
    """Those that have any of it, as paths."""
    refused_in: tuple[Path, ...]
    """Those that have what was refused: the dead letters', and failure stores."""
    problems: tuple[str, ...]
    """What could not be read, and why."""

    @property
    def missing(self) -> int:
        """How many lines are in the files and not in the index."""
        return sum(process.missing for process in self.processes)

    @property
    def duplicated(self) -> int:
        """How many documents there are more than lines."""
        return sum(process.duplicated for process in self.processes)

    @property
    def lost(self) -> int:
        """How many lines are missing in the files, and not in the index either."""
        return sum(process.lost for process in self.processes)

    @property
    def is_proved(self) -> bool:
        """Whether each line that any of the processes ever made is in the index exactly once, or declared dropped."""
        are_read = not (self.problems or self.files.broken_count)
        return bool(self.processes) and are_read and all(process.is_proved for process in self.processes)

    def as_dict(self) -> dict[str, Any]:
        """Give the summary as JSON has it: all but the processes."""
        names = ("stored", "refused", "missing", "duplicated", "only_stored", "lost")
        return {
            "processes": len(self.processes),
            "lines": self.files.lines,
            **{name: sum(getattr(process, name) for process in self.processes) for name in names},
            "not_closed": sum(not process.files.is_closed for process in self.processes),
            "indices": [str(path) for path in self.indices],
            "refused_in": [str(path) for path in self.refused_in],
            "problems": list(self.problems),
            "is_proved": self.is_proved,
            "in_files": self.files.as_dict(),
        }


def audit_index(
    connection: Connection,
    *,
    index: str = DEFAULT_PATTERN,
    since: datetime | None = None,
    until: datetime | None = None,
    patience: float = PATIENCE,
) -> AuditReport:
    """
    Account for the lines of all processes that are in an index, by their numbers alone: gaps, doubles, whether the log is closed.

    Lines may be stored meanwhile: where one is missing, the audit looks again until none has come for ``patience`` seconds. What was
    refused is there, and counted. Raises ElasticError where Elasticsearch can't be read. Memory as for files; a million lines take
    about twenty seconds.
    """
    problems: list[str] = []
    warn = _once(problems)
    stored = StoredLines(Index(connection, index, warn), warn, since=since, until=until)
    stored.read()
    found = {nonce: account(nonce, stored.ledgers(nonce)) for nonce in stored.nonces()}
    # What comes behind is still on its way, and so may be what is missing before it.
    up_to = {nonce: process.highest for nonce, process in found.items()}

    def missing() -> dict[str, int]:
        for nonce, highest in up_to.items():
            found[nonce] = account(nonce, stored.ledgers(nonce), up_to=highest)
        return {nonce: process.missing for nonce, process in found.items() if process.missing}

    _wait(missing, stored, patience)
    stored.describe(found)
    processes = [account(nonce, stored.ledgers(nonce), up_to=up_to[nonce]) for nonce in found]
    uncounted = stored.uncounted()
    return AuditReport(
        processes=by_time(processes),
        files=tuple(stored.paths()),
        copies=(),
        broken=(),
        broken_count=0,
        uncounted=uncounted,
        uncounted_in=(Path(index),) if uncounted else (),
        problems=tuple(problems),
        refused=sum(size(stored.refused(nonce)) for nonce in found),
        refused_in=tuple(stored.refused_in()),
        kept_in="index",
    )


def audit_arrival(
    paths: Iterable[str | os.PathLike[str]],
    connection: Connection,
    *,
    index: str = DEFAULT_PATTERN,
    patience: float = PATIENCE,
) -> ComparisonReport:
    """
    Compare the lines of all processes that wrote into these files and directories with those that are in an index.

    The files are read first, as `trackline.search.audit` does, then what the index has of these processes; what was logged meanwhile is
    no matter of this audit. Where lines are missing it looks again, until none has come for ``patience`` seconds: a shipper takes a
    while. Raises ElasticError where Elasticsearch can't be read.
    """
    problems: list[str] = []
    warn = _once(problems)
    searched = Index(connection, index, warn)
    files = audit_files(paths)
    of_files = {process.nonce: process for process in files.processes}
    stored = StoredLines(searched, warn)
    if of_files:
        stored.read(of_files)
    compared: dict[str, ProcessComparison] = {}

    def missing() -> dict[str, int]:
        for nonce, process in of_files.items():
            compared[nonce] = compare(process, _account(stored, nonce), stored.refused(nonce))
        return {nonce: comparison.missing for nonce, comparison in compared.items() if comparison.missing}

    _wait(missing, stored, patience)
    return ComparisonReport(
        processes=tuple(compared[process.nonce] for process in files.processes),
        files=files,
        indices=tuple(stored.paths()),
        refused_in=tuple(stored.refused_in()),
        problems=(*files.problems, *problems),
    )


def _account(stored: StoredLines, nonce: str) -> ProcessAudit | None:
    ledgers = stored.ledgers(nonce)
    return account(nonce, ledgers) if ledgers else None


def _wait(missing: Callable[[], dict[str, int]], stored: StoredLines, patience: float) -> None:
    """Look again at the processes of which lines are missing, as long as some come."""
    left = missing()
    pause = min(_PAUSE, patience)
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(pause)
        began = time.monotonic()
        stored.read(left)
        before, left = left, missing()
        pause = max(pause, time.monotonic() - began)  # as long as it takes, so that half of Elasticsearch's time is left to others
        if left != before:
            deadline = time.monotonic() + patience


def _once(problems: list[str]) -> Callable[[str], None]:
    return lambda message: None if message in problems else problems.append(message)
