"""The logging.Handler that makes the line, on the caller's thread, and puts it into the queue."""

from __future__ import annotations

import logging
import os
import sys
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

from trackline._version import __version__
from trackline.context import get_tracking_id
from trackline.logs.console import Console
from trackline.logs.contents import Contents
from trackline.logs.direct import DirectLines
from trackline.logs.files import LogFile
from trackline.logs.own import schema_of
from trackline.logs.queue import LineQueue
from trackline.logs.resource import Resource
from trackline.logs.sampling import SamplingFilter
from trackline.logs.schema import SCHEMAS, EcsSchema
from trackline.logs.tracebacks import Tracebacks
from trackline.logs.writer import LogWriter
from trackline.redaction import redaction_of

if TYPE_CHECKING:
    from pathlib import Path

    from trackline.config import LogSettings
    from trackline.logs.schema import Schema
    from trackline.redaction import Redaction

_OPENING_WIDTH = 1100  # bytes; shippers tell files apart by their first 1,000, and do not read shorter ones


class LineHandler(logging.Handler):
    """
    Makes the line of each record and queues it. Never blocks, never raises, takes no lock.

    The line is finished before ``handle`` returns: the tracking ID and the span are those of the caller, and what it does with its
    arguments afterwards does not change it. Calls of `trackline.logs.loggers` come past this, with no record: of them ``direct`` knows.
    """

    def __init__(self, schema: Schema, queue: LineQueue, writer: LogWriter, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._schema, self._queue, self.writer = schema, queue, writer
        self.direct = DirectLines(schema, queue) if type(schema) is EcsSchema and DirectLines.suits(schema) else None

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
        """Write what waits; at exit, close the file too. Logging calls this then, and where dictConfig replaces its handlers."""
        if self.writer.is_exiting:
            self.writer.close()
        else:
            self.writer.flush()
        super().close()


class TrackingIDFilter(logging.Filter):
    """Puts ``tracking_id`` on every record that passes, or None: for formats and handlers of others."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp the record; it always passes."""
        tracking_id = get_tracking_id()
        # In a listener's thread there is none: the stamp of the caller's thread stays.
        if tracking_id is not None or not hasattr(record, "tracking_id"):
            record.tracking_id = tracking_id
        return True


class JSONFormatter(logging.Formatter):
    """
    Formats a record as a line of one of the schemas, without its newline, for handlers of others.

    ``JSONFormatter()`` gives the origin's format, `flat`; ``redact`` is that of `setup_logging`. Raises ValueError for a schema that
    there is not.
    """

    def __init__(self, schema: str = "flat", service_name: str = "app", *, redact: bool | Redaction = True) -> None:
        super().__init__()
        if schema not in SCHEMAS:
            raise ValueError(f"schema={schema!r}: expected one of {', '.join(map(repr, SCHEMAS))}")
        self._schema = SCHEMAS[schema](Resource(service_name, {}), Contents(redaction_of(redact)))

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        return self._schema.line(record).decode("utf-8").removesuffix("\n")


def make_schema(settings: LogSettings) -> Schema:
    """Give what makes the lines."""
    resource = Resource(settings.service_name, dict(settings.resource))
    contents = Contents(settings.redaction, Tracebacks(settings.traceback_frames, settings.traceback_bytes))
    return schema_of(settings.schema, resource, contents)


def make_handler(settings: LogSettings) -> LineHandler:
    """Put the pieces together: schema, queue, file, console, writer. Opens nothing before the first line."""
    schema = make_schema(settings)
    resource = schema.resource
    file_numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(1))  # a forked child has a nonce, and a count, of its own

    def opening(path: Path) -> bytes:
        facts = {
            "host": os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", ""),
            "service": settings.service_name,
            "pid": resource.pid,
            "nonce": resource.nonce,
            "schema": schema.name,
            "trackline": __version__,
            "python": sys.version.split()[0],
            "file": path.name,
            "file_number": next(file_numbers[resource.nonce]),  # from 1: where an audit finds none of 1, earlier files are gone
        }
        return schema.notice("log-open", "the log of this process begins here", facts, _OPENING_WIDTH)

    queue = LineQueue(settings.max_queue_lines, settings.max_queue_bytes, settings.queue_policy, settings.queue_timeout)
    file = LogFile(settings, opening) if settings.file else None
    writer = LogWriter(queue, schema, file, Console(str(settings.console)) if settings.console else None)
    handler = LineHandler(schema, queue, writer)
    for sampling in (settings.sampling, settings.rate_limit):
        if sampling is not None:
            handler.addFilter(SamplingFilter(sampling))
    return handler


def make_directory(settings: LogSettings) -> None:
    """Make the directory of the log file, if there is to be one. Raises RuntimeError where that cannot be."""
    if not settings.file:
        return
    try:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RuntimeError(f"log_dir={str(settings.log_dir)!r}: the directory cannot be made: {error}") from error
