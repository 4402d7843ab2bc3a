"""The access logs of the servers: their arguments as fields, so that a path or a status can be searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.logs.fields import fit
from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from logging import LogRecord

    Fields = dict[str, Any]

ACCESS_LOGGER = "trackline.access"
"""The logger of our own access log."""

CATEGORY: Fields = {"event.category": ["web"], "event.type": ["access"]}
"""What ECS calls a line of an access log; one for all lines."""

_OTEL = {
    "client.address": "client.address",
    "client.port": "client.port",
    "http.request.method": "http.request.method",
    "url.path": "url.path",
    "url.query": "url.query",
    "http.version": "network.protocol.version",
    "http.response.status_code": "http.response.status_code",
    "http.response.body.bytes": "http.response.body.size",
    "user_agent.original": "user_agent.original",
}


def access_fields(record: LogRecord, *, otel: bool = False) -> Fields:
    """
    Give the ECS fields (or OTel's attributes) of a record of an access log; an empty dict for any other record. Never raises.

    Those of uvicorn, hypercorn, granian and gunicorn; ``event.duration``, in nanoseconds, where the server has it (uvicorn has not).
    """
    read = _READERS.get(record.name)
    if read is None:
        return {}
    try:
        fields = read(record.args)
    except (AttributeError, KeyError, TypeError, ValueError):  # another version of the server, or somebody else who logs there
        return {}
    fitting = {field: fit(field, value) for field, value in fields.items()}
    named = {_OTEL.get(field) if otel else field: value for field, value in fitting.items() if value not in (None, "", "-")}
    named.pop(None, None)  # OTel has no attribute for a duration: that is a span's
    if not otel:
        named.update(CATEGORY)
    return named  # type: ignore[return-value]


def is_access_log(name: str) -> bool:
    """Say whether records of a logger are read by `access_fields`."""
    return name in _READERS


def _read_uvicorn(args: Any) -> Fields:
    client, method, target, version, status = args
    address, _, port = text_of(client).rpartition(":")
    path, _, query = text_of(target).partition("?")
    return {
        "client.address": address,
        "client.port": int(port) if port.isdecimal() else None,
        "http.request.method": method,
        "url.path": path,
        "url.query": query,
        "http.version": version,
        "http.response.status_code": status,
    }


def _read_hypercorn(args: Mapping[str, Any]) -> Fields:
    address, _, port = str(args["h"]).rpartition(":")
    status = args["s"]  # "-" where the client was gone before the answer
    return {
        "client.address": address,
        "client.port": int(port) if port.isdecimal() else None,
        "http.request.method": args["m"],
        "url.path": args["U"],
        "url.query": args["q"],
        "http.version": args["H"] if args["H"] != "ws" else None,
        "http.response.status_code": int(status) if status.isdigit() else None,
        "event.duration": round(float(args["L"]) * 1e9),
    }


def _read_granian(args: Mapping[str, Any]) -> Fields:
    is_request = args["method"] != "-"  # a WebSocket's line is written before it, and knows nothing of the time it takes
    return {
        "client.address": args["addr"],
        "http.request.method": args["method"],
        "url.path": args["path"],
        "url.query": args["query_string"],
        "http.version": args["protocol"].removeprefix("HTTP/"),
        "http.response.status_code": args["status"],
        "event.duration": round(args["dt_ms"] * 1e6) if is_request else None,
    }


def _read_gunicorn(args: Mapping[str, Any]) -> Fields:
    status = str(args["s"])
    return {
        "client.address": args["h"],
        "http.request.method": args["m"],
        "url.path": args["U"],
        "url.query": args["q"],
        "http.version": str(args["H"]).removeprefix("HTTP/"),
        "http.response.status_code": int(status) if status.isdecimal() else None,
        "http.response.body.bytes": int(args["B"]) if str(args["B"]).isdecimal() else None,
        "user_agent.original": args["a"],
        "event.duration": int(args["D"]) * 1000,
    }


_READERS: dict[str, Callable[[Any], Fields]] = {
    "uvicorn.access": _read_uvicorn,
    "hypercorn.access": _read_hypercorn,
    "granian.access": _read_granian,
    "gunicorn.access": _read_gunicorn,
}
