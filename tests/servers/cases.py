"""Every way for a request to end, and what each leaves in the log."""

from __future__ import annotations

import socket

from servers.visits import Case

ORIGIN = {"Origin": "https://shop.example"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-Request-ID"}


def echo(websocket):
    websocket.send("one")
    assert websocket.recv(timeout=5) == "one"
    websocket.send("close")
    websocket.recv(timeout=5)


def be_gone(websocket):
    websocket.send("one")
    websocket.recv(timeout=5)
    websocket.socket.shutdown(socket.SHUT_RDWR)


def wait(websocket):
    websocket.recv(timeout=5)


def speak(websocket):
    websocket.send("one")
    websocket.recv(timeout=5)


WEBSOCKETS = [
    Case("websocket", "/main/{case}/ws/echo", 101, ("websocket accepted", "websocket message", "websocket message"), talk=echo),
    Case(
        "websocket-client-gone",
        "/main/{case}/ws/echo",
        101,
        ("websocket accepted", "websocket message", "websocket left"),
        talk=be_gone,
    ),
    Case("websocket-refused", "/main/{case}/ws/refuse", 403, ("websocket refused",)),
    Case("websocket-denied", "/main/{case}/ws/deny", 401, ("websocket denied",)),
    Case("websocket-unknown", "/main/{case}/ws/nowhere", 403),
    Case("websocket-boom-before", "/main/{case}/ws/boom-before", 500, raises="boom before"),
    Case("websocket-boom-after", "/main/{case}/ws/boom-after", 101, raises="boom after", talk=wait),
    Case("websocket-boom-middleware", "/main/{case}/ws/boom-middleware", 500, raises="boom middleware"),
    Case("websocket-mounted", "/main/installed/{case}/ws/refuse", 403, ("websocket refused",)),
    Case("websocket-starlette", "/starlette/{case}/ws/echo", 101, ("starlette websocket",), talk=speak),
    Case("websocket-bare-refused", "/bare/{case}/ws", 403, ("bare",), is_seen=False),
    Case("websocket-bare-boom", "/bare/{case}/boom-async", 500, raises="boom bare", is_seen=False),
]
for one in WEBSOCKETS:
    one.is_websocket = True

CASES = [
    Case("async", "/main/{case}/async", says=("async endpoint",)),
    Case("sync", "/main/{case}/sync", says=("sync endpoint",)),
    Case("dependencies", "/main/{case}/dependencies", says=("async dependency", "sync dependency", "endpoint with dependencies")),
    Case("yield", "/main/{case}/yield", says=("yield before", "endpoint with yield", "yield after")),
    Case("not-found", "/main/{case}/nowhere", 404),
    Case("method-not-allowed", "/main/{case}/async", 405, method="DELETE"),
    Case("invalid", "/main/{case}/invalid?number=one", 422),
    Case("http-exception", "/main/{case}/http-exception", 418),
    Case("custom-handler", "/main/{case}/custom", 409, ("exception handler",)),
    Case("redirect", "/main/{case}/redirect", 307),
    Case("redirect-slashes", "/main/{case}/async/", 307),
    Case("no-content", "/main/{case}/no-content", 204, ("no content",)),
    Case("not-modified", "/main/{case}/not-modified", 304),
    Case("head", "/main/{case}/async", says=("async endpoint",), method="HEAD"),
    Case("own-header", "/main/{case}/own-header"),
    Case("cors", "/main/{case}/async", says=("async endpoint",), headers=ORIGIN),
    Case("cors-preflight", "/main/{case}/async", method="OPTIONS", headers=PREFLIGHT, is_seen=False),
    Case("cors-boom", "/main/{case}/boom-async", 500, headers=ORIGIN, raises="boom async"),
    Case("background", "/main/{case}/background", says=("endpoint with tasks", "sync task", "async task")),
    Case("stream", "/main/{case}/stream", says=("stream begins", "stream ends")),
    Case("sync-stream", "/main/{case}/sync-stream", says=("sync stream",)),
    Case("sse", "/main/{case}/sse", says=("event",)),
    Case("file", "/main/{case}/file", says=("file",)),
    Case("threads", "/main/{case}/threads", says=("threads endpoint", "to_thread")),
    Case("mounted", "/main/mounted/{case}/async", says=("async endpoint",)),
    Case("mounted-installed", "/main/installed/{case}/async", says=("async endpoint",)),
    Case("mounted-installed-boom", "/main/installed/{case}/boom-sync", 500, raises="boom sync"),
    Case("client-gone", "/main/{case}/endless", says=("stream left",), is_complete=False),
    Case("boom-async", "/main/{case}/boom-async", 500, raises="boom async"),
    Case("boom-sync", "/main/{case}/boom-sync", 500, raises="boom sync"),
    Case("boom-dependency", "/main/{case}/boom-dependency", 500, raises="boom dependency"),
    Case("boom-yield", "/main/{case}/boom-yield", 200, ("yield after",), raises="boom yield"),
    Case("boom-middleware", "/main/{case}/boom-middleware", 500, raises="boom middleware"),
    Case("boom-background", "/main/{case}/boom-background", 200, raises="boom background"),
    Case("boom-stream", "/main/{case}/boom-stream", 200, raises="boom stream", is_complete=False),
    Case("debug-page", "/debug/{case}/boom-async", 500, raises="boom async"),
    Case("handled", "/handled/{case}/boom-async", 500, ("last exception handler",), raises="boom async"),
    Case("base", "/base/{case}/sync", says=("base before", "sync endpoint", "base after"), is_seen=False),
    Case(
        "base-background",
        "/base/{case}/background",
        says=("base before", "endpoint with tasks", "base after", "sync task", "async task"),
        is_seen=False,
    ),
    Case("base-stream", "/base/{case}/stream", says=("base before", "base after", "stream begins", "stream ends"), is_seen=False),
    Case("base-boom-inside", "/base/{case}/boom-async", 500, ("base before",), raises="boom async", is_seen=False),
    Case("boom-base", "/base/{case}/boom-base", 500, ("base before",), raises="boom base", is_seen=False),
    Case("starlette", "/starlette/{case}/async", says=("starlette endpoint",)),
    Case("starlette-stream", "/starlette/{case}/stream", says=("starlette stream",)),
    Case("starlette-boom", "/starlette/{case}/boom-sync", 500, raises="boom starlette"),
    Case("bare", "/bare/{case}/async", says=("bare",), is_seen=False),
    Case("bare-boom", "/bare/{case}/boom-async", 500, raises="boom bare", is_seen=False),
    *WEBSOCKETS,
]
