"""structlog: its events carry the IDs, and can go through the same queue into the same file as all others."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

from trackline.logs.foreign import ids_of_now, make_record

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import FrameType

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


def add_ids(_logger: Any, _method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """
    Add ``tracking_id``, ``trace_id`` and ``span_id`` to an event, each if there is one and the event has none: a processor.

    For renderers of your own; behind `LoggerFactory` the lines have them anyhow.

        structlog.configure(processors=[add_ids, structlog.processors.JSONRenderer()])
    """
    for name, value in ids_of_now().items():
        if value is not None:
            event_dict.setdefault(name, value)
    return event_dict


class LoggerFactory:
    """
    Makes the loggers behind structlog's: an event becomes a record of logging, and so a line of `trackline.setup_logging`.

    The event is the message, key-values are as logging's ``extra``; ``exc_info`` becomes ``error.*``, the place is the caller's. The
    level of the logger counts, and other handlers of logging see the record too. ``name`` is the logger's; by default the name that
    ``get_logger`` is given, else the caller's module. The last processor leaves the event as a dict: no renderer.

        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars],
            logger_factory=LoggerFactory(),
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __call__(self, *args: Any) -> RecordLogger:
        """Give a logger; structlog calls this with what ``get_logger`` was called with."""
        return RecordLogger(str(args[0]) if args and args[0] else self._name)


class RecordLogger:
    """What `LoggerFactory` makes: takes an event by the name of its level, and hands it to logging. Safe in any thread."""

    def __init__(self, name: str | None) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The name of the logger, for ``structlog.stdlib.add_logger_name``."""
        return self._name or _name_of(_caller())

    @property
    def disabled(self) -> bool:
        """Whether the logger is; this and what follows are for ``structlog.stdlib.filter_by_level``."""
        return logging.getLogger(self.name).disabled

    def getEffectiveLevel(self) -> int:  # noqa: N802  (logging's name)
        """Give the level of the logger."""
        return logging.getLogger(self.name).getEffectiveLevel()

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  (logging's name)
        """Say whether a record of this level would be logged."""
        return logging.getLogger(self.name).isEnabledFor(level)

    def debug(self, event: Any = "", **fields: Any) -> None:
        self._emit("debug", event, fields)

    def info(self, event: Any = "", **fields: Any) -> None:
        self._emit("info", event, fields)

    def warning(self, event: Any = "", **fields: Any) -> None:
        self._emit("warning", event, fields)

    def error(self, event: Any = "", **fields: Any) -> None:
        self._emit("error", event, fields)

    def critical(self, event: Any = "", **fields: Any) -> None:
        self._emit("critical", event, fields)

    def exception(self, event: Any = "", **fields: Any) -> None:
        self._emit("exception", event, {"exc_info": True, **fields})

    msg, warn, fatal = info, warning, critical

    def log(self, level: int, event: Any = "", **fields: Any) -> None:
        self._emit(level, event, fields)

    def _emit(self, method: str | int, event: Any, fields: dict[str, Any]) -> None:
        level = _LEVELS[method] if isinstance(method, str) else method
        frame = _caller()
        name = self._name or _name_of(frame)
        logger = logging.getLogger(name)
        if not logger.isEnabledFor(level):
            return
        level_name = logging.getLevelName(level)
        stack = _stack_of(fields, frame)
        exc_info, text = _exc_info_of(fields), fields.pop("exception", None)
        args = fields.pop("positional_args", None)
        for key, known in (("level", level_name), ("logger", name)):  # what stdlib's processors add, and a record has
            if str(fields.get(key)).lower() == known.lower():
                del fields[key]
        record = make_record(
            name,
            level,
            level_name,
            event,
            path=fields.pop("pathname", frame.f_code.co_filename),
            line=fields.pop("lineno", frame.f_lineno),
            function=fields.pop("func_name", frame.f_code.co_name),
            exc_info=exc_info,
            extras=fields,
        )
        record.args, record.stack_info = args, stack
        if text is not None and exc_info is None:  # format_exc_info has been at it
            record.exc_text = str(text)
        logger.handle(record)


def _exc_info_of(fields: dict[str, Any]) -> Any:
    given = fields.pop("exc_info", None)
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return given
    current = sys.exc_info() if given else (None, None, None)
    return None if current[0] is None else current


def _stack_of(fields: dict[str, Any], frame: FrameType) -> str | None:
    rendered = fields.pop("stack", None)
    if fields.pop("stack_info", False):
        return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")
    return None if rendered is None else str(rendered)


def _caller() -> FrameType:
    """Find the frame that has logged: outside of structlog and of this file; of a coroutine, where its ``await logger.ainfo`` is."""
    frame = sys._getframe(1)  # noqa: SLF001  (as logging does to find its caller)
    contextvars = sys.modules.get("structlog.contextvars")
    stack = getattr(contextvars, "_ASYNC_CALLING_STACK", None)  # structlog logs in another thread, and keeps the place here
    if stack is not None:
        frame = stack.get(frame)
    while frame.f_back is not None and ((name := _name_of(frame)) in (__name__, "structlog") or name.startswith("structlog.")):
        frame = frame.f_back
    return frame


def _name_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "structlog")
