"""When a new file begins, and what the one before is called then."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING

from trackline.config import rotation_seconds, zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

DAY = 86_400


class Schedule:
    """
    The instants at which a file is over, in seconds since 1970: midnight, or whenever the clock reads a multiple of an interval.

    The clock is that of a zone. Where it is put forward over such a reading, the file is over at that instant. Where it is put back,
    an interval comes again and has a file again; a day does not. Raises ValueError as `LogSettings` does.
    """

    def __init__(self, rotate: str | None, zone: str = "local") -> None:
        self._seconds = rotation_seconds(rotate)
        self._zone = zone_of(zone)

    def next_after(self, now: float) -> float:
        """Give the next instant, later than ``now``; infinity where files end for other reasons only."""
        if self._seconds is None:
            return math.inf
        period = self._period(math.floor(now))
        following = _next_multiple(math.floor(now), self._seconds, self._zone)
        # A day whose midnight comes twice is one day.
        while self._seconds == DAY and self._period(following) == period:
            following = _next_multiple(following, self._seconds, self._zone)
        return float(following)

    def label(self, written: float) -> str:
        """
        Give the period in which a file was written last, by its beginning: ``2026-11-21``, or ``2026-11-21T14-30-00`` of an interval.

        Labels sort in the order of time: in the hour after the clock was put back, the last one before it stays.
        """
        shape = "%Y-%m-%d" if self._seconds in (None, DAY) else "%Y-%m-%dT%H-%M-%S"
        return time.strftime(shape, time.gmtime(self._period(math.floor(written))))

    def _period(self, instant: int) -> int:
        reading = _highest_reading(instant, self._zone)
        return reading - reading % (self._seconds or DAY)


def _next_multiple(now: int, seconds: int, zone: tzinfo | None) -> int:
    while True:
        offset = _offset(now, zone)
        candidate = now + seconds - (now + offset) % seconds
        if _offset(candidate, zone) == offset:
            return candidate
        change = _change(now, candidate, zone)
        reading = change + _offset(change, zone)
        if reading % seconds == 0 or reading // seconds > (now + offset) // seconds:
            return change
        now = change


def _highest_reading(instant: int, zone: tzinfo | None) -> int:
    """Give what the clock reads, as though 1970 had begun in its zone; while it repeats itself, the highest that it has read."""
    local = datetime.fromtimestamp(instant, zone)
    if local.fold:
        before = int(local.replace(fold=0).timestamp())
        return _change(before, instant, zone) - 1 + _offset(before, zone)
    return instant + _offset(instant, zone)


def _change(low: int, high: int, zone: tzinfo | None) -> int:
    """Give the first instant after ``low``, up to ``high``, with another offset than there."""
    offset = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(instant: int, zone: tzinfo | None) -> int:
    if zone is None:
        return time.localtime(instant).tm_gmtoff
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
