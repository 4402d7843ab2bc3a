"""Lines of JSON as a person reads them on a terminal: made from the finished line, by the writer, so that there is one schema."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from trackline.terminal import columns, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIM, _BOLD, _RED = "2", "1", "31"
_LEVELS = {
    "DEBUG": ("DEBUG", _DIM),
    "INFO": ("INFO", "32"),
    "WARNING": ("WARN", "33"),
    "WARN": ("WARN", "33"),
    "ERROR": ("ERROR", _RED),
    "CRITICAL": ("CRIT", "1;37;41"),
    "FATAL": ("CRIT", "1;37;41"),
}
_ID_STYLES = ("36", "35", "34", "96", "95", "94")  # no red, no yellow and no green: those mean something
_LOGGER = 16  # columns; a longer name pushes the message to the right
_MOST_MESSAGE, _MOST_VALUE = 8_000, 300  # characters
_INDENT = "    "

_TIMES = ("@timestamp", "timestamp")
_LEVEL_KEYS = ("log.level", "severity_text", "level")
_LOGGERS = ("log.logger", "instrumentation_scope.name", "name")
_MESSAGES = ("message", "body")
_STACKS = ("error.stack_trace", "exception.stacktrace")
_CALLS = ("code.stacktrace", "labels.stack_info")
_ERRORS = ("error.type", "error.message", "exception.type", "exception.message")
_TOP = frozenset((*_TIMES, *_LEVEL_KEYS, *_LOGGERS, *_MESSAGES, "tracking_id"))
_TOLD = _TOP.union(_STACKS, _CALLS)
# The same on every line of the process, or where it was logged.
_PLUMBING = re.compile(
    r"(ecs\.version|service\.(name|version|environment|node\.name)|process\.(pid|thread\.name)|trace\.id|span\.id|event\.(id|dataset)"
    r"|log\.origin\..*|resource|trace_id|span_id|trace_flags|severity_number|event_name|log\.record\.uid|code\.[a-z.]*|thread\.name"
    r"|processName|loc|func)$"
)
_FRAME = re.compile(r'[ |+-]*File "([^"]*)"')
_FOREIGN = re.compile(r"[/\\]((site|dist)-packages|lib[/\\]python3[.\d]*)[/\\]|^<frozen ")  # libraries, and Python's own
_ACCESS = {4: "33", 5: "1;31"}
_OF_ACCESS = re.compile(r"(client|http|url|network|user_agent|source|event)\.(?!duration)|(labels\.)?http_route$")
_is_opaque = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch


def pretty(line: bytes, *, color: bool) -> str:
    r"""
    Give a line of one of the schemas for a person: time, level, tracking ID, logger, message, extras; a traceback below.

    The time is local. A line that is no JSON object (a formatter of the user's) comes out as it is. Control characters of what was
    logged come out as ``\x1b`` and the like. Never raises.
    """
    try:
        fields = orjson.loads(line)
        if type(fields) is not dict:
            return line.decode("utf-8", "backslashreplace")
        return "\n".join(_rows(dict(_flat(fields, "")), color)) + "\n"
    except Exception:  # noqa: BLE001  (a line that is hard to read is better than none)
        return line.decode("utf-8", "backslashreplace")


def _rows(fields: dict[str, Any], color: bool) -> Iterator[str]:
    name = _first(fields, _LEVEL_KEYS).upper()
    level, style = _LEVELS.get(name, (name, _BOLD))
    is_error = name in ("ERROR", "CRITICAL", "FATAL")
    tracking_id = _first(fields, ("tracking_id",))
    logger = printable(_first(fields, _LOGGERS))
    message, *more = _cut(_first(fields, _MESSAGES), _MOST_MESSAGE).splitlines() or [""]

    def paint(text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if color and style and text.strip() else text

    head = [
        paint(_clock(_first(fields, _TIMES)), _DIM),
        paint(_filled(printable(level), 5), style),
        paint(
            _filled(short_id(tracking_id) or "-", 8), _ID_STYLES[crc32(tracking_id.encode()) % len(_ID_STYLES)] if tracking_id else _DIM
        ),
        paint(_filled(logger, _LOGGER), _DIM),
        paint(printable(message), "1;31" if is_error else _ACCESS.get(_status(fields, logger), _BOLD)),
    ]
    extras = [f"{paint(key + '=', _DIM)}{value}" for key, value in _extras(fields, logger)]
    yield " ".join(head) + (" " if extras else "") + "".join(f" {extra}" for extra in extras)
    for text in more:
        yield _INDENT + printable(text)
    for text in _first(fields, _CALLS).splitlines():
        yield _INDENT + paint(printable(text), _DIM)
    style = ""
    for text in _first(fields, _STACKS).splitlines():
        if not text.startswith(" "):
            style = _RED  # what it was, and not where
        elif found := _FRAME.match(text):
            style = _DIM if _FOREIGN.search(found[1]) else ""
        yield _INDENT + paint(printable(text), style)


def short_id(tracking_id: str) -> str:
    """Give the first eight characters of a UUID or a trace ID; of any other the last 15, where it has more than 16."""
    if _is_opaque(tracking_id):
        return tracking_id[:8]
    return printable(tracking_id if len(tracking_id) <= 16 else "…" + tracking_id[-15:])


def _status(fields: dict[str, Any], logger: str) -> int:
    """Give the hundreds of the status of an access line."""
    status = fields.get("http.response.status_code")
    return status // 100 if type(status) is int and logger.endswith(".access") else 0


def _extras(fields: dict[str, Any], logger: str) -> Iterator[tuple[str, str]]:
    has_stack = bool(_first(fields, _STACKS))
    is_access = logger.endswith(".access")  # its fields repeat its message
    for key, value in fields.items():
        if key in _TOLD or _PLUMBING.match(key) or (is_access and _OF_ACCESS.match(key)):
            continue
        if logger == "trackline.access" and key in ("event.duration", "error.type", "http.route"):  # it is ours, and says so
            continue
        if has_stack and key in _ERRORS:  # the traceback ends with it
            continue
        name = key.removeprefix("labels.").removeprefix("attributes.")
        if name == "event.duration" and type(value) is int:  # ECS counts it in nanoseconds
            yield "duration", f"{value / 1e6:,.1f}ms"
        else:
            yield printable(_cut(name, _MOST_VALUE)), _value(value)


def _flat(fields: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if type(value) is dict and not prefix and key in ("labels", "attributes", "instrumentation_scope"):
            yield from _flat(value, f"{key}.")
        else:
            yield (key if prefix == "attributes." and key not in _TOP else prefix + key), value


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = fields.get(key)
        if value is not None:
            return value if type(value) is str else orjson.dumps(value).decode()
    return ""


def _clock(text: str) -> str:
    """Give the local time of day: of a day, people know which one it is."""
    try:
        time = datetime.fromisoformat(text).astimezone()
    except ValueError:
        return _filled(printable(text), 12)
    return _filled(f"{time:%H:%M:%S}" + (f".{time.microsecond // 1000:03}" if "." in text else ""), 12)


def _value(value: Any) -> str:
    text = value if type(value) is str else orjson.dumps(value).decode()
    if type(value) is str and (not text or (re.search(r'[\s"=]', text) and text[0] not in "{[")):  # nested values are JSON already
        text = orjson.dumps(text).decode()
    return printable(_cut(text, _MOST_VALUE))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… [{len(text) - most} characters more]"


def _filled(text: str, width: int) -> str:
    return text + " " * (width - columns(text))
