"""Celery: the tracking ID and the trace go with each task, through retries, chains, groups and chords."""

from __future__ import annotations

import logging
import sys
from typing import Any
from weakref import WeakKeyDictionary

from celery import current_task, signals  # type: ignore[import-untyped]
from opentelemetry.trace import get_current_span

from trackline.carriers import extract, inject
from trackline.context import get_tracking_id
from trackline.logs.handler import LineHandler

_UID = "trackline"
_NAMES = {"x-request-id", "traceparent"}
_log = logging.getLogger("trackline")


class TaskFilter(logging.Filter):
    """
    Puts ``celery.task_id``, ``celery.task_name`` and, where there is one, ``celery.parent_id`` on each record of a task's.

    For your own handlers; Trackline's have it as soon as the first task runs. A field that a record has already stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp the record; let every record through."""
        try:
            request = current_task and current_task.request
            if request and request.id:
                fields = vars(record)
                fields.setdefault("celery.task_id", request.id)
                fields.setdefault("celery.task_name", current_task.name)
                if request.parent_id:
                    fields.setdefault("celery.parent_id", request.parent_id)
        except Exception:  # noqa: BLE001  (a line without its task is better than none)
            return True
        return True


_filter = TaskFilter()


def instrument() -> None:
    """
    Have each task that this process publishes carry the ID and the trace of now, and each that it runs, run under what it carries.

    Call it where the app is made, so that clients, workers and beat all do; either side works alone as far as it can. A task that came
    without an ID gets a new one; what the user gives in ``headers=`` stays. Where OTel's own instrumentation is active too, trace and
    spans are its. Trackline's log handlers stay where they are when the worker sets up its logging.
    """
    global _loggers_seen  # noqa: PLW0603
    _loggers_seen = 0
    for signal, receiver in _RECEIVERS:
        signal.connect(receiver, weak=False, dispatch_uid=_UID)


def uninstrument() -> None:
    """Undo `instrument`. Never raises."""
    for signal, _ in _RECEIVERS:
        signal.disconnect(dispatch_uid=_UID)
    signals.setup_logging.disconnect(dispatch_uid=_UID)
    for handler in _line_handlers():
        handler.removeFilter(_filter)


_scopes: WeakKeyDictionary[Any, extract] = WeakKeyDictionary()  # by the request of the task: one for each run


def _before_publish(headers: Any = None, **_: Any) -> None:
    try:
        if headers is not None:
            inject(headers)
    except Exception:  # noqa: BLE001  (never fail a task of the user's)
        _log.warning("a task goes out without its tracking ID", exc_info=True)


def _before_run(task: Any = None, **_: Any) -> None:
    try:
        _stamp_lines()
        request = task.request
        headers = request.headers or {}
        if request.is_eager and get_tracking_id() is not None and not _has_id(headers):
            return  # it is part of what its caller does
        scope = extract(headers, keep_span="always" if _is_traced() else "never")
        scope.__enter__()
        _scopes[request] = scope
    except Exception:  # noqa: BLE001
        _log.warning("a task runs without its tracking ID", exc_info=True)


def _after_run(task: Any = None, **_: Any) -> None:
    try:
        scope = _scopes.pop(task.request, None)
        if scope is not None:
            scope.__exit__()
    except Exception:  # noqa: BLE001
        _log.warning("the tracking ID of a task was not taken back", exc_info=True)


def _before_worker(**_: Any) -> None:
    # Celery removes every handler from the root logger unless somebody says that logging is set up.
    if any(isinstance(handler, LineHandler) for handler in logging.getLogger().handlers):
        signals.setup_logging.connect(_logging_is_set_up, weak=False, dispatch_uid=_UID)


def _logging_is_set_up(**_: Any) -> None:
    """Be there: Celery then leaves logging alone."""


_RECEIVERS = (
    (signals.before_task_publish, _before_publish),
    (signals.task_prerun, _before_run),
    (signals.task_postrun, _after_run),
    (signals.celeryd_init, _before_worker),
)


def _has_id(headers: dict[str, Any]) -> bool:
    return any(name.lower() in _NAMES for name in headers)


def _is_traced() -> bool:
    """Say whether somebody begins a span for the task: signals come in the order of their connection, so ours may be first."""
    otel = sys.modules.get("opentelemetry.instrumentation.celery")
    if otel is not None and otel.CeleryInstrumentor().is_instrumented_by_opentelemetry:
        return True
    span = get_current_span().get_span_context()
    return span.is_valid and not span.is_remote


_loggers_seen = 0


def _stamp_lines() -> None:
    global _loggers_seen  # noqa: PLW0603  (logging is of the whole process)
    if _loggers_seen != (now := len(logging.root.manager.loggerDict)):
        _loggers_seen = now
        for handler in _line_handlers():
            handler.addFilter(_filter)


def _line_handlers() -> list[LineHandler]:
    loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    return [
        handler
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, LineHandler)
    ]
