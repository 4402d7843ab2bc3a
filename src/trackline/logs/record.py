"""What a LogRecord says, whoever made it and whatever is wrong with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from threading import local as thread_local
from typing import TYPE_CHECKING, Any

from trackline.context import current_span_ids, get_tracking_id
from trackline.logs.plain import Plain, text_of

if TYPE_CHECKING:
    from trackline.logs.tracebacks import Tracebacks

# What a LogRecord has of itself, and what others hang on to every record and we write by other names.
OWN = frozenset(
    {
        *("name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info", "exc_text", "stack_info"),
        *("lineno", "funcName", "created", "msecs", "relativeCreated", "thread", "threadName", "processName", "process", "taskName"),
        *("message", "asctime", "tracking_id", "color_message"),
        *("otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"),
    }
)
_MOST = 2**31
_TEXTS = ("funcName", "threadName", "processName", "exc_text", "stack_info")  # or None


def is_sound(record: logging.LogRecord) -> bool:
    """Say whether a record has what logging gives it, of the types that logging gives it."""
    try:
        return (
            type(record.name) is str
            and type(record.levelname) is str
            and type(record.levelno) is int
            and abs(record.levelno) < _MOST
            and type(record.lineno) is int
            and abs(record.lineno) < _MOST
            and type(record.created) is float
            and 0 <= record.created < 2**36
            and type(record.filename) is str
            and type(record.pathname) is str
            and all(value is None or type(value) is str for value in [getattr(record, name) for name in _TEXTS])
            and hasattr(record, "msg")
            and hasattr(record, "args")
            and hasattr(record, "exc_info")
        )
    except AttributeError:
        return False


def mended(record: logging.LogRecord) -> logging.LogRecord:
    """Give a sound record with everything that can be kept of one that is not."""
    given: dict[str, Any] = {text_of(key): value for key, value in list(vars(record).items())}
    number: Any = given.get("levelno")
    line: Any = given.get("lineno")
    created: Any = given.get("created")
    made = logging.LogRecord(
        text_of(given.get("name")),
        number if type(number) is int and abs(number) < _MOST else logging.INFO,
        text_of(given.get("pathname", given.get("filename", ""))),
        line if type(line) is int and abs(line) < _MOST else 0,
        given.get("msg"),
        None,
        None,
    )
    made.args, made.exc_info = given.get("args"), given.get("exc_info")
    for name in ("levelname", "filename", *_TEXTS):
        if (value := given.get(name)) is not None:
            setattr(made, name, text_of(value))
    if type(created) in (int, float) and 0 <= created < 2**36:
        made.created = float(created)
    vars(made).update({key: value for key, value in given.items() if key not in vars(made)})
    return made


def now_in_context(record: logging.LogRecord | None = None) -> tuple[str | None, str | None, str | None, int | None]:
    """
    Give tracking ID, trace ID, span ID and trace flags of now.

    Where there is no tracking ID now, that which a `TrackingIDFilter` has put on the record, in another thread perhaps.
    """
    tracking_id = get_tracking_id()
    try:
        trace_id, span_id, flags = current_span_ids()
    except Exception:  # noqa: BLE001  (TRACKING_ID is the user's to set, to anything; so is the current span)
        trace_id = span_id = flags = None
    if tracking_id is None and record is not None:
        stamped = getattr(record, "tracking_id", None)
        tracking_id = stamped if issubclass(type(stamped), str) else None
    if tracking_id is not None and type(tracking_id) is not str:
        tracking_id = text_of(Plain().of(tracking_id))
    return tracking_id, trace_id, span_id, flags


def message_of(record: logging.LogRecord) -> str:
    """Give the message with its arguments in it; where they do not fit (or raise), both as they are."""
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001  (arguments that do not fit, a __str__ or __format__ of the user's that raises)
        return f"{text_of(record.msg)} {_arguments_of(record)} [not formatted: {type(error).__name__}]"
    return message if type(message) is str else text_of(message)


def _arguments_of(record: logging.LogRecord) -> str:
    """Give the arguments as text; of a mapping only what the message asks for: hypercorn's holds the environment, passwords and all."""
    arguments: Any = record.args
    message = text_of(record.msg)
    try:
        if isinstance(arguments, Mapping):
            arguments = {name: arguments[name] for name in arguments if isinstance(name, str) and f"%({name})" in message}
    except Exception:  # noqa: BLE001  (a mapping of the user's)
        arguments = None
    return text_of(Plain().of(arguments))


def error_of(record: logging.LogRecord, tracebacks: Tracebacks) -> tuple[str | None, str | None, str] | None:
    """
    Give type, message and stack trace of the record's exception, or None. The type is qualified, but for built-in ones.

    Of a record that came from another process there may be the trace alone.
    """
    given: Any = record.exc_info
    is_triple = type(given) is tuple and len(given) == 3
    error: Any = given[1] if is_triple else given
    if not issubclass(type(error), BaseException):
        return (None, None, tracebacks.cut(text_of(record.exc_text))) if record.exc_text else None
    kind = type(error)
    trace = given[2] if is_triple else error.__traceback__
    try:
        # Not record.exc_text: that is how somebody else's formatter had it, with its colours.
        stack = tracebacks.text(error, trace)
    except Exception as failure:  # noqa: BLE001  (an exception of the user's whose own methods raise)
        stack = f"<the traceback could not be formatted: {type(failure).__name__}>"
    name, module = text_of(kind.__qualname__), text_of(kind.__module__)
    return name if module in ("builtins", "__main__") else f"{module}.{name}", text_of(error), stack


def extras_of(record: logging.LogRecord, tracking_id: str | None) -> list[tuple[str, Any]]:
    """Give what the user passed in ``extra=``, in order; a ``tracking_id`` too, if it is not the line's."""
    given = vars(record)
    # list(): one step, so that another thread that changes the record meanwhile does no harm.
    extras = [] if OWN.issuperset(given) else [(text_of(key), value) for key, value in list(given.items()) if key not in OWN]
    other = given.get("tracking_id")
    if other is not None and not (type(other) is str and other == tracking_id):
        extras.append(("tracking_id", other))
    return extras


def utc(created: float, _kept: thread_local = thread_local()) -> str:  # noqa: B008  (one for all calls is what is meant)
    """Give a time in UTC with microseconds: ``2026-11-22T14:40:01.123456Z``. The second's part is kept from call to call."""
    second, micros = divmod(round(created * 1_000_000), 1_000_000)
    kept: tuple[int, str] | None = getattr(_kept, "second", None)
    if kept is None or kept[0] != second:  # one tuple: a signal handler may log between two assignments
        kept = _kept.second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{kept[1]}.{micros:06d}Z"


def local(created: float) -> str:
    """Give a time as the origin writes it: local, with its offset, whole seconds: ``2025-11-29T21:07:09+0800``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(created))
