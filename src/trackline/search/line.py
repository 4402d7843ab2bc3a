"""One log line, read back: the same view of it whichever of the three schemas it was written in, or a stranger's."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# Where each value may be, the best first. Dotted and nested keys are one: Filebeat expands the first into the second.
TIME = ("@timestamp", "timestamp", "time", "ts")
_LEVEL = ("log.level", "level", "severity_text", "levelname", "severity")
SERVICE = ("service.name", "service")
PROCESS = ("process.pid", "pid")
LOGGER = ("log.logger", "logger", "instrumentation_scope.name", "scope.name", "scope", "name")
_MESSAGE = ("message", "body", "body.text", "body.stringValue", "msg", "event")
_ERROR_TYPE = ("error.type", "exception.type")
_ERROR_MESSAGE = ("error.message", "exception.message")
_STACK = (
    "error.stack_trace",
    "error.stacktrace",
    "exception.stacktrace",
    "exc_info",
    "exc_text",
    "exception",
    "traceback",
    "stack_trace",
)
_FILE = ("log.origin.file.name", "code.file.path", "code.filepath", "filename")
_FILE_LINE = ("log.origin.file.line", "code.line.number", "code.lineno", "lineno")
_FUNCTION = ("log.origin.function", "code.function.name", "code.function", "func", "funcName")
TRACE = ("trace.id", "trace_id", "traceId")
EVENT = ("log.record.uid", "event.id")  # in this order: a line in `otel` may have an attribute of the user's by the other name
_SPAN = ("span.id", "span_id", "spanId")
TRACKING = ("tracking_id", "labels.tracking_id", "http.request.id")
FOREIGN = ("request_id", "correlation_id")  # what other libraries call it; counts only where there is no name of ours

WRAPPERS = ("attributes.", "resource.attributes.", "resource.", "json.")
_LISTED = (
    TIME,
    _LEVEL,
    SERVICE,
    PROCESS,
    LOGGER,
    _MESSAGE,
    _ERROR_TYPE,
    _ERROR_MESSAGE,
    _STACK,
    _FILE,
    _FILE_LINE,
    _FUNCTION,
)
_SHOWN = frozenset(key for keys in (*_LISTED, TRACE, _SPAN, TRACKING) for key in keys)
_PLUMBING = re.compile(
    r"(body|ecs|data_stream|process|service|host|telemetry|agent|log|scope|code|container|kubernetes|cloud|orchestrator)\."
    r"|event\.(?!duration|outcome)|dropped_\w+_count$|(input\.type|stream|@version)$"
    r"|(processName|loc|trace_?flags|severity_number|observed_timestamp|transaction\.id|thread\.(id|name)|host|log)$"
)
_COUNTED = re.compile(r"([0-9a-f]{12})-([1-9][0-9]{0,17})", re.ASCII).fullmatch  # others have an ID too: a UUID, say, without a count
_LEVELS = {"WARN": "WARNING", "ERR": "ERROR", "FATAL": "CRITICAL"}

_MILLISECOND = timedelta(milliseconds=1)
_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII).fullmatch
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TRACEBACK = re.compile(r"\nTraceback \(most recent call last\):\n")  # a text formatter appends it to the message
COMPRESSED = re.compile(r"(\.(gz|zst|bz2|xz|tmp))+$")
_DATE = re.compile(r"[-._]?(\d{4}-?\d\d-?\d\d(?:[T_-].*)?)$")
_WORKER = re.compile(r"-((?:sp)?\d+)(?:-[0-9a-f]{6})?$")


class FileName(NamedTuple):
    """What a log file's name says: ``app-7.log.2026-11-22.gz`` is of service app, process 7, and was live until then."""

    service: str
    process: str
    family: str  # the same for a live file and what it was rotated and compressed to, so that a line is known again
    rotated: str  # sorts in the order of writing: the live file comes last


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line that was found. Text is as it was logged, so neutralise it before it goes to a terminal.

    ``ids`` are all tracking and trace IDs of the line; ``tracking_id`` and the rest are empty where the line does not say.
    """

    raw: bytes
    path: Path
    number: int
    fields: dict[str, Any]
    ids: frozenset[str]
    time: datetime | None
    level: str
    service: str
    process: str
    logger: str
    origin: str
    function: str
    message: str
    error_type: str
    error_message: str
    stack: str
    tracking_id: str
    trace_id: str
    span_id: str
    event_id: str
    extra: dict[str, Any]

    @property
    def is_error(self) -> bool:
        """Whether the line is of level ERROR or worse."""
        return self.level in {"ERROR", "CRITICAL", "ALERT", "EMERGENCY", "PANIC"}


def read_line(raw: bytes, path: Path, number: int, fields: dict[str, Any]) -> Line:
    """Read one parsed line into the common view. Never raises, whatever JSON a stranger has written."""
    flat = flatten(fields)
    named = file_name(path)
    file, file_line = first_text(flat, *_FILE), first_text(flat, *_FILE_LINE)
    process = first_text(flat, *PROCESS) or named.process or first_text(flat, "processName")
    body = fields.get("body")
    message = first_text(flat, *_MESSAGE) or (json.dumps(body, ensure_ascii=False) if body else "")
    stack = next((value for key in _STACK if isinstance(value := flat.get(key), str)), "")
    if not stack and (traceback := _TRACEBACK.search(message)):
        message, stack = message[: traceback.start()], message[traceback.start() + 1 :]
    return Line(
        raw=raw,
        path=path,
        number=number,
        fields=fields,
        ids=_ids(flat),
        time=next((time for key in TIME if (time := read_time(flat.get(key)))), None),
        level=_level(flat),
        service=first_text(flat, *SERVICE) or named.service,
        process="" if process == "MainProcess" else process,
        logger=first_text(flat, *LOGGER),
        origin=f"{file}:{file_line}" if file and file_line else file or first_text(flat, "loc"),
        function=first_text(flat, *_FUNCTION),
        message=message,
        error_type=first_text(flat, *_ERROR_TYPE),
        error_message=first_text(flat, *_ERROR_MESSAGE),
        stack=stack,
        tracking_id=first_text(flat, *TRACKING) or first_text(flat, *FOREIGN),
        trace_id=first_text(flat, *TRACE),
        span_id=first_text(flat, *_SPAN),
        event_id=first_text(flat, *EVENT),
        extra={
            key.removeprefix("labels."): value
            for key, value in flat.items()
            if key not in _SHOWN and not _PLUMBING.match(key) and value not in (None, "")
        },
    )


def read_ids(fields: Mapping[str, Any]) -> frozenset[str]:
    """Read all tracking and trace IDs of a line, and nothing else: a fraction of the time of `read_line`."""
    return _ids(flatten(fields))


def read_number(event_id: str) -> tuple[str, int] | None:
    """
    Read the nonce of the process and the number of the line from an ID of ours; None where it is none.

    >>> read_number("9f3c02d1e7b4-12")
    ('9f3c02d1e7b4', 12)
    """
    match = _COUNTED(event_id)
    return (match[1], int(match[2])) if match else None


def in_order(lines: Iterable[Line]) -> list[Line]:
    """
    Sort lines, from files and from an index alike: by time, service, process, and the order within the process.

    Of a process whose lines are numbered the number settles what came first, where a shipper has cut times to milliseconds.
    """
    lines = list(lines)
    moments: dict[int, datetime] = {}
    before, latest = "", None
    for nonce, _, time, place in sorted(
        (*number, line.time, place) for place, line in enumerate(lines) if line.time and (number := read_number(line.event_id))
    ):
        if nonce == before and latest is not None and time.microsecond % 1000 == 0 and time <= latest < time + _MILLISECOND:
            time = latest  # noqa: PLW2901  (it was cut: it is not from before the line before it)
        moments[place], before, latest = time, nonce, time

    def key(place: int) -> tuple[object, ...]:
        line = lines[place]
        name = file_name(line.path)
        nonce, number = read_number(line.event_id) or ("", 0)
        time = moments.get(place) or line.time or datetime.max.replace(tzinfo=UTC)
        return time, line.service, nonce or name.family, number, name.rotated, line.number

    return [lines[place] for place in sorted(range(len(lines)), key=key)]


def read_time(value: object) -> datetime | None:
    """
    Read a timestamp to UTC, or give None: RFC 3339 with any number of digits, or a number of s, ms, µs or ns since 1970.

    Text without an offset counts as UTC, as it does in Elasticsearch.
    """
    try:
        if isinstance(value, str) and not value.isdigit():
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            number = float(value) if isinstance(value, float) else int(value)
            # The unit is told by the size: as seconds, 1e11 is the year 5138; as milliseconds, 1973.
            per_second = next((unit for unit in (1, 10**3, 10**6) if abs(number) < unit * 10**11), 10**9)
            # Not fromtimestamp(): a float of 2026 in nanoseconds is off by hundreds of them.
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * 10**6 // per_second)
    except (ValueError, OverflowError):
        pass
    return None


def parse_when(text: str) -> datetime:
    """
    Give the time that a person means: RFC 3339, UTC where there is no offset, or an age such as ``90s``, ``15m``, ``2h`` or ``3d``.

    Raises ValueError for anything else.
    """
    try:
        if age := _AGE(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        if not text.isdigit() and (time := read_time(text)):
            return time
    except OverflowError:
        pass
    raise ValueError(f"{text!r}: expected a time such as 2026-11-22T14:40 (UTC) or 2026-11-22T15:40+01:00, or an age: 15m, 2h, 3d")


@lru_cache(maxsize=4096)
def file_name(path: Path) -> FileName:
    """Read what a log file's name says, live or rotated: ``app-sp1.log``, ``app-2026-11-21T00-00-00.log.gz``, ``app.log.3``."""
    name = COMPRESSED.sub("", path.name)
    stem, dot_log, tail = name.partition(".log")
    if not dot_log:
        stem, _, tail = name.partition(".")
    dated = _DATE.search(stem)
    if dated:
        stem = stem[: dated.start()]
    worker = _WORKER.search(stem)
    service = stem[: worker.start()] if worker else stem
    process = worker.group(1) if worker else ""
    rotated = dated.group(1) if dated else tail.lstrip(".-")
    return FileName(service or name, process, str(path.parent / stem), rotated or "~")


