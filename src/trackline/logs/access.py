"""The access logs of the servers: their arguments as fields, so that a path or a status can be searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import LogRecord

_OTEL = {
    "client.address": "client.address",
    "client.port": "client.port",
    "http.request.method": "http.request.method",
    "url.path": "url.path",
    "url.query": "url.query",
    "http.version": "network.protocol.version",
    "http.response.status_code": "http.response.status_code",
}


def access_fields(record: LogRecord, *, otel: bool = False) -> dict[str, Any]:
    """Give the ECS fields (or OTel's attributes) of a record of uvicorn's access log; an empty dict for any other record."""
    args = record.args
    if record.name != "uvicorn.access" or not isinstance(args, tuple) or len(args) != 5:
        return {}
    client, method, target, version, status = args
    address, _, port = str(client).rpartition(":")
    path, _, query = str(target).partition("?")
    fields: dict[str, Any] = {
        "client.address": address or None,
        "client.port": int(port) if port.isdigit() else None,
        "http.request.method": method,
        "url.path": path,
        "url.query": query or None,
        "http.version": version,
        "http.response.status_code": status,
    }
    named = {_OTEL[field] if otel else field: value for field, value in fields.items() if value is not None}
    if not otel:
        named["event.category"], named["event.type"] = ["web"], ["access"]
    return named
