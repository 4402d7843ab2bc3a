"""The schemas of a line: which fields, in which order. ``ecs`` by default; ``otel``, OTel's log data model; ``flat``, the origin's."""

from __future__ import annotations

import os
import threading
import time
import traceback
from itertools import count
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from trackline.context import current_span_ids, get_tracking_id
from trackline.logs.access import access_fields
from trackline.logs.dump import dump, plain, text_of
from trackline.logs.fields import ECS_VERSION, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from logging import LogRecord

# What a LogRecord has of itself, and what others hang on to every record and we write by other names.
_OWN = frozenset(
    {
        *("name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info", "exc_text", "stack_info"),
        *("lineno", "funcName", "created", "msecs", "relativeCreated", "thread", "threadName", "processName", "process", "taskName"),
        *("message", "asctime", "tracking_id", "color_message"),
        *("otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"),
    }
)


class Resource:
    """What every line of a process has in common: the service and the process. Made anew in a forked child (`renew`)."""

    def __init__(self, service_name: str, attributes: Mapping[str, str]) -> None:
        self.service_name = service_name
        self.attributes = dict(attributes)
        self.renew()

    def renew(self) -> None:
        """Take the process's ID and start its own count of lines."""
        self.pid = os.getpid()
        self.nonce = os.urandom(6).hex()
        self._count = count(1)
        self.numbered = 0

    def event_id(self) -> str:
        """Give the ID of the next line: the process's nonce and its count, without gaps, from 1."""
        self.numbered = number = next(self._count)
        return f"{self.nonce}-{number}"


class Schema:
    """Makes lines. Thread-safe. One for each format; `line` never raises."""

    name: ClassVar[str]

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def line(self, record: LogRecord) -> bytes:
        """Give the line of a record, read here and now, on the caller's thread: its arguments may change, its context may end."""
        try:
            return self.encode(record)
        except Exception as error:  # noqa: BLE001  (whatever somebody logs, there is a line)
            return self._last_resort(record, error)

    def encode(self, record: LogRecord) -> bytes:
        """Give the line of a record; may raise if the record is not what logging makes."""
        raise NotImplementedError

    def notice(self, action: str, message: str, facts: Mapping[str, Any], width: int = 0) -> bytes:
        """Give a line of our own about the log itself, padded to a width in bytes with spaces at the end of the message."""
        raise NotImplementedError

    def _last_resort(self, record: LogRecord, error: Exception) -> bytes:
        facts = {"error": type(error).__name__, "logger": text_of(record.name), "template": text_of(record.msg)[:1000]}
        return self.notice("encode-error", "a record could not be written as it is", facts)


class EcsSchema(Schema):
    """Elastic Common Schema, as the ECS logging specification orders it, dotted names at the top level."""

    name = "ecs"

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        attributes = resource.attributes
        self._service = {"service.name": resource.service_name}
        for field, keys in {
            "service.version": ("service.version",),
            "service.environment": ("deployment.environment.name", "deployment.environment"),
            "service.node.name": ("service.instance.id",),
        }.items():
            for key in keys:
                if attributes.get(key):
                    self._service.setdefault(field, attributes[key])
        self._service["event.dataset"] = resource.service_name

    def encode(self, record: LogRecord) -> bytes:
        fields = self._begin(utc(record.created), record.levelname.lower(), message_of(record), tracking_id_of(record))
        fields |= self._service
        fields |= {
            "log.logger": record.name,
            "log.origin.file.name": record.filename,
            "log.origin.file.line": record.lineno,
            "log.origin.function": record.funcName,
            "process.pid": self.resource.pid,
            "process.thread.name": record.threadName,
        }
        if (error := error_of(record)) is not None:
            fields["error.type"], fields["error.message"], fields["error.stack_trace"] = error
        fields |= access_fields(record)
        labels: dict[str, Any] = {}
        if has_extras(record):
            placed, labels = place(extras_of(record), fields)
            fields |= placed
        if record.stack_info:
            labels["stack_info"] = record.stack_info
        if labels:
            fields["labels"] = {key: scalar(value) for key, value in labels.items()}
        return dump(fields)

    def notice(self, action: str, message: str, facts: Mapping[str, Any], width: int = 0) -> bytes:
        fields = self._begin(utc(time.time()), "info", message, get_tracking_id()) | self._service
        fields |= {"event.action": action, "log.logger": "trackline", "process.pid": self.resource.pid, "labels": dict(facts)}
        return padded(dump(fields), width)

    def _begin(self, timestamp: str, level: str, message: str, tracking_id: str | None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "@timestamp": timestamp,
            "log.level": level,
            "message": message,
            "ecs.version": ECS_VERSION,
        }
        trace_id, span_id, _ = current_span_ids()
        if tracking_id is not None:
            fields["tracking_id"] = tracking_id
        if trace_id is not None:
            fields["trace.id"] = trace_id
        if span_id is not None:
            fields["span.id"] = span_id
        fields["event.id"] = self.resource.event_id()
        return fields


