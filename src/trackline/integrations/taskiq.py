"""taskiq: a middleware that has the tracking ID and the trace go with each task, as labels."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from taskiq import TaskiqMiddleware

from trackline.carriers import extract, inject

if TYPE_CHECKING:
    from typing import Any

    from taskiq import AsyncBroker, TaskiqMessage, TaskiqResult

_log = logging.getLogger("trackline")


class TrackingMiddleware(TaskiqMiddleware):
    """
    Each task carries the ID and the trace of who sends it, and runs under them; one that came without an ID gets a new one.

    On the sender's side and on the worker's, before the other middlewares, so that they have the ID too; `instrument` puts it there. A
    label that the user sets stays. Where taskiq's OpenTelemetryMiddleware is there too, trace and spans are its. Not for sync tasks in
    a process pool, which take no context along.

    A task that is scheduled (``schedule_by_time``) is sent by the scheduler later. To have it under the ID of now:

        labels = {}
        inject(labels)
        await task.kicker().with_labels(**labels).schedule_by_time(source, when)
    """

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Put the ID and the trace of now into the labels."""
        try:
            inject(message.labels)
        except Exception:  # noqa: BLE001  (never fail a task of the user's)
            _log.warning("a task goes out without its tracking ID", exc_info=True)
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Begin the task's scope, in the asyncio task in which it runs."""
        try:
            scope = extract(message.labels, keep_span="always" if self._is_traced() else "never")
            scope.__enter__()
            _scopes.set((*_scopes.get(), (message.task_id, scope)))
        except Exception:  # noqa: BLE001
            _log.warning("a task runs without its tracking ID", exc_info=True)
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        """End it: a broker that runs tasks in place is in the context of who sent it."""
        try:
            scopes = _scopes.get()
            if scopes and scopes[-1][0] == message.task_id:
                scopes[-1][1].__exit__()
                _scopes.set(scopes[:-1])
        except Exception:  # noqa: BLE001
            _log.warning("the tracking ID of a task was not taken back", exc_info=True)

    def _is_traced(self) -> bool:
        return any(map(_begins_spans, self.broker.middlewares))


def _begins_spans(middleware: TaskiqMiddleware) -> bool:
    # By name: to import it needs packages that taskiq alone does not.
    return any(kind.__name__ == "OpenTelemetryMiddleware" for kind in type(middleware).__mro__)


_scopes: ContextVar[tuple[tuple[str, extract], ...]] = ContextVar("trackline_taskiq", default=())


def instrument(broker: AsyncBroker) -> None:
    """Give a broker the `TrackingMiddleware`, if it has none: before all others but the one that begins the span."""
    if not any(isinstance(one, TrackingMiddleware) for one in broker.middlewares):
        middleware = TrackingMiddleware()
        middleware.set_broker(broker)
        broker.middlewares.insert(
            max((at for at, one in enumerate(broker.middlewares, 1) if _begins_spans(one)), default=0), middleware
        )


def uninstrument(broker: AsyncBroker) -> None:
    """Take it away again. Never raises."""
    broker.middlewares = [one for one in broker.middlewares if not isinstance(one, TrackingMiddleware)]
