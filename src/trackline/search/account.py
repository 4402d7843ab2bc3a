"""What is known of one process's lines from all files together: which are there, which are not, and what was said about those. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Protocol

from trackline.search.numbers import common, gaps, merged, size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from trackline.search.ledger import Part
    from trackline.search.notice import Notice
    from trackline.search.numbers import Run


class Ledger(Protocol):
    """What one place, a file or an index, has of each process, by its nonce."""

    @property
    def path(self) -> Path: ...
    @property
    def parts(self) -> Mapping[str, Part]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAudit:
    """
    The lines of one process, which are numbered from 1 without gaps: `event.id` is its nonce, a dash, and the number.

    All are counted, also those that open and close a file. Runs of numbers are given as the first and the last.
    """

    nonce: str
    service: str
    """Empty where no line says so; the same holds for ``host`` and ``pid``."""
    host: str
    pid: str
    first: datetime | None
    """When the first line that is there was logged."""
    last: datetime | None
    lines: int
    """How many lines are there, each counted once."""
    numbers: tuple[Run, ...] = ()
    """Which."""
    highest: int
    """The last number that is known. Of a process that is not closed there may have been more."""
    is_closed: bool
    """Whether the last line is the one that closes the log. Else the process still runs, or was killed."""
    dropped: int
    """How many lines the process itself declared to have dropped, in notices and in its closing line."""
    missing: int
    """How many lines up to the highest are in no file and were not declared dropped."""
    missing_numbers: tuple[Run, ...]
    """Where they are missing. Notices count and do not name: a run between two of them may hold declared ones too."""
    earlier: int
    """How many lines are from before the oldest file that is there: retention has deleted them, or they were not given to the audit."""
    duplicated: int
    """How many lines are there once more than they should be."""
    duplicated_numbers: tuple[Run, ...]
    duplicated_in: tuple[Path, ...]
    """The files that have them."""
    files: tuple[Path, ...]

    @property
    def is_proved(self) -> bool:
        """Whether each line that the process ever made is there exactly once, or declared dropped."""
        return self.is_closed and not (self.missing or self.earlier or self.duplicated)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it: times in ISO 8601, paths as text."""
        fields = asdict(self)
        del fields["numbers"]  # what is not there is said, and that is shorter
        fields |= {name: value.isoformat() for name in ("first", "last") if (value := getattr(self, name)) is not None}
        fields |= {name: [str(path) for path in getattr(self, name)] for name in ("duplicated_in", "files")}
        return fields


def account(nonce: str, ledgers: Iterable[Ledger], *, up_to: int | None = None) -> ProcessAudit:
    """
    Give the account of a process over all files that it wrote into, or all indices that have its lines.

    ``up_to`` leaves out what comes behind a number: while a process writes, lines from there on may not be in their file yet.
    """
    found = [(ledger.path, part) for ledger in ledgers if (part := ledger.parts.get(nonce)) is not None]
    parts = [part for _, part in found]
    runs, overlapping = merged(chain.from_iterable(part.numbers.runs() for part in parts))
    again, _ = merged(chain(overlapping, *(part.numbers.again() for part in parts)))
    notices = {notice.number: notice for part in parts for notice in part.notices}
    highest = runs[-1][1]
    is_closed = highest in notices and notices[highest].action == "log-close"
    if up_to is not None and not is_closed and up_to < highest:
        highest = up_to
        runs = list(common(runs, [(1, highest)]))

    floor = _floor(parts, notices.values())
    missing, missing_runs = _undeclared(list(gaps(runs, floor, highest)), _declared(notices, has_earlier=floor > 1))
    times = sorted(chain.from_iterable(part.times for part in parts))
    return ProcessAudit(
        nonce=nonce,
        service=_first(part.service for part in parts),
        host=_first(part.host for part in parts),
        pid=_first(part.pid for part in parts),
        first=times[0] if times else None,
        last=times[-1] if times else None,
        lines=size(runs),
        numbers=tuple(runs),
        highest=highest,
        is_closed=is_closed,
        dropped=_dropped(notices.values()),
        missing=missing,
        missing_numbers=tuple(missing_runs),
        earlier=size(gaps(runs, 1, floor - 1)),
        duplicated=size(overlapping) + sum(part.numbers.repeats for part in parts),
        duplicated_numbers=tuple(again),
        duplicated_in=tuple(path for path, part in found if any(common(part.numbers.runs(), again))),
        files=tuple(dict.fromkeys(path for path, _ in found)),
    )


def _floor(parts: Sequence[Part], notices: Iterable[Notice]) -> int:
    """
    Give the number from which on all lines must be there.

    Where the first file of the process is missing, its lines may have been deleted with it. The file that is now the oldest opens with
    a line that was numbered when the one before was closed: all numbers above are in it or behind it, and some below, that waited.
    """
    if any(notice.action == "log-open" and notice.file_number == 1 for notice in notices):
        return 1
    return min(part.first_number if part.begins_with_opening else part.numbers.runs()[0][0] for part in parts)


def _dropped(notices: Collection[Notice]) -> int:
    return max([sum(notice.dropped for notice in notices), *(notice.dropped_total for notice in notices)])


def _declared(notices: dict[int, Notice], *, has_earlier: bool) -> list[tuple[int, int]]:
    """Give the declarations, in order: before which number, how many lines were dropped."""
    declared = []
    known = 0
    for number, notice in sorted(notices.items()):
        # What a total has more than the notices before may have been said in a file that is gone: no excuse for lines in others.
        count = notice.dropped if has_earlier else max(notice.dropped, notice.dropped_total - known)
        if count:
            declared.append((number, count))
            known += count
    return declared


def _undeclared(absent: list[Run], declared: list[tuple[int, int]]) -> tuple[int, list[Run]]:
    """
    Give how many of the absent lines nobody has declared, and where they are.

    A dropped line had its number before the notice that counts it, if not always after the notice before. So the declarations are spent
    from the last to the first, each on what is absent below it, the nearest first.
    """
    missing, pool = 0, 0
    where: list[Run] = []
    left = list(absent)
    for (_, count), (below, _) in pairwise([(0, 0), *reversed(declared), (0, 0)]):
        pool += count
        between = []
        while left and left[-1][1] > below:
            between.append(left.pop())
        spent = min(pool, size(between))
        pool -= spent
        if size(between) > spent:
            missing += size(between) - spent
            where += between
    return missing, where[::-1]


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
