"""TrackingMiddleware: gives every HTTP request and WebSocket its identity, and every answer the header. Pure ASGI."""

from __future__ import annotations

import contextlib
import logging
from contextvars import Token
from typing import TYPE_CHECKING

from opentelemetry.context import get_current

from trackline import exchange as exchanges
from trackline.config import DEFAULT_ID_HEADERS, DEFAULT_RESPONSE_HEADERS, TrackingSettings
from trackline.context import IDENTITY, TRACKING_ID
from trackline.generate import new_trace_id
from trackline.request import REQUEST_ID, RequestReader, holds
from trackline.response import ResponseHeaders
from trackline.startup import server_started
from trackline.websocket import Handshake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from trackline._asgi import ASGIApp, Message, Receive, Scope, Send
    from trackline.config import Exclude, Trust
    from trackline.request import Found

TRACKED_KEY = "trackline.tracking_id"
"""Where in the scope the tracking ID is: the mark of a request that is tracked already."""

_log = logging.getLogger("trackline")


class TrackingMiddleware:
    """
    Track every request of an ASGI application; put it outside of everything else, but inside of what makes the server span.

    For FastAPI and Starlette use `trackline.install`, which finds that place by itself and has the header on unhandled errors too.
    The keywords are those of `install`. An instance keeps nothing of a request, so it serves any number at once.

    Raises ValueError where a setting is wrong. Nothing that a client sends makes it raise, and no error of its own fails a request:
    that request goes through untracked, and a line on the logger ``trackline`` says why.
    """

    answers_errors = True
    """False where our own `Edge`, outside of this, has the exchange of a request that has raised answered, and ended."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        id_headers: Sequence[str] = DEFAULT_ID_HEADERS,
        response_headers: Sequence[str] = DEFAULT_RESPONSE_HEADERS,
        trust: Trust = "all",
        exclude: Exclude | None = None,
    ) -> None:
        settings = TrackingSettings(id_headers, response_headers, trust, exclude)
        self.app = app  # FastAPI's own telemetry looks for other instrumentation along `.app`
        self._next = self._inner = app  # where a request goes that is not tracked, and one that is
        self._exclude = settings.exclude
        reader, answers = RequestReader(settings), ResponseHeaders(settings.response_headers)
        self._reader, self._decide, self._wanted = reader, reader.decide, reader.wanted
        self._stamp, self._special, self._keys = answers.stamp, answers.special, answers.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901, PLR0912, PLR0915  (written out, see below)
        kind = scope["type"]
        if (
            (kind != "http" and kind != "websocket")  # noqa: PLR1714
            or TRACKED_KEY in scope
            or (self._exclude is not None and holds(self._exclude, scope, otherwise=False))
        ):
            if scope["type"] == "lifespan":
                server_started()
            await self._next(scope, receive, send)
            return

        # The way of most requests is written out, here and in `answer`: in an application the caches are cold, and each further
        # function costs twice what it does in a loop of nothing else (bench/, part A).
        identity = None
        try:
            headers = scope.get("headers")
            if type(headers) is list:
                wanted = self._wanted
                found: Found = ()
                for header in headers:
                    if header[0] in wanted:
                        found = (*found, header)
            else:
                headers, found = self._reader.find(scope)
            context = get_current()
            if found or context:
                tracking_id, value, identity = self._decide(scope, headers, found, context)
            else:
                tracking_id = new_trace_id()
                value = tracking_id.encode("ascii")
                scope["headers"] = [*headers, (REQUEST_ID, value)]
        except Exception:  # noqa: BLE001  (never fail a request)
            _log.warning("a request goes through untracked: an error in trackline itself", exc_info=True)
            await self._next(scope, receive, send)
            return
        is_started = False
        exchange = None
        if exchanges.listener is not None and (exchange := exchanges.begin(scope, receive, send)) is not None:
            receive, send = exchange.receive, exchange.send

        def answer(message: Message) -> Awaitable[None]:
            # No coroutine of our own: the messages of a body go straight to the server.
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                given = message.get("headers") or ()
                special = self._special
                for header in given:
                    if header[0].lower() in special:
                        return send(self._stamp(message, value))
                stamped = [*given]
                for key in self._keys:
                    stamped.append((key, value))  # noqa: PERF401  (faster for two)
                message = {**message, "headers": stamped}
            return send(message)

        if kind == "websocket":
            answer = handshake = Handshake(scope, send, self._stamp, value)
        scope[TRACKED_KEY] = tracking_id
        tracking_token = TRACKING_ID.set(tracking_id)
        identity_token = None if identity is None else IDENTITY.set(identity)
        try:
            await self._inner(scope, receive, answer)
        except BaseException as error:
            try:
                if isinstance(error, Exception):
                    if kind == "websocket":
                        await handshake.fail()
                    else:
                        await self._answer_failed(scope, receive, answer, error, is_started=is_started)
            finally:
                if exchange is not None:
                    if not self.answers_errors and kind == "http" and not is_started and isinstance(error, Exception):
                        exchange.error = error
                    else:
                        exchange.close(error)
                # The server logs the traceback after our frame is gone: the ID has to be there still. But a caller in this process who
                # has an ID of its own gets that back, or it would go on under ours.
                if tracking_token.old_value is not Token.MISSING and tracking_token.old_value is not None:
                    if identity_token is not None:
                        IDENTITY.reset(identity_token)
                    TRACKING_ID.reset(tracking_token)
            raise
        if exchange is not None:
            exchange.close()
        if identity_token is not None:
            IDENTITY.reset(identity_token)
        TRACKING_ID.reset(tracking_token)

    async def _answer_failed(
        self,
        scope: Scope,
        receive: Receive,
        answer: Send,
        error: Exception,
        *,
        is_started: bool,
    ) -> None:
        """Answer an unhandled error before the server does, which would leave out the header."""
        if is_started or "app" in scope:  # there, Starlette answers: we may be inside of its error handling
            return
        body = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        with contextlib.suppress(Exception):  # the client may be gone; the application's own error is what counts
            await answer({"type": "http.response.start", "status": 500, "headers": headers})
            await answer({"type": "http.response.body", "body": body})
