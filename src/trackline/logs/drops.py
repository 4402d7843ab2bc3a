"""The count of the lines that were dropped: by reason, and by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONS = ("level", "newest", "oldest", "timeout")
"""
Why a line is dropped: for its level, where the queue is nearly full; because it came when there was no room; because it was the oldest
when another came; or because it had waited for room until its time was over.
"""
LEVELS = ("debug", "info", "warning", "error", "critical")
_KEYS = tuple((reason, level) for reason in REASONS for level in LEVELS)


class Drops:
    """
    Counts what was dropped, and what of that has been said in the log.

    Not thread-safe: the queue's lock is held around each call.
    """

    def __init__(self) -> None:
        # Every key is there: who interrupts a count, and counts, finds no dict that changes its size.
        self._counts = dict.fromkeys(_KEYS, 0)
        self._said = dict(self._counts)

    def count(self, reason: str, level: str) -> None:
        """Count a line."""
        self._counts[reason, level] += 1

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self._counts.values())

    def by_reason(self) -> dict[str, int]:
        """How many there were for each reason that there was."""
        return _sums(self._counts, 0)

    def by_level(self) -> dict[str, int]:
        """How many there were of each level that there was."""
        return _sums(self._counts, 1)

    def take_unsaid(self) -> dict[str, int]:
        """
        Give what is to be said of the lines that were dropped since this was last asked; nothing where there were none.

        ``dropped``, how many; ``dropped_total``, how many since the process began; ``reason_…`` and ``level_…``, how many of each.
        """
        now = dict(self._counts)
        since = {key: count - self._said[key] for key, count in now.items()}
        dropped = sum(since.values())
        if not dropped:
            return {}
        self._said = now
        return {"dropped": dropped, "dropped_total": sum(now.values()), **_facts(since)}

    def totals(self) -> dict[str, int]:
        """Give what the closing line says: ``dropped``, and ``reason_…`` and ``level_…`` where lines were dropped."""
        return {"dropped": self.total, **_facts(self._counts)}


def _facts(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    facts = {f"reason_{reason}": count for reason, count in _sums(counts, 0).items()}
    return facts | {f"level_{level}": count for level, count in _sums(counts, 1).items()}


def _sums(counts: Mapping[tuple[str, str], int], part: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for key, count in counts.items():
        if count:
            sums[key[part]] = sums.get(key[part], 0) + count
    return sums
