"""An endpoint to see and to change levels while the process runs, for whoever has the token."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any

import orjson

from trackline.logs.levels import get_levels, set_level

if TYPE_CHECKING:
    from trackline._asgi import Receive, Scope, Send

_LEAST_TOKEN = 16
_MOST_BODY = 4096
_MOST_NAME = 200
_NOTE = "of this process only: each worker has its own levels"


class LevelEndpoint:
    """
    An ASGI application to mount: ``app.mount("/log-level", trackline.LevelEndpoint(token=…))``.

    GET gives the loggers that have a level of their own. PUT or POST of ``{"logger": "app", "level": "DEBUG", "for_seconds": 600}``
    sets one as `set_level` does, and gives the same. Every request needs ``Authorization: Bearer <token>`` (RFC 6750, section 2.1),
    else it is answered with 401. Raises ValueError for a token of less than 16 characters. The answer names the process: of several
    workers, one has answered.
    """

    def __init__(self, *, token: str) -> None:
        if not isinstance(token, str) or len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"token: expected at least {_LEAST_TOKEN} characters of ASCII without spaces")  # it is not to be logged
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; refuse a WebSocket."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            status, answer, headers = await self._answer(scope, receive)
            body = orjson.dumps(answer) + b"\n"
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, Any], list[tuple[bytes, bytes]]]:
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(_with_scheme(given[0]), self._authorization):
            return 401, {"error": "a token is needed"}, [(b"www-authenticate", b'Bearer realm="log levels"')]
        if scope["method"] not in ("GET", "HEAD", "PUT", "POST"):
            return 405, {"error": "expected GET, PUT or POST"}, [(b"allow", b"GET, HEAD, PUT, POST")]
        if scope["method"] in ("PUT", "POST"):
            body = await _read(receive)
            if body is None:
                return 413, {"error": f"expected at most {_MOST_BODY} bytes"}, []
            try:
                _set(body)
            except ValueError as error:
                return 400, {"error": str(error)}, []
        levels = {
            name: {"level": level} if seconds is None else {"level": level, "seconds_left": seconds}
            for name, (level, seconds) in get_levels().items()
        }
        return 200, {"pid": os.getpid(), "levels": levels, "note": _NOTE}, []


def _with_scheme(value: bytes) -> bytes:
    """Give a header's value with its scheme as we write it: its case does not count (RFC 9110, section 11.1)."""
    scheme, _, token = value.partition(b" ")
    return scheme.capitalize() + b" " + token.strip(b" ")


async def _read(receive: Receive) -> bytes | None:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MOST_BODY:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return body


def _set(body: bytes) -> None:
    given = orjson.loads(body)  # its error is a ValueError
    if type(given) is not dict or not {"logger", "level"} <= given.keys() <= {"logger", "level", "for_seconds"}:
        raise ValueError("expected an object with logger, level and, where it is to go back, for_seconds")
    name = given["logger"]
    if type(name) is not str or not 0 < len(name) <= _MOST_NAME:
        raise ValueError(f"logger: expected a name of at most {_MOST_NAME} characters")
    set_level(name, given["level"], given.get("for_seconds"))