class OtelSchema(Schema):
    """OTel's log data model, with the trace at the top level and everything else where its semantic conventions have it."""

    name = "otel"

    _SEVERITY: ClassVar = {
        "DEBUG": (5, "DEBUG"),
        "INFO": (9, "INFO"),
        "WARNING": (13, "WARN"),
        "ERROR": (17, "ERROR"),
        "CRITICAL": (21, "FATAL"),
    }

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self._resource = {**resource.attributes, "service.name": resource.service_name}

    def encode(self, record: LogRecord) -> bytes:
        number, text = self._SEVERITY.get(record.levelname, (_severity_number(record.levelno), record.levelname))
        attributes: dict[str, Any] = {
            "code.file.path": record.pathname,
            "code.line.number": record.lineno,
            "code.function.name": record.funcName,
            "thread.name": record.threadName,
        }
        if (error := error_of(record)) is not None:
            attributes["exception.type"], attributes["exception.message"], attributes["exception.stacktrace"] = error
        attributes |= access_fields(record, otel=True)
        for key, value in extras_of(record):
            name = text_of(key)
            attributes[name if name not in attributes else f"extra.{name}"] = value
        if record.stack_info:
            attributes["code.stacktrace"] = record.stack_info
        fields = self._fields(utc(record.created), number, text, message_of(record), tracking_id_of(record))
        return self._dump(fields, record.name, attributes)

    def notice(self, action: str, message: str, facts: Mapping[str, Any], width: int = 0) -> bytes:
        fields = self._fields(utc(time.time()), 9, "INFO", message, get_tracking_id())
        fields["event_name"] = f"trackline.{action}"
        return self._dump(fields, "trackline", dict(facts), width)

    def _fields(self, timestamp: str, number: int, text: str, body: str, tracking_id: str | None) -> dict[str, Any]:
        trace_id, span_id, flags = current_span_ids()
        fields: dict[str, Any] = {"timestamp": timestamp, "severity_text": text, "severity_number": number, "body": body}
        if tracking_id is not None:
            fields["tracking_id"] = tracking_id
        if trace_id is not None:
            fields["trace_id"] = trace_id
        if span_id is not None:
            fields["span_id"] = span_id
        if flags is not None:
            fields["trace_flags"] = f"{flags:02x}"
        return fields

    def _dump(self, fields: dict[str, Any], logger: str, attributes: dict[str, Any], width: int = 0) -> bytes:
        fields["attributes"] = {"log.record.uid": self.resource.event_id(), **attributes}
        fields["instrumentation_scope"] = {"name": logger}
        fields["resource"] = {**self._resource, "process.pid": self.resource.pid}
        return padded(dump(fields), width)


