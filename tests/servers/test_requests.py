"""Every way for a request to end, on every server: the header on what comes back, the ID in every line that it left."""

from __future__ import annotations

import json
import socket
from collections import Counter

import pytest

from servers.visits import COMES_IN, Case, Visit, collect, send

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

TRACEBACKS = {
    "uvicorn-h11": ("uvicorn.error", "Exception in ASGI application"),
    "uvicorn-httptools": ("uvicorn.error", "Exception in ASGI application"),
    "gunicorn": ("uvicorn.error", "Exception in ASGI application"),
    "hypercorn": ("hypercorn.error", "Error in ASGI Framework"),
    "granian": ("_granian.utils", "Application callable raised an exception"),
}
ACCESS = {
    "uvicorn-h11": "uvicorn.access",
    "uvicorn-httptools": "uvicorn.access",
    "gunicorn": "uvicorn.access",
    "hypercorn": "hypercorn.access",
    "granian": "granian.access",
}


@pytest.fixture(scope="session")
def visits(server) -> dict[tuple[str, str], Visit]:
    """Send every case with each kind of ID to a server; then look at the lines."""
    all_visits = {(case.name, comes_in): send(server, case, comes_in) for case in CASES for comes_in in COMES_IN}
    collect(server, all_visits.values(), lambda visit: f"{visit.case.raises} {visit.token}" if visit.case.raises else None)
    return all_visits


def only(*names):
    return pytest.mark.parametrize("server", names, indirect=True)


def each(visits, **wanted):
    """Give each visit under the name that a failure is to show; `wanted` are what its case has to have."""
    for (name, comes_in), visit in visits.items():
        if all(getattr(visit.case, key) == value for key, value in wanted.items()):
            yield f"{name} with {comes_in}", visit


def test_answer_has_the_status_that_it_has_without_us(visits):
    assert {key: visit.status for key, visit in each(visits)} == {key: visit.case.status for key, visit in each(visits)}


def is_silent(visit, server) -> bool:
    """Whether its server sends no headers of the application's, see `test_granian_leaves_out_the_headers_of_an_acceptance`."""
    return server.name == "granian" and visit.status == 101


@pytest.mark.parametrize("header", ["X-Request-ID", "X-Tracking-ID"])
def test_answer_has_exactly_one_of_each_header(visits, server, header):
    found = {key: visit.header(header) for key, visit in each(visits) if not is_silent(visit, server)}

    assert found == {key: [visit.tracking_id] for key, visit in each(visits) if not is_silent(visit, server)}
    assert all(found.values())


def test_application_sees_exactly_one_request_id(visits):
    seen = {
        key: [line["labels"]["seen"] for line in visit.lines if line["message"] == f"middleware {visit.token}"]
        for key, visit in each(visits)
    }

    assert seen == {key: [[visit.tracking_id]] if visit.case.is_seen else [] for key, visit in each(visits)}


def is_outside(line, case) -> bool:
    """Whether it is an access line that its server writes where nobody knows the request, see the tests of their limits below."""
    return (line["log.logger"] == "granian.access" and case.is_websocket) or (
        line["log.logger"] == "hypercorn.access" and case.name == "client-gone"
    )


def test_every_line_has_the_tracking_id_and_the_trace(visits):
    found = {
        key: {
            (line.get("tracking_id"), line.get("trace.id"), None if line.get("tracking_id") == visit.tracking_id else line["message"])
            for line in visit.lines
            if not is_outside(line, visit.case)
        }
        for key, visit in each(visits)
    }

    assert found == {key: {(visit.tracking_id, visit.trace_id, None)} for key, visit in each(visits)}


def test_everything_that_was_logged_is_there_once(visits):
    found = {key: Counter(line["message"] for line in visit.lines if line["log.logger"] == "app") for key, visit in each(visits)}

    expected = {
        key: Counter([*([f"middleware {visit.token}"] if visit.case.is_seen else []), *visit.messages()]) for key, visit in each(visits)
    }
    assert found == expected


def test_traceback_of_the_server_is_there_once_with_the_id(visits, server):
    logger, message = TRACEBACKS[server.name]

    def tracebacks(visit):
        raised = f"{visit.case.raises} {visit.token}"
        return [
            line.get("tracking_id")
            for line in visit.lines
            if line["log.logger"] == logger
            and line["message"].startswith(message)
            and raised in line.get("error.stack_trace", line["message"])
        ]

    found = {key: tracebacks(visit) for key, visit in each(visits)}
    assert found == {key: [visit.tracking_id] if visit.case.raises else [] for key, visit in each(visits)}


