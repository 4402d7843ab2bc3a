"""aio-pika: messages to RabbitMQ carry the tracking ID and the trace, and are handled under them."""

from __future__ import annotations

import copy
import functools
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from aio_pika.exchange import Exchange
from aio_pika.message import ProcessContext
from aio_pika.queue import Queue
from aio_pika.tools import ensure_awaitable

from trackline.carriers import extract, inject
from trackline.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("trackline")


def instrument() -> None:
    """
    Have each message that this process publishes carry the ID and the trace of now, and each that it handles, be handled under them.

    A message is handled in the callback of ``queue.consume``; one from an iterator or ``queue.get``, or whose callback was consuming
    before this, inside ``async with message.process()``. A message that came without an ID gets a new one; a header that it has stays.
    Where OTel's own instrumentation is active too, trace and spans are its.
    """
    global _is_active  # noqa: PLW0603  (it is the process's messages that are instrumented)
    _is_active = True
    for owner, name, wrap in _PATCHES:
        _patches.wrap(owner, name, wrap)


def uninstrument() -> None:
    """Undo `instrument`, also for callbacks that are consuming. Never raises."""
    global _is_active  # noqa: PLW0603
    _is_active = False
    _patches.undo()


_is_active = False
_patches = Patches()
_handled: ContextVar[Any] = ContextVar("trackline_aio_pika", default=None)  # the message whose scope this is


def _wrap_publish(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def publish(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        return await original(self, _with_headers(message) if _is_active else message, *args, **kwargs)

    return publish


def _with_headers(message: Any) -> Any:
    try:
        headers = dict(message.headers)
        inject(headers)
        if headers != message.headers:
            # A copy: the user may publish the same message again, in another request or at the same time.
            message = copy.copy(message)
            message.headers = headers
    except Exception:  # noqa: BLE001  (never fail a message of the user's)
        _log.warning("a message goes out without its tracking ID", exc_info=True)
    return message


def _wrap_consume(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def consume(self: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        handle = ensure_awaitable(callback)

        @functools.wraps(callback, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
        async def under_its_id(message: Any) -> Any:
            scope = _Scope(message)
            scope.begin()
            try:
                return await handle(message)
            finally:
                scope.end()

        return await original(self, under_its_id, *args, **kwargs)

    return consume


def _wrap_enter(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def __aenter__(self: Any) -> Any:  # noqa: N807
        message = await original(self)
        self._trackline = _Scope(self.message)
        self._trackline.begin()
        return message

    return __aenter__


def _wrap_exit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def __aexit__(self: Any, *exc_info: Any) -> Any:  # noqa: N807
        try:
            return await original(self, *exc_info)
        finally:
            if (scope := getattr(self, "_trackline", None)) is not None:
                scope.end()

    return __aexit__


_PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Exchange, "publish", _wrap_publish),
    (Queue, "consume", _wrap_consume),
    (ProcessContext, "__aenter__", _wrap_enter),
    (ProcessContext, "__aexit__", _wrap_exit),
)


class _Scope:
    """What runs for one message; nothing where it is running for that already. Never raises."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._extract: extract | None = None

    def begin(self) -> None:
        if not _is_active or _handled.get() is self._message:
            return
        try:
            headers = self._message.headers or {}
            scope = extract(headers, keep_span=self._keep_span(headers))
            scope.__enter__()
            self._extract, self._token = scope, _handled.set(self._message)
        except Exception:  # noqa: BLE001
            _log.warning("a message is handled without its tracking ID", exc_info=True)

    def end(self) -> None:
        if self._extract is None:
            return
        try:
            _handled.reset(self._token)
            self._extract.__exit__()
        except Exception:  # noqa: BLE001
            _log.warning("the tracking ID of a message was not taken back", exc_info=True)

    @staticmethod
    def _keep_span(headers: Any) -> Any:
        # The current span may be that of whoever has connected or begun to consume: it stays only if it can be the message's.
        otel = sys.modules.get("opentelemetry.instrumentation.aio_pika")
        is_traced = otel is not None and otel.AioPikaInstrumentor().is_instrumented_by_opentelemetry
        return "always" if is_traced and "traceparent" not in headers else "same trace"
