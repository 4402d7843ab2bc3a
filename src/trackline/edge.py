"""The place in a built Starlette stack where requests are tracked: outside of all, but inside of what makes the server span."""

from __future__ import annotations

import logging
from types import FunctionType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.trace import get_current_span
from starlette._utils import is_async_callable
from starlette.concurrency import run_in_threadpool
from starlette.middleware import errors
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request

from trackline import exchange as exchanges
from trackline.context import IDENTITY, ROOT_KEY, TRACKING_ID, Root
from trackline.middleware import TRACKED_KEY, TrackingMiddleware
from trackline.request import holds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackline._asgi import ASGIApp, Message, Receive, Scope, Send

    Stamp = Callable[[Message, bytes], Message]

_log = logging.getLogger("trackline")
_CONTRIB = "opentelemetry.instrumentation.asgi"
_STARLETTE = "starlette.middleware.opentelemetry"


def enclose(stack: ASGIApp, options: dict[str, Any], *, is_outermost: bool) -> ASGIApp:
    """
    Put the tracking into a stack that Starlette (and contrib's instrumentation, if it was first) has built.

    Where contrib's middleware is in it, go right inside of that: it has the application's ServerErrorMiddleware inside of it, so
    nothing answers outside of us. Otherwise give an `Edge`. ``options`` are the keywords of `TrackingMiddleware`; ``is_outermost``
    says that nobody waits for the result to wrap it.
    """
    tracer = _find_tracer(stack)
    if tracer is not None and type(tracer).__module__ == _CONTRIB:
        inside = tracer.app
        is_errors = isinstance(inside, ServerErrorMiddleware)
        tracer.app = Edge(inside, options, is_outermost=True) if is_errors else TrackingMiddleware(inside, **options)
        return stack
    if not isinstance(stack, ServerErrorMiddleware):  # somebody else has wrapped it: contrib would not go further either
        if tracer is not None:
            tracer.app = TrackingMiddleware(tracer.app, **options)
        return TrackingMiddleware(stack, **options)
    if tracer is None:
        return Edge(stack, options, is_outermost=is_outermost)
    edge = RelayingEdge(stack, options, is_outermost=is_outermost)
    if is_outermost:
        edge.app = stack.app  # contrib's may be further inside
    tracer.app = _InsideOfTracer(tracer.app, edge.identify)
    return edge


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
    The tracking, in the place of a stack's ServerErrorMiddleware: one layer does the work of both.

    If contrib's FastAPIInstrumentor comes later, it takes this apart: it keeps only ``app``, ``handler`` and ``debug``, and puts its
    own middleware outside. So where somebody may, the tracking is in ``app`` as well (which nobody calls until then), and ``handler``
    puts the header on the 500, which is then sent outside of ``app``. It also does what ``debug`` would: a debug page has the header
    too.
    """

    def __init__(self, stack: ServerErrorMiddleware, options: dict[str, Any], *, is_outermost: bool) -> None:
        TrackingMiddleware.__init__(self, stack, **options)
        # FastAPI's own telemetry looks for contrib's middleware along `app`, at every request. There is none: `enclose` has looked.
        inside: Any = None
        if not is_outermost:
            inside = TrackingMiddleware(stack.app, **options)
            inside.answers_errors = False
        ServerErrorMiddleware.__init__(self, inside, handler=self._answer_error, debug=False)  # type: ignore[arg-type]
        self._stack = stack
        self._is_in_place = _is_unchanged(stack)
        if self._is_in_place:
            self._inner = stack.app

    async def _answer_failed(self, scope: Scope, receive: Receive, answer: Send, error: Exception, *, is_started: bool) -> None:
        if self._is_in_place:
            response = await self._respond(Request(scope), error)
            if not is_started:
                await response(scope, receive, answer)

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

    The identity is made inside of that middleware, where the trace ID is known; all else is done here. What is answered outside of it
    (an unhandled error, a middleware that lets nobody through) gets its header here, and an identity if it has none yet.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901  (written out, as in TrackingMiddleware)
        if scope["type"] != "http" or TRACKED_KEY in scope or (get_current() and get_current_span().get_span_context().is_valid):
            await super().__call__(scope, receive, send)
            return
        exchange = None
        if exchanges.listener is not None and not (self._exclude is not None and holds(self._exclude, scope, otherwise=False)):
            exchange = exchanges.begin(scope, receive, send)
        if exchange is not None:
            receive, send = exchange.receive, exchange.send
        before = TRACKING_ID.get(), IDENTITY.get()
        is_started = False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                tracking_id = scope.get(TRACKED_KEY) or self.identify(scope)
                if tracking_id is not None:
                    if TRACKING_ID.get() is before[0]:  # set in a task of its own: the server's access log is written here
                        TRACKING_ID.set(tracking_id)
                    message = self._stamp(message, tracking_id.encode("ascii"))
            return send(message)

        root = self._root_of(scope) if Root.is_asked_for else None
        token = None if root is None else attach(set_value(ROOT_KEY, root))
        try:
            await self._inner(scope, receive, answer)
        except BaseException as error:
            try:
                if isinstance(error, Exception):
                    await self._answer_failed(scope, receive, answer, error, is_started=is_started)
            finally:
                if exchange is not None:
                    exchange.close(error)
                if before[0] is not None:
                    TRACKING_ID.set(before[0])
                    IDENTITY.set(before[1])
            raise
        finally:
            if token is not None:
                detach(token)
        if exchange is not None:
            exchange.close()
        TRACKING_ID.set(before[0])
        IDENTITY.set(before[1])

    def identify(self, scope: Scope) -> str | None:
        """Decide the identity of a request and make it the current one; give the tracking ID, None where it goes through untracked."""
        if self._exclude is not None and holds(self._exclude, scope, otherwise=False):
            return None
        try:
            tracking_id, _, identity = self._reader.identify(scope)
        except Exception:  # noqa: BLE001  (never fail a request)
            _log.warning("a request goes through untracked: an error in trackline itself", exc_info=True)
            return None
        scope[TRACKED_KEY] = tracking_id
        TRACKING_ID.set(tracking_id)
        if identity is not None:
            IDENTITY.set(identity)
        return tracking_id

    def _root_of(self, scope: Scope) -> Root | None:
        """Give what a `TrackingIdGenerator` is to know: Starlette's middleware does not make current what a propagator tells it."""
        try:
            _, found = self._reader.find(scope)
            claimed = self._reader.claim(found) if found else None
        except Exception:  # noqa: BLE001  (never fail a request; inside, it is said)
            return None
        return Root(claimed.tracking_id) if claimed is not None and claimed.trace_context is None else None


class _InsideOfTracer:
    """What is right inside of Starlette's OpenTelemetryMiddleware, whose span is current there."""

    def __init__(self, app: ASGIApp, identify: Callable[[Scope], str | None]) -> None:
        self.app = app
        self._identify = identify

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and TRACKED_KEY not in scope:
            self._identify(scope)
        return self.app(scope, receive, send)


def _is_unchanged(stack: ServerErrorMiddleware) -> bool:
    """Say whether what a ServerErrorMiddleware does is Starlette's own: of one that somebody has wrapped or overridden, that runs."""
    call = type(stack).__call__
    return type(call) is FunctionType and call.__code__.co_filename == errors.__file__


def _stamping(tracking_id: str | None, stamp: Stamp, send: Send) -> Send:
    if tracking_id is None:
        return send

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = stamp(message, tracking_id.encode("ascii"))
        await send(message)

    return answer
