"""The tracking ID on every record of the process, for handlers that are not ours: OTel's, Sentry's, logfire's, anybody's format."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from trackline.context import get_tracking_id

if TYPE_CHECKING:
    from collections.abc import Callable


def stamp_records() -> Callable[[], None]:
    """
    Have every record that is made from now on carry ``tracking_id``, or None outside of a request; gives a function that undoes it.

    At ``Logger.makeRecord``, behind whatever record factory is set: a factory that sets the attribute itself would make logging refuse
    an ``extra={"tracking_id": …}`` of the application's. That one wins here. Calls may be nested, and undone in any order.
    """
    original = logging.Logger.makeRecord
    is_on = True

    @functools.wraps(original)
    def makeRecord(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802  (logging's name)
        record = original(self, *args, **kwargs)
        if is_on:
            vars(record).setdefault("tracking_id", get_tracking_id())
        return record

    makeRecord.stamps = original  # type: ignore[attr-defined]
    logging.Logger.makeRecord = makeRecord  # type: ignore[method-assign]

    def undo() -> None:
        nonlocal is_on
        is_on = False
        if logging.Logger.makeRecord is makeRecord:  # else somebody has wrapped it since, and calls one that does nothing any more
            logging.Logger.makeRecord = original  # type: ignore[method-assign]

    return undo


def is_stamp_of(make_record: Callable[..., logging.LogRecord], original: Callable[..., logging.LogRecord]) -> bool:
    """Say whether a ``makeRecord`` does nothing that another does not, but for what `stamp_records` does."""
    return getattr(make_record, "stamps", None) is original
