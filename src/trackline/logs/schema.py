"""The schemas of a line: which fields, in which order. ``ecs`` by default; ``otel``, OTel's log data model; ``flat``, the origin's."""

from __future__ import annotations

import time
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from trackline.logs.access import ACCESS_LOGGER, CATEGORY
from trackline.logs.contents import Contents
from trackline.logs.dump import MAX_LINE, dump
from trackline.logs.fields import ECS_VERSION, place
from trackline.logs.plain import Plain, text_of
from trackline.logs.record import is_sound, local, mended, now_in_context, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import LogRecord

    from trackline.logs.resource import Resource


class Schema:
    """Makes lines. Thread-safe. One for each format; `line` never raises."""

    name: ClassVar[str]

    def __init__(self, resource: Resource, contents: Contents | None = None) -> None:
        self.resource, self.contents = resource, contents or Contents()

    def line(self, record: LogRecord) -> bytes:
        """Give the line of a record, read here and now, on the caller's thread: its arguments may change, its context may end."""
        event_id = self.resource.event_id()  # one for each line, also where it takes a second attempt: the count has no gaps
        try:
            return self.encode(record if is_sound(record) else mended(record), event_id)
        except Exception as error:  # noqa: BLE001  (whatever somebody logs, there is a line)
            return self.failure(event_id, error, record)

    def failure(self, event_id: str, error: Exception, record: object) -> bytes:
        """Give a line that says that something could not be made one, and what it was."""
        facts = {"error": type(error).__name__, "record": self.contents.text(text_of(record)[:1000])}
        return self.encode_notice(event_id, "encode-error", "a record could not be written as it is", facts)

    def notice(self, action: str, message: str, facts: Mapping[str, Any], width: int = 0) -> bytes:
        """Give a line of our own about the log itself, padded to a width in bytes with spaces where JSON allows them."""
        return padded(self.encode_notice(self.resource.event_id(), action, message, facts), width)

    def encode(self, record: LogRecord, event_id: str) -> bytes:
        """Give the line of a sound record."""
        raise NotImplementedError

    def encode_notice(self, event_id: str, action: str, message: str, facts: Mapping[str, Any]) -> bytes:
        """Give a line of our own."""
        raise NotImplementedError


