"""Under OpenTelemetry's SDK, however it is set up: one server span for a request, its trace in every line, the ID on it."""

from __future__ import annotations

import pytest

from servers.visits import COMES_IN, Case, Visit, collect, send
from trackline.identity import derive_trace_id

SETUPS = (
    "sdk native",
    "sdk contrib-before",
    "sdk contrib-after",
    "sdk starlette",
    "configured native",
    "configured contrib-before",
    "configured contrib-after",
    "configured starlette",
    "instrument native",
)


def echo(websocket):
    websocket.send("one")
    websocket.recv(timeout=5)


def cases_for(name: str) -> list[Case]:
    if name == "starlette":
        return [
            Case("async", "/starlette/{case}/async", says=("starlette endpoint",)),
            Case("stream", "/starlette/{case}/stream", says=("starlette stream",)),
            Case("not-found", "/starlette/{case}/nowhere", 404),
            Case("boom", "/starlette/{case}/boom-sync", 500, raises="boom starlette"),
            Case("websocket", "/starlette/{case}/ws/echo", 101, ("starlette websocket",), talk=echo, is_websocket=True),
        ]
    path = f"/{name}/{{case}}/"
    return [
        Case("async", path + "async", says=("async endpoint",)),
        Case("sync", path + "sync", says=("sync endpoint",)),
        Case("dependencies", path + "dependencies", says=("async dependency", "sync dependency", "endpoint with dependencies")),
        Case("stream", path + "stream", says=("stream begins", "stream ends")),
        Case("background", path + "background", says=("endpoint with tasks", "sync task", "async task")),
        Case("custom-handler", path + "custom", 409, ("exception handler",)),
        Case("not-found", path + "nowhere", 404),
        Case("invalid", path + "invalid?number=one", 422),
        Case("boom", path + "boom-async", 500, raises="boom async"),
        Case("boom-middleware", path + "boom-middleware", 500, raises="boom middleware"),
        Case("boom-background", path + "boom-background", 200, raises="boom background"),
        Case("boom-stream", path + "boom-stream", 200, raises="boom stream", is_complete=False),
        Case(
            "websocket",
            path + "ws/echo",
            101,
            ("websocket accepted", "websocket message", "websocket left"),
            talk=echo,
            is_websocket=True,
        ),
        Case("websocket-denied", path + "ws/deny", 401, ("websocket denied",), is_websocket=True),
        Case("websocket-boom", path + "ws/boom-before", 500, raises="boom before", is_websocket=True),
    ]


def is_of(span: dict, visit: Visit) -> bool:
    """Whether a server span is of a visit: who has made it says where the path is; FastAPI's own, of a WebSocket, does not have it."""
    attributes = span["attributes"]
    if visit.case.is_websocket and span["scope"] == "fastapi":
        return visit.tracking_id == attributes.get("tracking_id")
    return any(visit.token in value for value in attributes.values() if isinstance(value, str))


def has_server_span(visit: Visit, name: str) -> bool:
    """Whether there is a server span: Starlette's middleware is for HTTP only."""
    return not (name == "starlette" and visit.case.is_websocket)


@pytest.fixture(scope="module", params=SETUPS)
def setup(request) -> tuple[str, str]:
    telemetry, name = request.param.split()
    return telemetry, name


@pytest.fixture(scope="module")
def traced(setup, start_traced) -> dict[str, tuple[Visit, list[dict], list[dict]]]:
    """Give each visit with its server spans, and with all spans of its trace."""
    telemetry, name = setup
    server = start_traced(telemetry)
    visits = {f"{case.name} with {comes_in}": send(server, case, comes_in) for case in cases_for(name) for comes_in in COMES_IN}

    def servers_of(visit, spans):
        return [span for span in spans if span["kind"] == "SERVER" and is_of(span, visit)]

    def logged(visit):
        if visit.case.raises:
            return f"{visit.case.raises} {visit.token}"
        return f"/{visit.token}/{visit.case.path.split('/', 3)[3].partition('?')[0]}"

    collect(server, visits.values(), logged)

    def is_exported():
        spans = server.spans()
        return all(servers_of(visit, spans) for visit in visits.values() if has_server_span(visit, name))

    server.wait_for(is_exported)
    found = {}
    spans = server.spans()
    for key, visit in visits.items():
        servers = servers_of(visit, spans)
        traces = {span["trace_id"] for span in servers}
        if visit.sent.get("traceparent") is None and servers:  # else it is what came in
            visit.trace_id = servers[0]["trace_id"]
        found[key] = visit, servers, [span for span in spans if span["trace_id"] in traces]
    return found


def test_request_has_exactly_one_server_span(setup, traced):
    found = {key: len(servers) for key, (_, servers, _) in traced.items()}

    assert found == {key: int(has_server_span(visit, setup[1])) for key, (visit, _, _) in traced.items()}