def test_access_line_of_a_request_has_the_id_and_its_fields(visits, server):
    def fields(line):
        names = ("tracking_id", "http.request.method", "url.path", "url.query", "http.response.status_code")
        return tuple(line.get(name) for name in names)

    def expected(visit):
        path, _, query = visit.case.path.format(case=visit.token).partition("?")
        # Hypercorn's has no status where the answer was broken off.
        status = visit.status if visit.case.is_complete or server.name != "hypercorn" else None
        return visit.tracking_id, visit.case.method, path, query or None, status

    found = {
        key: [fields(line) for line in visit.lines if line["log.logger"] == ACCESS[server.name]]
        for key, visit in each(visits, is_websocket=False)
    }
    assert found == {key: [expected(visit)] for key, visit in each(visits, is_websocket=False)}


@only("hypercorn", "granian")
def test_access_line_has_the_duration_where_the_server_has_it(visits, server):
    lines = [line for line in visits["threads", "nothing"].lines if line["log.logger"] == ACCESS[server.name]]

    assert [type(line["event.duration"]) for line in lines] == [int]
    assert 10_000 < lines[0]["event.duration"] < 10_000_000_000  # nanoseconds


def test_handshake_of_a_websocket_is_logged_once(visits, server):
    found = {
        key: len([line for line in visit.lines if line["log.logger"] == ACCESS[server.name] or '"WebSocket /' in line["message"]])
        for key, visit in each(visits, is_websocket=True)
    }

    assert found == dict.fromkeys(found, 1)


@pytest.mark.parametrize("comes_in", COMES_IN)
@pytest.mark.parametrize("name", ["cors", "cors-preflight"])
def test_cross_origin_answer_exposes_our_headers_and_keeps_those_of_the_application(visits, comes_in, name):
    exposed = visits[name, comes_in].header("access-control-expose-headers")

    assert len(exposed) == 1
    names = [one.strip() for one in exposed[0].split(",")]
    assert sorted(names) == [*(["X-Own"] if name == "cors" else []), "X-Request-ID", "X-Tracking-ID"]


def test_other_headers_of_the_application_stay(visits, server):
    assert visits["http-exception", "nothing"].header("x-own") == ["tea"]
    assert is_silent(visits["websocket", "nothing"], server) or visits["websocket", "nothing"].header("x-own") == ["1"]


def test_debug_page_is_still_the_debug_page(visits):
    assert b"boom async" in visits["debug-page", "nothing"].body


def test_body_of_an_unhandled_error_says_nothing_of_it(visits):
    bodies = {
        visits[name, "request-id"].body for name in ("boom-async", "boom-sync", "bare-boom", "starlette-boom", "base-boom-inside")
    }

    assert bodies == {b"Internal Server Error"}


@pytest.mark.parametrize("name", ["async", "sync", "dependencies"])
def test_endpoint_can_ask_for_the_id(visits, name):
    found = [json.loads(visits[name, comes_in].body)["tracking_id"] for comes_in in COMES_IN]

    assert found == [visits[name, comes_in].tracking_id for comes_in in COMES_IN]


def test_every_request_has_an_id_of_its_own(visits):
    assert len({visit.tracking_id for visit in visits.values()}) == len(CASES) * len(COMES_IN)


def test_no_line_outside_of_a_request_has_an_id(server, visits):
    of_requests = {line.get("tracking_id") for token in ("case-", "/ready/") for line in server.lines(token)}
    assert [line["message"] for line in server.lines() if line.get("tracking_id") not in of_requests | {None}] == []
    starting = [line for line in server.lines() if line["log.logger"] == "trackline" or "tarted" in line["message"]]
    assert starting
    assert not any("tracking_id" in line for line in starting)


@only("granian")
def test_granian_leaves_out_the_headers_of_an_acceptance(visits):
    """A limit of granian's: no header that comes with ``websocket.accept`` is sent, ours or the application's."""
    visit = visits["websocket", "request-id"]

    assert (visit.status, visit.header("x-own"), visit.header("x-request-id")) == (101, [], [])
    assert {line.get("tracking_id") for line in visit.lines if line["log.logger"] == "app"} == {visit.tracking_id}


@only("granian")
def test_granian_logs_a_websocket_before_its_id_is_known(visits):
    """A limit of granian's: it writes a WebSocket's access line before it calls the application, with a status of its own: 101."""
    lines = [line for line in visits["websocket-denied", "request-id"].lines if line["log.logger"] == "granian.access"]

    assert [("tracking_id" in line, line["http.response.status_code"]) for line in lines] == [(False, 101)]


@only("hypercorn")
def test_hypercorn_logs_a_client_who_is_gone_outside_of_the_request(visits):
    """A limit of hypercorn's: the access line of an answer that was broken off is written by the connection. It has no trace."""
    visit = visits["client-gone", "both"]
    lines = [line for line in visit.lines if line["log.logger"] == "hypercorn.access"]

    assert [(line["tracking_id"], line.get("trace.id")) for line in lines] == [(visit.tracking_id, None)]
