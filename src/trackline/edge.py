"""The place in a built Starlette stack where requests are tracked: outside of all, but inside of what makes the server span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.trace import get_current_span
from starlette._utils import is_async_callable
from starlette.concurrency import run_in_threadpool
from starlette.middleware.errors import ServerErrorMiddleware

from trackline import exchange as exchanges
from trackline.context import IDENTITY, ROOT_KEY, TRACKING_ID, Root
from trackline.middleware import TRACKED_KEY, TrackingMiddleware
from trackline.request import holds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from trackline._asgi import ASGIApp, Message, Receive, Scope, Send

    Stamp = Callable[[Message, bytes], Message]

_CONTRIB = "opentelemetry.instrumentation.asgi"
_STARLETTE = "starlette.middleware.opentelemetry"


def enclose(stack: ASGIApp, options: dict[str, Any]) -> ASGIApp:
    """
    Put the tracking into a stack that Starlette (and contrib's instrumentation, if it was first) has built.

    Where contrib's middleware is in it, go right inside of that: it has the application's ServerErrorMiddleware inside of it, so
    nothing answers outside of us. Otherwise give an `Edge`. ``options`` are the keywords of `TrackingMiddleware`.
    """
    tracer = _find_tracer(stack)
    if tracer is not None:
        tracer.app = TrackingMiddleware(tracer.app, **options)
        if type(tracer).__module__ == _CONTRIB:
            return stack
    if not isinstance(stack, ServerErrorMiddleware):
        return TrackingMiddleware(stack, **options)  # somebody else has wrapped it: contrib would not go further either
    return Edge(stack, options) if tracer is None else RelayingEdge(stack, options)


def _find_tracer(stack: Any) -> Any:
    """Find what makes the server span in a built stack: contrib's middleware, Starlette's own, or None."""
    seen = set()
    while stack is not None and id(stack) not in seen:
        if type(stack).__name__ == "OpenTelemetryMiddleware" and type(stack).__module__ in (_CONTRIB, _STARLETTE):
            return stack
        seen.add(id(stack))
        stack = getattr(stack, "app", None)
    return None


class Edge(TrackingMiddleware, ServerErrorMiddleware):
    """
    The tracking, outside of a Starlette stack, in the shape that contrib's FastAPIInstrumentor expects to find.

    If contrib comes later, it takes this apart: it keeps only ``app``, ``handler`` and ``debug``, and puts its own middleware outside.
    So the tracking is in ``app`` as well (which nobody calls until then), and ``handler`` puts the header on the 500, which is then
    sent outside of ``app``. It also does what ``debug`` would: a debug page has the header too.
    """

    def __init__(self, stack: ServerErrorMiddleware, options: dict[str, Any]) -> None:
        TrackingMiddleware.__init__(self, stack, **options)
        inside = TrackingMiddleware(stack.app, **options)
        inside.answers_errors = False
        ServerErrorMiddleware.__init__(self, inside, handler=self._answer_error, debug=False)  # type: ignore[arg-type]
        self._stack = stack

    async def _answer_error(self, request: Request, error: Exception) -> ASGIApp:
        exchange = exchanges.current()
        try:
            response = await self._respond(request, error)
        except BaseException as another:
            if exchange is not None:
                exchange.close(another)
            raise

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            sent = send if exchange is None else exchange.send
            await response(scope, receive, _stamping(scope.get(TRACKED_KEY), self._stamp, sent))

        return answer

    async def _respond(self, request: Request, error: Exception) -> Any:
        stack = self._stack
        response: Any
        if stack.debug:
            response = await run_in_threadpool(stack.debug_response, request, error)
        elif stack.handler is None:
            response = stack.error_response(request, error)
        else:
            handler: Any = stack.handler
            is_async = is_async_callable(handler)
            response = await handler(request, error) if is_async else await run_in_threadpool(handler, request, error)
        return response


class RelayingEdge(Edge):
    """
    The same for a stack that has Starlette's OpenTelemetryMiddleware somewhere in it, if nothing outside has made a span.

    The identity is made inside of that middleware, where the trace ID is known. What is answered outside of it (an unhandled error, a
    middleware that lets nobody through) gets its header here, and an identity if it has none yet.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901  (written out, as in TrackingMiddleware)
        if scope["type"] != "http" or (get_current() and get_current_span().get_span_context().is_valid):
            await super().__call__(scope, receive, send)
            return
        exchange = None
        if exchanges.listener is not None and not (self._exclude is not None and holds(self._exclude, scope, otherwise=False)):
            exchange = exchanges.begin(scope, receive, send)
        if exchange is not None:
            receive, send = exchange.receive, exchange.send
        is_ours = False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal is_ours
            if message["type"] == "http.response.start":
                tracking_id = scope.get(TRACKED_KEY)
                if tracking_id is None and (tracking_id := self._identify_late(scope)) is None:
                    return send(message)
                if TRACKING_ID.get() is None:  # answered outside of where it is set: the server's access log is written here
                    is_ours = True
                    TRACKING_ID.set(tracking_id)
                value = tracking_id.encode("ascii")
                if self._keys and (self._keys[0], value) not in (message.get("headers") or ()):
                    message = self._stamp(message, value)
            return send(message)

        root = self._root_of(scope)
        token = None if root is None else attach(set_value(ROOT_KEY, root))
        try:
            await self._stack(scope, receive, answer)
        except BaseException as error:
            if exchange is not None:
                exchange.close(error)
            raise
        finally:
            if token is not None:
                detach(token)
        if exchange is not None:
            exchange.close()
        if is_ours:
            TRACKING_ID.set(None)

    def _root_of(self, scope: Scope) -> Root | None:
        """Give what a `TrackingIdGenerator` is to know: Starlette's middleware does not make current what a propagator tells it."""
        try:
            _, found = self._reader.find(scope)
            claimed = self._reader.claim(found) if found else None
        except Exception:  # noqa: BLE001  (never fail a request; inside, it is said)
            return None
        return Root(claimed.tracking_id) if claimed is not None and claimed.trace_context is None else None

    def _identify_late(self, scope: Scope) -> str | None:
        if self._exclude is not None and holds(self._exclude, scope, otherwise=False):
            return None
        tracking_id, _, identity = self._reader.identify(scope)
        scope[TRACKED_KEY] = tracking_id
        IDENTITY.set(identity)
        return tracking_id


def _stamping(tracking_id: str | None, stamp: Stamp, send: Send) -> Send:
    if tracking_id is None:
        return send

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = stamp(message, tracking_id.encode("ascii"))
        await send(message)

    return answer