def test_server_span_joins_the_callers_trace_or_begins_one(traced):
    found = {key: [(span["trace_id"], span["parent_id"]) for span in servers] for key, (_, servers, _) in traced.items()}

    def expected(visit):
        came = visit.sent.get("traceparent")
        return (came[3:35], came[36:52]) if came else (visit.trace_id, None)

    assert found == {key: [expected(visit)] if servers else [] for key, (visit, servers, _) in traced.items()}


def test_every_span_inside_has_a_parent_that_exists(setup, traced, start_traced):
    spans = start_traced(setup[0]).spans()
    known = {span["span_id"] for span in spans}

    assert [span["name"] for span in spans if span["kind"] != "SERVER" and span["parent_id"] not in known] == []
    assert any(span["kind"] != "SERVER" for span in spans)


def test_answer_has_the_header_also_where_nobody_handled_the_error(traced):
    found = {key: (visit.status, visit.header("x-request-id"), visit.header("x-tracking-id")) for key, (visit, _, _) in traced.items()}

    assert found == {key: (visit.case.status, [visit.tracking_id], [visit.tracking_id]) for key, (visit, _, _) in traced.items()}


def test_tracking_id_is_the_trace_id_where_nothing_came_in(traced):
    found = {key: (visit.tracking_id, {span["trace_id"] for span in servers}) for key, (visit, servers, _) in traced.items() if servers}

    assert {key: ids for key, ids in found.items() if key.endswith("with nothing") and ids[1] != {ids[0]}} == {}
    assert all("/" in tracking_id for key, (tracking_id, _) in found.items() if key.endswith(("with both", "with request-id")))


def test_trace_id_is_derived_from_the_request_id_where_the_propagator_is_ours(setup, traced):
    derived = {
        key: servers[0]["trace_id"] == derive_trace_id(visit.tracking_id)
        for key, (visit, servers, _) in traced.items()
        if key.endswith("with request-id") and servers
    }

    assert derived
    assert derived == dict.fromkeys(derived, setup[0] == "configured")


def test_server_span_says_the_tracking_id(traced):
    found = {key: [span["attributes"].get("tracking_id") for span in servers] for key, (_, servers, _) in traced.items()}

    assert found == {key: [visit.tracking_id] if servers else [] for key, (visit, servers, _) in traced.items()}


def test_every_line_has_the_tracking_id_and_the_trace_of_the_span(traced):
    found = {key: {(line.get("tracking_id"), line.get("trace.id")) for line in visit.lines} for key, (visit, _, _) in traced.items()}

    assert found == {key: {(visit.tracking_id, visit.trace_id)} for key, (visit, _, _) in traced.items()}


def test_every_line_is_there(traced):
    found = {
        key: sorted(line["message"] for line in visit.lines if line["log.logger"] == "app") for key, (visit, _, _) in traced.items()
    }

    assert found == {key: sorted([f"middleware {visit.token}", *visit.messages()]) for key, (visit, _, _) in traced.items()}


def test_span_id_of_a_line_is_that_of_a_span_which_exists(traced):
    unknown = {
        key: {line["span.id"] for line in visit.lines if "span.id" in line} - {span["span_id"] for span in trace}
        for key, (visit, _, trace) in traced.items()
    }

    assert unknown == {key: set() for key in traced}
    assert any("span.id" in line for visit, _, _ in traced.values() for line in visit.lines)


def test_span_says_which_request_id_came_in(traced):
    found = {
        key: [span["attributes"].get("http.request.header.x-request-id") for span in servers] for key, (_, servers, _) in traced.items()
    }

    assert found == {
        key: [[visit.sent["X-Request-ID"]] if "X-Request-ID" in visit.sent else None] if servers else []
        for key, (visit, servers, _) in traced.items()
    }


@pytest.mark.parametrize(
    ("case", "body"),
    [
        (Case("debug", "/debug/{case}/boom-async", 500, raises="boom async"), b"RuntimeError: boom async"),
        (Case("handled", "/handled/{case}/boom-async", 500, ("last exception handler",), raises="boom async"), b'{"handled":"any"}'),
    ],
    ids=["debug", "handled"],
)
def test_answer_to_an_error_is_the_applications_own_where_contrib_came_after_us(start_traced, case, body):
    server = start_traced("sdk")
    visit = send(server, case, "request-id")
    collect(server, [visit], lambda visit: f"{visit.case.raises} {visit.token}")

    assert visit.status == 500
    assert body in visit.body
    assert visit.header("x-request-id") == visit.header("x-tracking-id") == [visit.tracking_id]
    assert {line["tracking_id"] for line in visit.lines} == {visit.tracking_id}
