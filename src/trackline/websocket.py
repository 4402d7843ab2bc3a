"""The answer to a WebSocket's handshake: the header on an acceptance and, where the server can do it, on a refusal too."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline._asgi import Message, Scope, Send

_ANSWERS = frozenset({"websocket.accept", "websocket.http.response.start"})


class Handshake:
    """
    A ``send`` for a WebSocket's scope that puts the tracking ID on whatever answers the handshake.

    ``websocket.close`` before an acceptance is a 403 that the server makes, without our header. Servers with the extension "WebSocket
    denial response" let us send that 403 ourselves, and the 500 for an error that nobody handled; with others it stays as it is.
    """

    def __init__(self, scope: Scope, send: Send, stamp: Callable[[Message, bytes], Message], value: bytes) -> None:
        self._can_deny = "websocket.http.response" in (scope.get("extensions") or ())
        self._send, self._stamp, self._value = send, stamp, value
        self._is_answered = False

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind in _ANSWERS:
            self._is_answered = True
            message = self._stamp(message, self._value)
        elif kind == "websocket.close" and not self._is_answered and self._can_deny:
            await self._deny(403, b"")
            return
        await self._send(message)

    async def fail(self) -> None:
        """Answer a handshake whose application has raised, if nothing has answered it yet. Never raises."""
        if self._is_answered or not self._can_deny:
            return
        with contextlib.suppress(Exception):  # the client may be gone; the application's own error is what counts
            await self._deny(500, b"Internal Server Error")

    async def _deny(self, status: int, body: bytes) -> None:
        self._is_answered = True
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
        await self._send(self._stamp(start, self._value))
        await self._send({"type": "websocket.http.response.body", "body": body})
