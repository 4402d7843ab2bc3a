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
from trackline.request import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackline._asgi import Scope

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

    def __init__(self, exclude: Sequence[str] | Callable[[Scope], bool] = (), *, otel: bool = False) -> None:
        self._is_excluded = _excluder(exclude)
        self._is_otel = otel
        self._logger = logging.getLogger(ACCESS_LOGGER)

    def __call__(self, exchange: Exchange) -> None:
        """Log an exchange that has ended."""
        logger = self._logger
        if not logger.isEnabledFor(logging.INFO):
            return
        status = exchange.status
        if type(status) is not int:
            status = int(status) if isinstance(status, int) else None
        outcome, reason = _ending(exchange, status)
        if self._is_excluded is not None and outcome != "failure" and self._is_excluded(exchange.scope):
            return
        try:
            fields = _fields(exchange)
        except Exception:  # noqa: BLE001  (whatever somebody outside of us has put into the scope)
            fields = {"url.path": text_of(exchange.scope.get("path")), "http.request.method": text_of(exchange.scope.get("method"))}
        fields["event.outcome"] = outcome
        fields["event.duration"] = exchange.duration
        if status is not None:
            fields["http.response.status_code"] = status
        if reason is not None:
            fields["event.reason"] = reason
        if exchange.error is not None:
            fields["error.type"] = _name(type(exchange.error))
        said = _say(exchange, fields)
        logger.info(said, extra=_as_otel(fields) if self._is_otel else fields)


def _excluder(exclude: Sequence[str] | Callable[[Scope], bool]) -> Callable[[Scope], bool] | None:
    if callable(exclude):
        return lambda scope: holds(exclude, scope, otherwise=False)
    if not exclude:
        return None
    matches = re.compile("|".join(map(translate, exclude))).match
    return lambda scope: matches(scope["path"]) is not None


def _ending(exchange: Exchange, status: int | None) -> tuple[str, str | None]:
    """Give the outcome of an exchange, and why it ended where it did not as exchanges do."""
    error = exchange.error
    if exchange.is_gone:
        return "unknown", "client disconnected"
    if status is not None and status >= 500:
        return "failure", None if exchange.is_complete or error is not None else "no answer"
    if error is not None:
        return ("failure", None) if isinstance(error, Exception) else ("unknown", "cancelled")
    if not exchange.is_complete:
        return "failure", "answer not complete"
    if type(exchange) is WebSocketExchange and exchange.close_code == 1011:  # RFC 6455, section 7.4.1: an error of the server's
        return "failure", None
    return "success", None


def _fields(exchange: Exchange) -> Fields:  # noqa: C901, PLR0912  (written out: it is a part of every request)
    scope = exchange.scope
    method, path = scope.get("method", "GET"), scope["path"]  # GET is what a WebSocket has, and does not say
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
        fields["websocket.messages_received"], fields["websocket.messages_sent"] = exchange.messages_received, exchange.messages_sent
        fields["client.bytes"], fields["server.bytes"] = exchange.received, exchange.sent
        if exchange.close_code is not None:
            fields["websocket.close_code"] = exchange.close_code
    if version := scope.get("http_version"):
        fields["http.version"] = version
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
            text = value.decode("latin-1")
            if name == b"user-agent":
                fields["user_agent.original"] = text
            elif name == b"host":
                fields["url.domain"] = _domain(text)
            elif text.isdecimal() and len(text) < 19:
                fields["http.request.body.bytes"] = int(text)
    return fields


def _domain(host: str) -> str:
    """Give the host without its port (RFC 3986, section 3.2.2: an address of IPv6 is in brackets)."""
    name, colon, _ = host.rpartition(":")
    return name if colon and not host.endswith("]") else host


def _as_otel(fields: Fields) -> Fields:
    """Give the names that OTel's semantic conventions have; what only ECS has is left out."""
    named = {_OTEL.get(name, name): value for name, value in fields.items() if name not in _OF_ECS}
    named["http.server.request.duration"] = fields["event.duration"] / 1e9  # as the metric of that name: in seconds
    if "error.type" not in fields:
        if "event.reason" in fields:
            named["error.type"] = fields["event.reason"].replace(" ", "_")
        elif fields["event.outcome"] == "failure":
            named["error.type"] = str(fields.get("websocket.close_code") or fields.get("http.response.status_code"))
    return named


def _say(exchange: Exchange, fields: Fields) -> str:
    """Give what a person reads: ``GET /orders/42 200 in 3.1 ms``."""
    is_http = type(exchange) is Exchange
    what = fields["http.request.method"] if is_http else "WebSocket"
    path = fields["url.path"]
    if not path.isprintable() or " " in path or len(path) > _LONGEST or not what.isalpha():
        what, path = quote(what), quote(path[:_LONGEST], safe=_SAFE, errors="replace")
    duration = exchange.duration
    time = "%.1f ms" % (duration / 1e6) if duration < 1_000_000_000 else "%.1f s" % (duration / 1e9)
    said = f"{what} {path} {fields.get('http.response.status_code', '-')} in {time}"
    if is_http and exchange.is_complete and exchange.error is None and not exchange.is_gone:
        return said
    more = (f"closed with {fields['websocket.close_code']}" if "websocket.close_code" in fields else None, fields.get("error.type"))
    return ", ".join([said, *filter(None, (*more, fields.get("event.reason")))])


def _name(kind: type) -> str:
    name, module = text_of(kind.__qualname__), text_of(kind.__module__)
    return name if module in ("builtins", "__main__") else f"{module}.{name}"