class EcsSchema(Schema):
    """Elastic Common Schema, as the ECS logging specification orders it, dotted names at the top level."""

    name = "ecs"

    def __init__(self, resource: Resource, contents: Contents | None = None) -> None:
        super().__init__(resource, contents)
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

    def encode(self, record: LogRecord, event_id: str) -> bytes:
        fields = self._begin(event_id, utc(record.created), record.levelname.lower(), self.contents.message(record), record)
        fields["log.logger"] = record.name
        if record.name == ACCESS_LOGGER:
            fields |= CATEGORY
        fields["log.origin.file.name"] = record.filename
        fields["log.origin.file.line"] = record.lineno
        if record.funcName is not None:
            fields["log.origin.function"] = record.funcName
        fields["process.pid"] = self.resource.pid
        if record.threadName is not None:
            fields["process.thread.name"] = record.threadName
        if (error := self.contents.error(record)) is not None:
            of_error = zip(("error.type", "error.message", "error.stack_trace"), error, strict=True)
            fields |= {field: text for field, text in of_error if text is not None}
        fields |= self.contents.access(record)
        extras = self.contents.extras(record, fields.get("tracking_id"))
        if stack := self.contents.stack(record):
            extras.append(("stack_info", stack))
        if extras:
            placed, labels = place(extras, fields)
            fields |= placed
            if labels:
                fields["labels"] = labels
        return dump(fields)

    def encode_notice(self, event_id: str, action: str, message: str, facts: Mapping[str, Any]) -> bytes:
        fields = self._begin(event_id, utc(time.time()), "info", message)
        fields |= {"event.action": action, "log.logger": "trackline", "process.pid": self.resource.pid, "labels": dict(facts)}
        return dump(fields)

    def _begin(self, event_id: str, timestamp: str, level: str, message: str, record: LogRecord | None = None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "@timestamp": timestamp,
            "log.level": level,
            "message": message,
            "ecs.version": ECS_VERSION,
        }
        tracking_id, trace_id, span_id, _ = now_in_context(record)
        if tracking_id is not None:
            fields["tracking_id"] = tracking_id
        if trace_id is not None:
            fields["trace.id"] = trace_id
        if span_id is not None:
            fields["span.id"] = span_id
        fields["event.id"] = event_id
        fields |= self._service
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
    _RESERVED = frozenset({"tracking_id"})  # at the top level; a second one below would be taken for it

    def __init__(self, resource: Resource, contents: Contents | None = None) -> None:
        super().__init__(resource, contents)
        self._resource = {**resource.attributes, "service.name": resource.service_name}

    def encode(self, record: LogRecord, event_id: str) -> bytes:
        number, text = self._SEVERITY.get(record.levelname, (_severity_number(record.levelno), record.levelname))
        fields = self._begin(utc(record.created), number, text, self.contents.message(record), record)
        attributes: dict[str, Any] = {
            "log.record.uid": event_id,
            "code.file.path": record.pathname,
            "code.line.number": record.lineno,
            "code.function.name": record.funcName,
            "thread.name": record.threadName,
        }
        if (error := self.contents.error(record)) is not None:
            attributes |= zip(("exception.type", "exception.message", "exception.stacktrace"), error, strict=True)
        if stack := self.contents.stack(record):
            attributes["code.stacktrace"] = stack
        attributes |= self.contents.access(record, otel=True)
        attributes = {name: value for name, value in attributes.items() if value is not None}
        for key, value in self.contents.extras(record, fields.get("tracking_id")):
            name = key if key.strip() else "_"
            while name in attributes or name in self._RESERVED:
                name = f"extra.{name}"
            attributes[name] = value if type(value) in (str, int, float, bool) else Plain().of(value)
        return self._dump(fields, record.name, attributes)

    def encode_notice(self, event_id: str, action: str, message: str, facts: Mapping[str, Any]) -> bytes:
        fields = self._begin(utc(time.time()), 9, "INFO", message)
        fields["event_name"] = f"trackline.{action}"
        return self._dump(fields, "trackline", {"log.record.uid": event_id, **facts})

    @staticmethod
    def _begin(timestamp: str, number: int, text: str, body: str, record: LogRecord | None = None) -> dict[str, Any]:
        tracking_id, trace_id, span_id, flags = now_in_context(record)
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

    def _dump(self, fields: dict[str, Any], logger: str, attributes: dict[str, Any]) -> bytes:
        # The resource before the attributes: of a line that is too long, what comes last is cut.
        fields["instrumentation_scope"] = {"name": logger}
        fields["resource"] = {**self._resource, "process.pid": self.resource.pid}
        fields["attributes"] = attributes
        return dump(fields)


class FlatSchema(Schema):
    """The origin's eight keys in its order and its spacing, local time with offset; a traceback follows the message."""

    name = "flat"

    def encode(self, record: LogRecord, event_id: str) -> bytes:
        message = self.contents.message(record)
        if (error := self.contents.error(record)) is not None:
            message = f"{message}\n{error[2]}" if message else error[2]
        if stack := self.contents.stack(record):
            message = f"{message}\n{stack}"
        values = {
            "@timestamp": local(record.created),
            "level": record.levelname,
            "name": record.name,
            "processName": record.processName,
            "tracking_id": now_in_context(record)[0],
            "loc": f"{record.filename}:{record.lineno}",
            "func": record.funcName,
            "message": message,
        }
        return _spaced(values)

    def encode_notice(self, event_id: str, action: str, message: str, facts: Mapping[str, Any]) -> bytes:
        text = f"{message}: " + ", ".join(f"{key}={value}" for key, value in facts.items())
        values = {
            "@timestamp": local(time.time()),
            "level": "INFO",
            "name": "trackline",
            "processName": current_process().name,
            "tracking_id": now_in_context()[0],
            "loc": f"{action}:0",
            "func": action,
            "message": text,
        }
        return _spaced(values)


SCHEMAS: dict[str, type[Schema]] = {schema.name: schema for schema in (EcsSchema, OtelSchema, FlatSchema)}


def padded(line: bytes, width: int) -> bytes:
    """Give a line of at least a width in bytes, with spaces where JSON allows them, so that no field has them."""
    return line if len(line) >= width else line[:-2] + b" " * (width - len(line)) + line[-2:]


def _spaced(values: dict[str, Any]) -> bytes:
    # By way of dump() for everything that a value can be; then with the origin's spaces, which people grep for.
    checked = orjson.loads(dump(values, MAX_LINE - 2 * len(values)))
    return b"{" + b", ".join(b'"%b": %b' % (key.encode(), orjson.dumps(value)) for key, value in checked.items()) + b"}\n"


def _severity_number(level: int) -> int:
    return min(max(1 + level * 4 // 10, 1), 24)
