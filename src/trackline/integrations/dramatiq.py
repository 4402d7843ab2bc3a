"""dramatiq: a middleware that has the tracking ID and the trace go with each message, as one of its options."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from dramatiq import Middleware

from trackline.carriers import extract, inject

if TYPE_CHECKING:
    from dramatiq import Broker, Message
    from dramatiq.broker import MessageProxy

_KEY = "trackline"  # among the message's options: {"X-Request-ID": …}
_log = logging.getLogger("trackline")


class TrackingMiddleware(Middleware):
    """
    Each message carries the ID and the trace of who enqueues it, and is processed under them; one that came without gets a new ID.

    On the sender's side and on the worker's. It has to be the first, so that retries, pipelines and groups' callbacks, which other
    middlewares enqueue, have the ID too; `instrument` puts it there. What the user gives stays:
    ``send_with_options(args=…, trackline={"X-Request-ID": "abc"})``.
    """

    def __init__(self) -> None:
        self._local = _Local()

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        """Put the ID and the trace of now into the message's options."""
        try:
            given = message.options.get(_KEY)
            headers = dict(given) if isinstance(given, dict) else {}
            inject(headers)
            if headers and headers != given:
                message.options[_KEY] = headers
                self._local.enqueued = message, given
        except Exception:  # noqa: BLE001  (never fail a message of the user's)
            _log.warning("a message goes out without its tracking ID", exc_info=True)

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        """Take them out again: the user may enqueue the same message once more, in another request."""
        enqueued, given = self._local.enqueued
        if enqueued is message:
            self._local.enqueued = None, None
            if given is None:
                message.options.pop(_KEY, None)
            else:
                message.options[_KEY] = given

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Begin the message's scope, in the worker's thread."""
        try:
            headers = message.options.get(_KEY)
            scope = extract(headers if isinstance(headers, dict) else ())
            scope.__enter__()
            self._local.scopes.append((message.message_id, scope))
        except Exception:  # noqa: BLE001
            _log.warning("a message is processed without its tracking ID", exc_info=True)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """End it."""
        try:
            if self._local.scopes and self._local.scopes[-1][0] == message.message_id:
                self._local.scopes.pop()[1].__exit__()
        except Exception:  # noqa: BLE001
            _log.warning("the tracking ID of a message was not taken back", exc_info=True)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """End it."""
        self.after_process_message(broker, message)


class _Local(threading.local):
    def __init__(self) -> None:
        self.scopes: list[tuple[str, extract]] = []
        self.enqueued: tuple[Message[Any] | None, Any] = (None, None)


def instrument(broker: Broker) -> None:
    """Give a broker the `TrackingMiddleware`, before all others, if it has none."""
    if not any(isinstance(one, TrackingMiddleware) for one in broker.middleware):
        broker.middleware.insert(0, TrackingMiddleware())


def uninstrument(broker: Broker) -> None:
    """Take it away again. Never raises."""
    broker.middleware[:] = [one for one in broker.middleware if not isinstance(one, TrackingMiddleware)]
