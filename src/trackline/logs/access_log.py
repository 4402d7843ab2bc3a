"""The access log: one line for each request and each WebSocket, when it has ended, with what the middleware has counted."""

from __future__ import annotations

import logging
import re
from fnmatch import translate
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trackline.exchange import Exchange, WebSocketExchange
from trackline.logs.access import ACCESS_LOGGER
from trackline.logs.fields import takes
from trackline.logs.plain import text_of
from trackline.logs.route import route_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Fields = dict[str, Any]

_READ = frozenset({b"user-agent", b"content-length", b"host"})
_LONGEST = 300
_SAFE = "/!$&'()*+,;=:@~-._"  # what may stand in a path as it is (RFC 3986, section 3.3)
_OTEL = {
    "http.version": "network.protocol.version",
    "http.request.body.bytes": "http.request.body.size",
    "http.response.body.bytes": "http.response.body.size",
    "url.domain": "server.address",
}
_OF_ECS = frozenset({"event.outcome", "event.reason", "event.duration", "client.ip"})


class AccessLog:
    """
    Logs each exchange that it is told of, on the logger ``trackline.access`` at INFO; its facts are extras, named as in ECS or OTel.

    ``exclude`` are paths, with ``*`` for anything, or a callable of the ASGI scope: what it holds for has no line, unless it fails.
    """

    def __init__(self, exclude: Sequence[str] | Callable[[Mapping[str, Any]], bool] = (), *, otel: bool = False) -> None:
        self._is_excluded = exclude if callable(exclude) else _paths(exclude)
        self._is_otel = otel
        self._logger = logging.getLogger(ACCESS_LOGGER)

    def __call__(self, exchange: Exchange) -> None:
        """Log an exchange that has ended."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        status = exchange.status
        status = int(status) if isinstance(status, int) else None
        outcome, reason = _ending(exchange, status)
        if self._is_excluded is not None and outcome != "failure" and self._is_excluded(exchange.scope):
            return
        try:
            fields = _fields(exchange)
        except Exception:  # noqa: BLE001  (whatever somebody outside of us has put into the scope)
            fields = {}
        fields["event.outcome"], fields["event.duration"] = outcome, exchange.duration
        if status is not None:
            fields["http.response.status_code"] = status
        if reason is not None:
            fields["event.reason"] = reason
        if exchange.error is not None:
            fields["error.type"] = _name(type(exchange.error))
        message = _say(exchange, fields)
        logger.info(message, extra=_as_otel(fields) if self._is_otel else fields)


def _paths(patterns: Sequence[str]) -> Callable[[Mapping[str, Any]], bool] | None:
    if not patterns:
        return None
    matches = re.compile("|".join(map(translate, patterns))).match
    return lambda scope: matches(scope["path"]) is not None


def _ending(exchange: Exchange, status: int | None) -> tuple[str, str | None]:
    """Give the outcome of an exchange, and why it ended where it did not as exchanges do."""
    if exchange.is_gone:
        return "unknown", "client disconnected"
    if isinstance(exchange.error, Exception) or (status is not None and status >= 500):
        return "failure", None if exchange.is_complete or exchange.error is not None else "no answer"
    if exchange.error is not None:
        return "unknown", "cancelled"
    if not exchange.is_complete:
        return "failure", "answer not complete"
    return "success", None


def _fields(exchange: Exchange) -> Fields:
    scope = exchange.scope
    method, path = scope.get("method", "GET"), scope.get("path", "")  # GET is what a WebSocket has, and does not say
    fields: Fields = {
        "http.request.method": method if type(method) is str else text_of(method),
        "url.path": path if type(path) is str else text_of(path),
    }
    if query := scope.get("query_string"):
        fields["url.query"] = query.decode("latin-1")
    if (route := route_of(scope)) is not None:
        fields["http.route"] = route
    if type(exchange) is Exchange:
        fields["http.response.body.bytes"] = exchange.sent if method != "HEAD" else 0
    elif isinstance(exchange, WebSocketExchange):
        _add_messages(fields, exchange)
    if version := scope.get("http_version"):
        fields["http.version"] = version if type(version) is str else text_of(version)
    if client := scope.get("client"):
        host, port = client
        if host:
            fields["client.address"] = host
            if takes("ip", host):
                fields["client.ip"] = host
        if port:
            fields["client.port"] = port
    for name, value in scope["headers"]:
        if name in _READ:
            _add_header(fields, name, value)
    return fields


def _add_messages(fields: Fields, exchange: WebSocketExchange) -> None:
    if exchange.close_code is not None:
        fields["websocket.close_code"] = exchange.close_code
    fields["websocket.messages_received"] = exchange.messages_received
    fields["websocket.messages_sent"] = exchange.messages_sent
    fields["client.bytes"], fields["server.bytes"] = exchange.received, exchange.sent


def _add_header(fields: Fields, name: bytes, value: bytes) -> None:
    text = value.decode("latin-1")
    if name == b"user-agent":
        fields["user_agent.original"] = text
    elif name == b"content-length":
        if text.isdecimal() and len(text) < 19:
            fields["http.request.body.bytes"] = int(text)
    elif text:  # a host, perhaps with its port; an address of IPv6 is in brackets
        fields["url.domain"] = text.partition("]")[0].lstrip("[") if text[0] == "[" else text.partition(":")[0]


def _as_otel(fields: Fields) -> Fields:
    """Give the names that OTel's semantic conventions have; what only ECS has is left out."""
    named = {_OTEL.get(name, name): value for name, value in fields.items() if name not in _OF_ECS}
    named["http.server.request.duration"] = fields["event.duration"] / 1e9  # as the metric of that name: in seconds
    if "error.type" not in fields:
        if "event.reason" in fields:
            named["error.type"] = fields["event.reason"].replace(" ", "_")
        elif fields["event.outcome"] == "failure":
            named["error.type"] = str(fields["http.response.status_code"])
    return named


def _say(exchange: Exchange, fields: Fields) -> str:
    """Give what a person reads: ``GET /orders/42 200 in 3.1 ms``."""
    is_websocket = isinstance(exchange, WebSocketExchange)
    what = f"{'WebSocket' if is_websocket else fields.get('http.request.method', '?')}"
    path = fields.get("url.path", "?")
    if not path.isprintable() or " " in path or len(path) > _LONGEST:
        path = quote(path[:_LONGEST], safe=_SAFE, errors="replace")
    duration = exchange.duration
    time = f"{duration / 1e6:.1f} ms" if duration < 1_000_000_000 else f"{duration / 1e9:.1f} s"
    said = f"{what} {path} {fields.get('http.response.status_code', '-')} in {time}"
    if is_websocket and (code := fields.get("websocket.close_code")) is not None:
        said += f", closed with {code}"
    for name in ("error.type", "event.reason"):
        if name in fields:
            said += f", {fields[name]}"
    return said


def _name(kind: type) -> str:
    name, module = text_of(kind.__qualname__), text_of(kind.__module__)
    return name if module in ("builtins", "__main__") else f"{module}.{name}"
