"""Numbers that come nearly in order, kept as runs: which came, which came again, which are missing between. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Run = tuple[int, int]
    """The first number of a run, and its last."""

_LOOSE = 4096


class Numbers:
    """
    Whole numbers in the order in which they came. Memory goes by the breaks in their order, not by how many there are.

    A million numbers that come in order are one run; so are they in any other order, once all have come.
    """

    __slots__ = ("_again", "_first", "_last", "_most", "_runs", "repeats")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._again: list[Run] = []
        self._first, self._last = 1, 0
        self._most = _LOOSE
        self.repeats = 0
        """How many numbers had been there before; counted when the runs are asked for."""

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Self:
        """Take what is known as runs already."""
        numbers = cls()
        numbers._runs = list(runs)
        return numbers

    def add(self, number: int) -> None:
        """Take the next number."""
        if number == self._last + 1:
            self._last = number
            return
        if self._last >= self._first:
            self._runs.append((self._first, self._last))
            if len(self._runs) > self._most:
                self._merge()
        self._first = self._last = number

    def runs(self) -> list[Run]:
        """Give what came, each number once: in order, apart from each other."""
        if self._last >= self._first:
            self._runs.append((self._first, self._last))
            self._first, self._last = 1, 0
        self._merge()
        return self._runs

    def again(self) -> list[Run]:
        """Give what came more than once."""
        self.runs()
        return self._again

    def _merge(self) -> None:
        self._runs, again = merged(self._runs)
        self.repeats += size(again)
        self._again = merged([*self._again, *again])[0]
        self._most = max(_LOOSE, 2 * len(self._runs))


def merged(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Give runs of any order as runs that are in order and apart; and, for each that another overlaps, the part that was there."""
    union: list[Run] = []
    again: list[Run] = []
    for first, last in sorted(runs):
        if not union or first > union[-1][1] + 1:
            union.append((first, last))
            continue
        begun, ended = union[-1]
        if first <= ended:
            again.append((first, min(last, ended)))
        union[-1] = begun, max(last, ended)
    return union, again


def size(runs: Iterable[Run]) -> int:
    """Count the numbers in runs."""
    return sum(last - first + 1 for first, last in runs)


def gaps(runs: Iterable[Run], first: int, last: int) -> Iterator[Run]:
    """Give the runs of what is not there, from a number to a number; of runs in order."""
    for begun, ended in runs:
        if first > last:
            return
        if begun > first:
            yield first, min(begun - 1, last)
        first = max(first, ended + 1)
    if first <= last:
        yield first, last


def common(some: Sequence[Run], others: Sequence[Run]) -> Iterator[Run]:
    """Give what two sequences of runs, each in order, have in common."""
    i = j = 0
    while i < len(some) and j < len(others):
        first, last = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if first <= last:
            yield first, last
        if some[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
