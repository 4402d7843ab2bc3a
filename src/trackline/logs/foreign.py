"""What other logging libraries say (loguru, structlog), as records that go through the queue like those of logging."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from trackline.context import current_span_ids, get_tracking_id
from trackline.logs.handler import LineHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a record has of itself; what a library's user passes under such a name gets one of its own.
_TAKEN = frozenset((*vars(logging.LogRecord("", 0, "", 0, None, None, None)), "message", "asctime", "taskName"))


def make_record(
    name: str,
    level: int,
    level_name: str,
    message: object,
    *,
    path: str,
    line: int,
    function: str,
    exc_info: Any = None,
    extras: Mapping[str, Any],
) -> logging.LogRecord:
    """Make a record of an event; extras as `ids_of_now` gives them are left out, because the line has them already."""
    record = logging.LogRecord(name, level, path, line, message, None, exc_info, function)
    record.levelname = level_name
    ours = ids_of_now()
    given = vars(record)
    for key, value in extras.items():
        if key in ours and ours[key] == value:
            continue
        free = str(key)
        while free in _TAKEN or (free != key and free in extras):
            free = f"extra_{free}"
        given[free] = value
    return record


def ids_of_now() -> dict[str, str | None]:
    """Give ``tracking_id``, ``trace_id`` and ``span_id`` of this moment, each None where there is none. Never raises."""
    try:
        trace_id, span_id, _ = current_span_ids()
        return {"tracking_id": get_tracking_id(), "trace_id": trace_id, "span_id": span_id}
    except Exception:  # noqa: BLE001  (TRACKING_ID is the user's to set, to anything; so is the current span)
        return {"tracking_id": None, "trace_id": None, "span_id": None}


def line_handlers(name: str) -> list[LineHandler]:
    """Give our handlers that a logger's records reach: those of `setup_logging` and `setup_logger`."""
    found: list[LineHandler] = []
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        found.extend(handler for handler in logger.handlers if isinstance(handler, LineHandler))
        logger = logger.parent if logger.propagate else None
    return found


def say_nowhere(library: str) -> None:
    """Say that there is no handler of ours for what a library logs."""
    print(f"trackline: lines of {library} go nowhere: call trackline.setup_logging first", file=sys.stderr)  # noqa: T201
