"""What of a process's lines in files is in an index, and what is there twice. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackline.search.numbers import common, gaps, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trackline.search.account import ProcessAudit
    from trackline.search.numbers import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessComparison:
    """The lines of one process: those in files, beside those in an index."""

    files: ProcessAudit
    """What is in the files, by the files alone."""
    stored: int
    """How many of these lines are in the index."""
    refused: int
    """How many are not, but among the dead letters: not lost, and not to be found where they should be."""
    missing: int
    """How many are in neither."""
    missing_numbers: tuple[Run, ...]
    duplicated: int
    """How many documents there are more than lines, of any number."""
    duplicated_numbers: tuple[Run, ...]
    duplicated_in: tuple[Path, ...]
    """The backing indices that have them."""
    only_stored: int
    """How many lines are in the index and no longer in the files; those behind the files' last one, which came later, are none."""
    lost: int
    """How many are missing in the files without having been declared dropped, and are not in the index either."""

    @property
    def is_proved(self) -> bool:
        """Whether each line that the process ever made is in the index exactly once, or declared dropped."""
        earlier = self.files.earlier - self.only_stored
        return self.files.is_closed and not (self.missing or self.duplicated or self.refused or self.lost or earlier > 0)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it: times in ISO 8601, paths as text."""
        of_files = self.files.as_dict()
        return {
            **{name: of_files[name] for name in ("nonce", "service", "host", "pid", "first", "last", "lines", "highest", "is_closed")},
            "stored": self.stored,
            "refused": self.refused,
            "missing": self.missing,
            "missing_numbers": [list(run) for run in self.missing_numbers],
            "duplicated": self.duplicated,
            "duplicated_numbers": [list(run) for run in self.duplicated_numbers],
            "duplicated_in": [str(path) for path in self.duplicated_in],
            "only_stored": self.only_stored,
            "lost": self.lost,
            "is_proved": self.is_proved,
            "in_files": of_files,
        }


def compare(files: ProcessAudit, index: ProcessAudit | None, refused: Sequence[Run] = ()) -> ProcessComparison:
    """
    Compare what files have of a process with what an index has; None where it has nothing.

    In ``index`` are the dead letters as well; ``refused`` are the lines that are there and nowhere else.
    """
    there = list(index.numbers) if index else []
    last = files.numbers[-1][1]
    absent = list(gaps(there, 1, last))
    missing = list(common(list(files.numbers), absent))
    among_dead = size(common(list(files.numbers), refused))
    only_stored = list(common(there, list(gaps(files.numbers, 1, last))))
    again = size(common(list(files.missing_numbers), there))
    return ProcessComparison(
        files=files,
        stored=files.lines - size(missing) - among_dead,
        refused=among_dead,
        missing=size(missing),
        missing_numbers=tuple(missing),
        duplicated=index.duplicated if index else 0,
        duplicated_numbers=index.duplicated_numbers if index else (),
        duplicated_in=index.duplicated_in if index else (),
        only_stored=size(only_stored),
        lost=max(files.missing - again, 0),
    )
