"""Every way for a request to end, on every server: the header on what comes back, the ID in every line that it left."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from servers.cases import CASES
from servers.visits import COMES_IN, each, only

TRACEBACKS = {
    "uvicorn-h11": ("uvicorn.error", "Exception in ASGI application"),
    "uvicorn-httptools": ("uvicorn.error", "Exception in ASGI application"),
    "gunicorn": ("uvicorn.error", "Exception in ASGI application"),
    "hypercorn": ("hypercorn.error", "Error in ASGI Framework"),
    "granian": ("_granian.utils", "Application callable raised an exception"),
}


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


def test_every_line_has_the_tracking_id_and_the_trace(visits):
    found = {
        key: {
            (line.get("tracking_id"), line.get("trace.id"), None if line.get("tracking_id") == visit.tracking_id else line["message"])
            for line in visit.lines
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
