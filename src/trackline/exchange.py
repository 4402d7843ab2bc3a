"""A request and its answer, watched to their end, for whoever wants to log them: set-up says who, the middleware watches."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from weakref import ReferenceType

    from trackline._asgi import Message, Receive, Scope, Send

    Listener = Callable[["Exchange"], None]

WATCHED_KEY = "trackline.watched"
"""In the scope: the mark of a request that is watched."""

EXCHANGE: ContextVar[ReferenceType[Exchange] | None] = ContextVar("trackline_exchange", default=None)
"""The exchange that this code runs for, while there is one; weak, because a task of the application's may keep its context for ever."""

CLIENT_GONE = 499
"""The status of a request whose client was gone before there was an answer, as nginx has it: it was never sent."""

listener: Listener | None = None
"""Who is told of each exchange at its end; while it is None, none is watched."""

_log = logging.getLogger("trackline")


def listen(told: Listener) -> None:
    """Have a function called at the end of each exchange that begins from now on, instead of another."""
    global listener  # noqa: PLW0603  (a process has one access log)
    listener = told


def stop_listening(told: Listener) -> None:
    """Have no function called any more, if it is this one that is."""
    global listener  # noqa: PLW0603
    if listener is told:
        listener = None


def begin(scope: Scope, receive: Receive, send: Send) -> Exchange | None:
    """Begin to watch a request; None where nobody listens, or where it is watched already, further outside."""
    told = listener
    if told is None or WATCHED_KEY in scope:
        return None
    scope[WATCHED_KEY] = True
    exchange = (Exchange if scope["type"] == "http" else WebSocketExchange)(told, scope, receive, send)
    EXCHANGE.set(ref(exchange))
    return exchange


def is_watched(scope: Any = None) -> bool:
    """Say whether the request of a scope is watched, or without one whether that is which this code runs for."""
    if scope is not None:
        return WATCHED_KEY in scope
    return current() is not None


def current() -> Exchange | None:
    """Give the exchange that this code runs for, also while an error of it is on its way out."""
    reference = EXCHANGE.get()
    return None if reference is None else reference()


class Exchange:
    """
    An HTTP request: `receive` and `send` are to stand in for the server's, `close` is to be called when the application has ended.

    The listener is told once, when the server has taken the last part of the answer, or else by `close`. Background tasks come after
    that. It reads the scope then, in which the router has left the route, and what is counted here.
    """

    __slots__ = (
        *("__weakref__", "_began", "_listener", "_receive", "_send", "_start"),
        *("duration", "error", "is_complete", "is_gone", "scope", "sent", "status"),
    )

    def __init__(self, told: Listener, scope: Scope, receive: Receive, send: Send) -> None:
        self._listener: Listener | None = told
        self.scope, self._receive, self._send = scope, receive, send
        self._start: Message | None = None
        self.status: Any = None
        """As the application sent it; `CLIENT_GONE` where the client was gone before, None where it was not to be known."""
        self.sent = 0
        """How many bytes of a body were handed to the server."""
        self.is_gone = False
        """Whether the server has said that the client is gone before the answer was complete."""
        self.is_complete = False
        """Whether the answer was sent to its end."""
        self.error: BaseException | None = None
        """What the application has raised, or what an answer of 500 and above was given for."""
        self.duration = 0
        """In nanoseconds."""
        self._began = perf_counter_ns()

    async def receive(self) -> Message:
        """Receive from the server."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.is_complete:
            self.is_gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send to the server; only for the last message with a coroutine of our own."""
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self.sent += len(body)
            if not message.get("more_body"):
                return self._send_last(message)
        elif kind == "http.response.start":
            self._start = message
            self.status = CLIENT_GONE if self.is_gone else message.get("status")
        elif kind in ("http.response.pathsend", "http.response.zerocopysend") and not message.get("more_body"):
            self.sent = _content_length(self._start)
            return self._send_last(message)
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        self.is_complete = True  # a server may say that the client is gone while it takes this
        await self._send(message)
        if self._listener is not None:
            if self.error is None and isinstance(self.status, int) and self.status >= CLIENT_GONE:
                self.error = sys.exception()  # whoever answers an error does it while handling it
            self._tell()

    def close(self, error: BaseException | None = None) -> None:
        """End the exchange, if it has not: the application has returned, or raised an error."""
        self._end(error, is_complete=False)

    def _end(self, error: BaseException | None, *, is_complete: bool) -> None:
        if self._listener is None:
            return
        self.error, self.is_complete = error, is_complete
        if self.status is None and self.is_gone:
            self.status = CLIENT_GONE
        elif self.status is None and (error is None or isinstance(error, Exception)):
            self.status = 500  # which the server, or Starlette outside of us, sends; what it makes of a cancellation nobody knows
        self._tell()

    def _tell(self) -> None:
        told, self._listener = self._listener, None
        self.duration = self.duration or perf_counter_ns() - self._began
        try:
            if told is not None:
                told(self)
        except Exception:  # noqa: BLE001  (never fail a request)
            _log.warning("a request is not in the access log: an error in trackline itself", exc_info=True)
        self.error = None  # whose traceback has the frame that has us


class WebSocketExchange(Exchange):
    """A WebSocket, from its handshake until it is closed. The listener is told when the application has ended."""

    __slots__ = ("close_code", "messages_received", "messages_sent", "received")

    def __init__(self, told: Listener, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(told, scope, receive, send)
        self.close_code: int | None = None
        """Of whoever closed first; None where a server has closed it for an application that had ended."""
        self.messages_received = self.messages_sent = 0
        self.received = 0
        """How many bytes of messages came."""

    async def receive(self) -> Message:
        """Receive from the server."""
        message = await self._receive()
        kind = message["type"]
        if kind == "websocket.receive":
            self.messages_received += 1
            self.received += _size(message)
        elif kind == "websocket.disconnect":
            self._closed(message.get("code", 1005))  # as the ASGI specification has it
            self.is_gone = self.status is None or self.close_code == 1006
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send to the server."""
        kind = message["type"]
        if kind == "websocket.send":
            self.messages_sent += 1
            self.sent += _size(message)
        elif kind == "websocket.accept":
            self.status = 200 if self.scope.get("http_version") == "2" else 101  # RFC 8441, section 5; RFC 6455, section 4.2.2
        elif kind == "websocket.close" and self.status is None:
            self.status = 403
        elif kind == "websocket.close":
            self._closed(message.get("code", 1000))
        elif kind == "websocket.http.response.start":
            self.status = message.get("status")
        elif kind == "websocket.http.response.body":
            self.sent += len(message.get("body") or b"")
        return self._send(message)

    def _closed(self, code: Any) -> None:
        if self.close_code is None and self.status is not None:
            self.close_code = code
            self.duration = perf_counter_ns() - self._began

    def close(self, error: BaseException | None = None) -> None:
        """End it: the application has returned, or raised an error."""
        self._end(error, is_complete=error is None and self.status is not None)


def _size(message: Message) -> int:
    data = message.get("bytes")
    if data is None:
        data = message.get("text") or ""
    return len(data) if type(data) is not str or data.isascii() else len(data.encode("utf-8", "surrogatepass"))


def _content_length(start: Message | None) -> int:
    """Give how long the answer says that it is: a file's bytes go to the server by its path."""
    for name, value in (start or {}).get("headers") or ():
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0