def flatten(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields by their dotted names, without what shippers and schemas wrap round them."""
    flat = dict(_dotted(fields, "", 0))
    for wrapper in WRAPPERS:
        for key in [key for key in flat if key.startswith(wrapper)]:
            # The line's own key wins over one that is wrapped; that one stays as it is, and counts as an extra.
            bare = key.removeprefix(wrapper)
            value = flat.pop(key)
            if flat.setdefault(bare, value) != value:
                flat[key] = value
    return flat


def _dotted(fields: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, dict) and value and depth < 8:
            yield from _dotted(value, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, value


def _ids(flat: Mapping[str, Any]) -> frozenset[str]:
    ours = [first_text(flat, key) for key in (*TRACKING, *(wrapper + "tracking_id" for wrapper in WRAPPERS))]
    tracking = ours if any(ours) else [first_text(flat, key) for key in FOREIGN]
    return frozenset((*tracking, *(first_text(flat, key) for key in TRACE))) - {""}


def _level(flat: Mapping[str, Any]) -> str:
    level = first_text(flat, *_LEVEL).upper()
    number = flat.get("severity_number")
    if not level and isinstance(number, int):
        # OpenTelemetry logs data model, "Severity Fields": four numbers a level.
        level = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")[min(max(number - 1, 0) // 4, 5)]
    return _LEVELS.get(level, level)


def first_text(flat: Mapping[str, Any], *keys: str) -> str:
    """Give the first of these fields that is a text or a whole number, as text; an empty one where there is none."""
    for key in keys:
        value = flat.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""
