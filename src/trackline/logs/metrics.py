"""The figures of `stats` as metrics, through OpenTelemetry's API: with no SDK they go nowhere and cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation, get_meter

from trackline._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trackline.logs.writer import LogStats

    Read = Callable[[LogStats], int | Mapping[str, int]]

REASON = "trackline.log.drop.reason"


_COUNTERS: tuple[tuple[str, str, str, Read], ...] = (
    ("trackline.log.lines", "{line}", "Lines written.", lambda stats: stats.written),
    ("trackline.log.dropped", "{line}", "Lines dropped for want of room.", lambda stats: stats.dropped_by_reason),
    ("trackline.log.suppressed", "{line}", "Lines left out by sampling or a rate limit.", lambda stats: stats.suppressed),
    ("trackline.log.errors", "{error}", "Failed attempts to write; the lines wait.", lambda stats: stats.errors),
    ("trackline.log.size", "By", "What was written to files.", lambda stats: stats.written_bytes),
    ("trackline.log.rotations", "{file}", "Files ended and renamed.", lambda stats: stats.rotations),
    ("trackline.log.rotation.errors", "{error}", "Failed attempts to rename or compress a file.", lambda stats: stats.rotation_errors),
)
_LEVELS: tuple[tuple[str, str, str, Read], ...] = (
    ("trackline.log.queue.lines", "{line}", "Lines that wait to be written.", lambda stats: stats.queued),
    ("trackline.log.queue.size", "By", "What they take in memory.", lambda stats: stats.queued_bytes),
)
_is_registered = False


def register_metrics(read: Callable[[], LogStats | None]) -> None:
    """
    Register the instruments, once in a process; each time that an SDK collects, ``read`` is called, perhaps in a thread of its own.

    Where it gives None (logging is closed) there is nothing to observe. A provider that is set later gets them too.
    """
    global _is_registered  # noqa: PLW0603  (the API has no way to take a callback back)
    if _is_registered:
        return
    _is_registered = True
    meter = get_meter("trackline", __version__)
    for name, unit, description, of in _COUNTERS:
        meter.create_observable_counter(name, [_callback(read, of)], unit, description)
    for name, unit, description, of in _LEVELS:
        meter.create_observable_up_down_counter(name, [_callback(read, of)], unit, description)


def _callback(read: Callable[[], LogStats | None], of: Read) -> Callable[[Any], Iterable[Observation]]:
    def observe(_options: object) -> Iterable[Observation]:
        stats = read()
        if stats is None:
            return []
        value = of(stats)
        return [Observation(value)] if isinstance(value, int) else [Observation(count, {REASON: key}) for key, count in value.items()]

    return observe
