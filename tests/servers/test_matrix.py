"""Each set-up of OpenTelemetry on each server: one server span, the header, and the IDs in the lines, however a request ends."""

from __future__ import annotations

import pytest

from servers.test_telemetry import echo, is_of
from servers.visits import Case, collect, send

SERVERS = ("uvicorn-httptools", "uvicorn-workers", "gunicorn-preload", "hypercorn", "granian")
SETUPS = {
    "no SDK": ("none", "main"),
    "native": ("sdk", "native"),
    "contrib before": ("sdk", "contrib-before"),
    "contrib after": ("sdk", "contrib-after"),
    "opentelemetry-instrument": ("instrument", "native"),
    "Starlette's middleware": ("sdk", "starlette"),
}


def cases_for(name: str) -> list[Case]:
    path = f"/{name}/{{case}}/"
    if name == "starlette":
        return [
            Case("200", path + "async", says=("starlette endpoint",)),
            Case("500", path + "boom-sync", 500, raises="boom starlette"),
            Case("stream", path + "stream", says=("starlette stream",)),
            Case("WebSocket", path + "ws/echo", 101, ("starlette websocket",), talk=echo, is_websocket=True),
        ]
    return [
        Case("200", path + "async", says=("async endpoint",)),
        Case("500", path + "boom-async", 500, raises="boom async"),
        Case("stream", path + "stream", says=("stream begins", "stream ends")),
        Case("WebSocket", path + "ws/echo", 101, ("websocket accepted", "websocket message"), talk=echo, is_websocket=True),
        Case("background", path + "background", says=("endpoint with tasks", "sync task", "async task")),
    ]


@pytest.fixture(scope="module", params=SERVERS)
def server_name(request) -> str:
    return request.param


@pytest.mark.parametrize("comes_in", ["nothing", "request-id", "traceparent"])
@pytest.mark.parametrize("setup", SETUPS)
def test_one_span_the_header_and_the_ids(server_name, setup, comes_in, start_traced):
    telemetry, name = SETUPS[setup]
    server = start_traced(telemetry, server_name)
    visits = [send(server, case, comes_in) for case in cases_for(name)]
    collect(server, visits, lambda visit: f"{visit.case.raises} {visit.token}" if visit.case.raises else None)

    def servers_of(visit):
        return [span for span in server.spans() if span["kind"] == "SERVER" and is_of(span, visit)]

    for visit in visits:
        # Starlette's middleware makes no span for a WebSocket, and there is none without an SDK.
        has_span = telemetry != "none" and not (name == "starlette" and visit.case.is_websocket)
        spans = server.wait_for(lambda visit=visit: servers_of(visit)) if has_span else servers_of(visit)
        assert len(spans) == int(has_span), visit.case.name
        trace_id = spans[0]["trace_id"] if spans else visit.trace_id
        if comes_in == "nothing" and spans:
            assert visit.tracking_id == trace_id, visit.case.name
        if comes_in == "traceparent":
            assert trace_id == visit.trace_id, visit.case.name
        assert visit.status == visit.case.status
        # granian sends none of the headers that an application gives with its acceptance of a WebSocket.
        expected = [] if server_name == "granian" and visit.case.is_websocket else [visit.tracking_id]
        assert visit.header("x-request-id") == visit.header("x-tracking-id") == expected, visit.case.name
        lines = [line for line in visit.lines if line["log.logger"] == "app" or "error.type" in line]
        assert len(lines) > len(visit.case.says)
        assert {line["tracking_id"] for line in lines} == {visit.tracking_id}, visit.case.name
        assert {line["trace.id"] for line in lines} == {trace_id}, visit.case.name
