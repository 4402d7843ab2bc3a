"""Prove what was written: read all log files and account for each process's lines, also while they are written, rotated, compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackline.search.account import ProcessAudit, account
from trackline.search.copies import find_copies
from trackline.search.files import LogFiles
from trackline.search.live import LiveFiles, grouped

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from trackline.search.ledger import BrokenLine


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit has found. Paths are as they were listed; a file may have been renamed since."""

    processes: tuple[ProcessAudit, ...]
    """In order of time."""
    files: tuple[Path, ...]
    """The files that were read and have anything in them."""
    copies: tuple[Path, ...]
    """Of these, those that are a copy, or the beginning of one, of another: compressed, or just being so. They count once."""
    broken: tuple[BrokenLine, ...]
    """Half lines, and what is no JSON; at most 1,000 a file."""
    broken_count: int
    uncounted: int
    """Lines that have no number: of the schema `flat`, or not ours."""
    uncounted_in: tuple[Path, ...]
    problems: tuple[str, ...]
    """What could not be read, and why."""
    refused: int = 0
    """Lines which an index has refused, and that are kept apart: they are there, and counted."""
    refused_in: tuple[Path, ...] = ()
    """Where."""
    kept_in: str = "file"
    """What ``files`` are, in one word: an index's name is a path here too."""

    @property
    def lines(self) -> int:
        """How many lines are there, each counted once."""
        return sum(process.lines for process in self.processes)

    @property
    def missing(self) -> int:
        """How many lines are in no file and were not declared dropped."""
        return sum(process.missing for process in self.processes)

    @property
    def is_proved(self) -> bool:
        """Whether each line that any of the processes ever made is there exactly once, or declared dropped, and all could be read."""
        return bool(self.processes) and not (self.broken_count or self.problems) and all(p.is_proved for p in self.processes)

    def as_dict(self) -> dict[str, Any]:
        """Give the summary as JSON has it: all but the processes."""
        total = {name: sum(getattr(process, name) for process in self.processes) for name in ("dropped", "earlier", "duplicated")}
        return {
            "processes": len(self.processes),
            "lines": self.lines,
            "missing": self.missing,
            **total,
            "not_closed": sum(not process.is_closed for process in self.processes),
            "broken": self.broken_count,
            "broken_lines": [[str(path), number, reason] for path, number, reason in self.broken],
            "uncounted": self.uncounted,
            "uncounted_in": [str(path) for path in self.uncounted_in],
            "files": len(self.files),
            "refused": self.refused,
            "refused_in": [str(path) for path in self.refused_in],
            "copies": [str(path) for path in self.copies],
            "problems": list(self.problems),
            "is_proved": self.is_proved,
        }


def audit(paths: Iterable[str | os.PathLike[str]]) -> AuditReport:
    """
    Account for the lines of all processes that wrote into these files and directories.

    A path is a file, or a directory that is searched for log files with all that is below it. Processes may write, rotate and compress
    meanwhile; where a number is missing of one that does, the audit waits for it, two seconds. Opens nothing for writing and
    takes no lock. Never raises for what is in the files or cannot be read: the report says so. Memory goes by the number of files, and
    of the breaks in the order of each process's lines, not by the number of lines.
    """
    problems: list[str] = []
    files = LogFiles(paths, problems.append)
    with LiveFiles(files) as live:
        up_to = live.read()
        ledgers = [ledger for ledger in live.ledgers if ledger.size or ledger.damage]
    copies = find_copies(ledgers)
    originals = [ledger for ledger in ledgers if ledger not in copies]
    for ledger in originals:
        if ledger.damage is not None:
            files.warn(ledger.path, ledger.damage)
    files.warn_of_the_rest()
    # Processes that began after the files were read are no matter of this audit: their lines are still on the way.
    processes = [account(nonce, found, up_to=up_to[nonce]) for nonce, found in grouped(originals).items() if nonce in up_to]
    return AuditReport(
        processes=by_time(processes),
        files=tuple(dict.fromkeys(ledger.path for ledger in ledgers)),
        # A file of less than a KiB that grows is read twice.
        copies=tuple(sorted({ledger.path for ledger in copies} - {ledger.path for ledger in originals})),
        broken=tuple(line for ledger in originals for line in ledger.broken),
        broken_count=sum(ledger.broken_count for ledger in originals),
        uncounted=sum(ledger.uncounted for ledger in originals),
        uncounted_in=tuple(ledger.path for ledger in originals if ledger.uncounted),
        problems=tuple(problems),
    )


def by_time(processes: Iterable[ProcessAudit]) -> tuple[ProcessAudit, ...]:
    """Sort processes by their first lines that are there."""
    return tuple(sorted(processes, key=lambda process: (process.first.isoformat() if process.first else "~", process.nonce)))