class FlatSchema(Schema):
    """The origin's eight keys in its order and its spacing, local time with offset; a traceback follows the message."""

    name = "flat"

    def encode(self, record: LogRecord) -> bytes:
        message = message_of(record)
        if (error := error_of(record)) is not None:
            message = f"{message}\n{error[2]}" if message else error[2]
        if record.stack_info:
            message = f"{message}\n{record.stack_info}"
        values = {
            "@timestamp": local(record.created),
            "level": record.levelname,
            "name": record.name,
            "processName": record.processName,
            "tracking_id": tracking_id_of(record),
            "loc": f"{record.filename}:{record.lineno}",
            "func": record.funcName,
            "message": message,
        }
        return _spaced(values)

    def notice(self, action: str, message: str, facts: Mapping[str, Any], width: int = 0) -> bytes:
        text = f"{message}: " + ", ".join(f"{key}={value}" for key, value in facts.items())
        values = {
            "@timestamp": local(time.time()),
            "level": "INFO",
            "name": "trackline",
            "processName": current_process().name,
            "tracking_id": get_tracking_id(),
            "loc": f"{action}:0",
            "func": action,
            "message": text,
        }
        return padded(_spaced(values), width)


SCHEMAS: dict[str, type[Schema]] = {schema.name: schema for schema in (EcsSchema, OtelSchema, FlatSchema)}


def tracking_id_of(record: LogRecord) -> str | None:
    """Give the tracking ID of now, else the one that a `TrackingIDFilter` has put on the record, in another thread perhaps."""
    tracking_id = get_tracking_id()
    if tracking_id is None and isinstance(stamped := getattr(record, "tracking_id", None), str):
        return stamped
    return tracking_id


def message_of(record: LogRecord) -> str:
    """Give the message with its arguments in it; where they do not fit (or raise), both as they are."""
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001  (arguments that do not fit, a __str__ or __format__ of the user's that raises)
        return f"{text_of(record.msg)} {text_of(plain(record.args))} [not formatted: {type(error).__name__}]"
    return message if isinstance(message, str) else text_of(message)


def error_of(record: LogRecord) -> tuple[str, str, str] | None:
    """Give type, message and stack trace of the record's exception, or None. The type is qualified, but for built-in ones."""
    if not record.exc_info or record.exc_info[0] is None:
        return ("", "", record.exc_text) if record.exc_text else None
    kind, error, trace = record.exc_info
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        stack = record.exc_text or "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    except Exception as failure:  # noqa: BLE001  (an exception of the user's whose own methods raise)
        stack = f"<the traceback could not be formatted: {type(failure).__name__}>"
    return name, text_of(error), stack


def has_extras(record: LogRecord) -> bool:
    """Say whether a record has more attributes than logging gives it."""
    return not _OWN.issuperset(vars(record))


def extras_of(record: LogRecord) -> Iterator[tuple[str, Any]]:
    """Give what the user passed in ``extra=``, in order."""
    return ((key, value) for key, value in vars(record).items() if key not in _OWN)


def scalar(value: Any) -> Any:
    """Give a label's value: a scalar or a list of scalars as it is, anything else as JSON in a text."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float | bool) for one in value):
        return value
    if isinstance(value, dict | list | tuple | set | frozenset):
        return orjson.dumps(plain(value)).decode()
    return text_of(value)


def padded(line: bytes, width: int) -> bytes:
    """Give a line of at least a width in bytes, with spaces where JSON allows them, so that no field has them."""
    return line if len(line) >= width else line[:-2] + b" " * (width - len(line)) + line[-2:]


def _spaced(values: dict[str, Any]) -> bytes:
    # By way of dump() for everything that a value can be; then with the origin's spaces, which people grep for.
    checked = orjson.loads(dump(values))
    return b"{" + b", ".join(b'"%b": %b' % (key.encode(), orjson.dumps(value)) for key, value in checked.items()) + b"}\n"


def _severity_number(level: int) -> int:
    return min(max(1 + level * 4 // 10, 1), 24)


def utc(created: float, _kept: threading.local = threading.local()) -> str:  # noqa: B008  (one for all calls is what is meant)
    """Give a time in UTC with microseconds: ``2026-11-22T14:40:01.123456Z``. The second's part is kept from call to call."""
    second, micros = divmod(round(created * 1_000_000), 1_000_000)
    if getattr(_kept, "second", None) != second:
        _kept.second, _kept.text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{_kept.text}.{micros:06d}Z"


def local(created: float) -> str:
    """Give a time as the origin writes it: local, with its offset, whole seconds: ``2025-11-29T21:07:09+0800``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(created))
