"""The logging.Handler that makes the line, on the caller's thread, and puts it into the queue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trackline.context import get_tracking_id
from trackline.logs.schema import SCHEMAS, Resource

if TYPE_CHECKING:
    from trackline.logs.queue import LineQueue
    from trackline.logs.schema import Schema
    from trackline.logs.writer import LogWriter


class LineHandler(logging.Handler):
    """
    Makes the line of each record and queues it. Never blocks, never raises, takes no lock.

    The line is finished before ``handle`` returns: the tracking ID and the span are those of the caller, and what it does with its
    arguments afterwards does not change it.
    """

    def __init__(self, schema: Schema, queue: LineQueue, writer: LogWriter, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._schema, self._queue, self.writer = schema, queue, writer

    def createLock(self) -> None:  # noqa: N802  (logging's name)
        """Have none: everything behind this is safe without."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Filter and emit."""
        kept = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)  # since 3.12 a filter may give another record
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Make the line and queue it; count it where there is no room."""
        self._queue.put(self._schema.line(record), record.levelno)
        if not self.writer.is_running:
            self.writer.start()

    def flush(self) -> None:
        """Have everything written."""
        self.writer.flush()

    def close(self) -> None:
        """Write what waits; logging calls this at exit."""
        self.writer.close()
        super().close()


class TrackingIDFilter(logging.Filter):
    """Puts ``tracking_id`` on every record that passes, or None: for formats and handlers of others."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp the record; it always passes."""
        record.tracking_id = get_tracking_id()
        return True


class JSONFormatter(logging.Formatter):
    """
    Formats a record as a line of one of the schemas, without its newline, for handlers of others.

    ``JSONFormatter()`` gives the origin's format, `flat`. Raises ValueError for a schema that there is not.
    """

    def __init__(self, schema: str = "flat", service_name: str = "app") -> None:
        super().__init__()
        if schema not in SCHEMAS:
            raise ValueError(f"schema={schema!r}: expected one of {', '.join(map(repr, SCHEMAS))}")
        self._schema = SCHEMAS[schema](Resource(service_name, {}))

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        return self._schema.line(record).decode("utf-8").removesuffix("\n")
