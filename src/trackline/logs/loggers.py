"""Loggers that take a short way to the queue where nobody but our handler would see a record, and logging's own way elsewhere."""

from __future__ import annotations

import logging
import threading
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from sys import _getframe
from threading import get_ident
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span
from orjson import dumps

from trackline.context import IDENTITY, TRACKING_ID
from trackline.logs.handler import LineHandler
from trackline.logs.placing import SCALARS
from trackline.logs.stamping import is_stamp_of

if TYPE_CHECKING:
    from types import FrameType

_SHORT = 512
"""Characters and bytes. What is longer is made a line at once: of what waits in the queue, the size is to be known."""
_Logger, _LogRecord = logging.Logger, logging.LogRecord
# Where others put themselves in between: Sentry and New Relic at callHandlers, OTel's instrumentation at the factory of records.
_log, _handle, _call_handlers, _make_record = _Logger._log, _Logger.handle, _Logger.callHandlers, _Logger.makeRecord  # noqa: SLF001
_level_names = logging._levelToName  # noqa: SLF001  (what getLevelName() looks into)
_threads: Any = threading._active  # type: ignore[attr-defined]  # noqa: SLF001  (and current_thread())
# get_current() without its two further calls, where it is known what they do.
_in_otel = getattr(getattr(getattr(otel_context, "_RUNTIME_CONTEXT", None), "_current_context", None), "get", otel_context.get_current)


def _method(level: int) -> Any:
    """Make the method of `DirectLogger` that logs on a level."""

    def log(self: Any, msg: object, *args: Any, extra: Any = None, **options: Any) -> None:
        # isEnabledFor() without the call, for a level that it was asked for before.
        is_on = self._cache.get(level)
        if (
            (is_on or (is_on is None and self.isEnabledFor(level)))
            and not self.disabled
            and (options or not _say(self, level, msg, args, extra, _getframe(1)))
        ):
            self._log_as_ever(level, msg, args, extra, options)

    log.__name__ = logging.getLevelName(level).lower()
    log.__qualname__ = f"DirectLogger.{log.__name__}"
    return log


class DirectLogger(logging.Logger):
    """
    A logger like any other. A call whose record only our handler would see is queued as it is, with no record made of it.

    Where there is a filter, another handler, ``exc_info``, ``stack_info`` or ``stacklevel``, or somebody has replaced a part of
    logging, the call is logging's own. Both ways give the same bytes.
    """

    debug, info, warning, error, critical = map(_method, (DEBUG, INFO, WARNING, ERROR, CRITICAL))

    def log(self, level: int, msg: object, *args: Any, extra: Any = None, **options: Any) -> None:
        if type(level) is not int:
            super().log(level, msg, *args, extra=extra, **options)  # which refuses it, or says nothing: as it is set
        elif self.isEnabledFor(level) and (options or not _say(self, level, msg, args, extra, _getframe(1))):
            self._log_as_ever(level, msg, args, extra, options)

    def _log_as_ever(self, level: int, msg: object, args: tuple[Any, ...], extra: Any, options: dict[str, Any]) -> None:
        # Two frames of ours are above that of the caller.
        options["stacklevel"] = options.get("stacklevel", 1) + 2
        self._log(level, msg, args, extra=extra, **options)


class DirectRootLogger(DirectLogger, logging.RootLogger):
    """The same for the root logger."""


def _say(  # noqa: C901, PLR0912  (written out: a function more is a twentieth of what all this costs)
    logger: Any, level: int, msg: Any, args: tuple[Any, ...], extra: Any, frame: FrameType
) -> bool:
    """Queue what a call says, if our handler is alone on its way and nobody else would see a record; else give False. Never raises."""
    try:
        handler = None
        above = logger
        while above is not None:
            if above.handlers:
                if handler is not None:
                    return False
                (handler,) = above.handlers
            above = above.parent if above.propagate else None
        if (
            type(handler) is not LineHandler
            or (direct := handler.direct) is None
            or logger.filters
            or handler.filters
            or level < handler.level
            or _Logger.callHandlers is not _call_handlers
            or _Logger.handle is not _handle
            or _Logger._log is not _log  # noqa: SLF001
            or (_Logger.makeRecord is not _make_record and not is_stamp_of(_Logger.makeRecord, _make_record))
            or logging._logRecordFactory is not _LogRecord  # type: ignore[attr-defined]  # noqa: SLF001
            or not logging.logThreads
            or type(msg) is not str
            or type(logger) not in _DIRECT
        ):
            return False
        code = frame.f_code
        # An address inside of the code object, which no other has while that one lives: and as long as it is here, it lives.
        site = direct.sites.get(id(code) + frame.f_lasti)
        if site is None or site[0] is not code or site[1] is not logger or site[2] != _level_names.get(level):
            site = direct.find_site(logger, level, frame)
            if site[1] is None:  # logging's own frames are no place: `logging.info()`, a LoggerAdapter
                return frame.f_back is not None and _say(logger, level, msg, args, extra, frame.f_back)
        if site[3] is None:
            return False

        # Only what cannot change any more is left to be made a line of later.
        if args:
            msg = msg % args
        end = b"}\n"
        if extra is not None and type(extra) is not dict:
            return False
        if extra:
            labels = direct.labels
            for key, value in extra.items():
                if key not in labels:
                    encoded = direct.encode_extras(extra)
                    if encoded is None:
                        return False
                    end = encoded
                    break
                if type(value) not in SCALARS:
                    return False
            else:
                end = dumps(extra) + b"}\n"
        size = len(msg) + len(end)

        tracking_id, identity = TRACKING_ID.get(), IDENTITY.get()
        if identity is not None or _in_otel() or tracking_id is None:
            span = get_current_span().get_span_context() if _in_otel() else None
            found = direct.ids.get(tracking_id)
            if found is None or found[0] is not identity or found[1] is not span:
                found = direct.find_ids(tracking_id, identity, span)
            ids: bytes | str = found[2]
        elif type(tracking_id) is str and len(tracking_id) < _SHORT:
            ids = tracking_id  # of which the rest follows
        else:
            return False
        thread_name = _threads[get_ident()]._name  # noqa: SLF001
        # From here on nothing fails: a number that is taken has to be found in a line.
        call = direct.resource.next_number(), time_ns(), site[3], msg, end, ids, site[4], thread_name
        if size > _SHORT or level != INFO:
            direct.put(direct.line(call), level)
        else:
            direct.put_call(call)
    except Exception:  # noqa: BLE001  (the long way knows what to do about it)
        return False
    if not handler.writer.is_running:
        handler.writer.start()
    return True


# Of classes that others have derived from these (logging.getLoggerClass() gives them) the methods are theirs to replace.
_DIRECT = frozenset({DirectLogger, DirectRootLogger})


def take_loggers() -> None:
    """Have all loggers take the short way, those that there are and those to come; none of a class of somebody else's."""
    if logging.getLoggerClass() is logging.Logger:
        logging.setLoggerClass(DirectLogger)
    _turn({logging.Logger: DirectLogger, logging.RootLogger: DirectRootLogger})


def give_back_loggers() -> None:
    """Make all loggers again what they were."""
    if logging.getLoggerClass() is DirectLogger:
        logging.setLoggerClass(logging.Logger)
    _turn({DirectLogger: logging.Logger, DirectRootLogger: logging.RootLogger})


def _turn(classes: dict[type, type]) -> None:
    root = logging.getLogger()
    for logger in [root, *root.manager.loggerDict.values()]:
        if type(logger) in classes:
            logger.__class__ = classes[type(logger)]
