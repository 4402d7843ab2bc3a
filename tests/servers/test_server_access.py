"""The servers' own access lines: as they were where the access log is off, and where an application is not ours to watch."""

from __future__ import annotations

import pytest

from servers.serving import SERVERS, Server
from servers.test_access import ask, of_access, of_server, wait_for
from servers.visits import Case, send

LOGGERS = {"hypercorn": "hypercorn.access", "granian": "granian.access"}


@pytest.fixture(scope="module", params=["uvicorn-httptools", "hypercorn", "granian"])
def unwatched(request, tmp_path_factory):
    """Give a server whose access log of ours is off."""
    with Server(SERVERS[request.param], tmp_path_factory.mktemp(request.param), TEST_ACCESS_LOG="off") as one:
        one.name = request.param
        yield one.wait_until_ready()


def test_server_writes_its_own_line_under_the_id_where_ours_is_off(unwatched):
    visit = ask(unwatched, "/main/{case}/async")

    lines = wait_for(unwatched, visit, of_server)
    expected = (LOGGERS.get(unwatched.name, "uvicorn.access"), f"/main/{visit.token}/async", 200, visit.tracking_id)
    found = [(line["log.logger"], line["url.path"], line["http.response.status_code"], line["tracking_id"]) for line in lines]
    assert found == [expected]
    assert of_access(visit) == []


def only(*names):
    return pytest.mark.parametrize("unwatched", names, indirect=True)


@only("granian")
def test_granian_logs_a_websocket_before_its_id_is_known(unwatched):
    """A limit of granian's: it writes a WebSocket's access line before it calls the application, with a status of its own: 101."""
    visit = send(unwatched, Case("", "/main/{case}/ws/deny", 401, is_websocket=True), "request-id")

    lines = wait_for(unwatched, visit, of_server)
    assert [("tracking_id" in line, line["http.response.status_code"]) for line in lines] == [(False, 101)]


@only("hypercorn")
def test_hypercorn_logs_a_client_who_is_gone_outside_of_the_request(unwatched):
    """A limit of hypercorn's: the access line of an answer that was broken off is written by the connection. It has no trace."""
    visit = send(unwatched, Case("", "/main/{case}/endless", is_complete=False), "both")

    lines = wait_for(unwatched, visit, of_server)
    assert [(line["tracking_id"], line.get("trace.id")) for line in lines] == [(visit.tracking_id, None)]


@pytest.mark.parametrize("server", ["granian", "uvicorn-httptools"], indirect=True)
def test_line_of_a_websocket_stays_for_an_application_without_our_middleware(server):
    ours = send(server, Case("", "/main/{case}/ws/refuse", 403, is_websocket=True), "nothing")
    theirs = send(server, Case("", "/untracked/{case}/ws/refuse", 403, is_websocket=True), "nothing")

    assert len(wait_for(server, theirs, of_server)) == 1
    assert len(wait_for(server, ours, of_access)) == 1
    assert (of_access(theirs), of_server(ours)) == ([], [])


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory):
    """Give gunicorn with its own ASGI worker, which writes to an access log of its own."""
    command = [
        "gunicorn",
        "servers.apps:app",
        "-k",
        "asgi",
        "--access-logfile",
        "-",
        "--no-control-socket",
        "--bind",
        "127.0.0.1:{port}",
    ]
    with Server(command, tmp_path_factory.mktemp("gunicorn-asgi"), TEST_ALL_APPS="1") as one:
        yield one.wait_until_ready()


def test_access_line_of_gunicorns_own_worker_is_ours_where_we_watch(gunicorn):
    ours, theirs = ask(gunicorn, "/main/{case}/async"), ask(gunicorn, "/untracked/{case}/async")

    assert len(wait_for(gunicorn, theirs, of_server)) == 1
    assert len(wait_for(gunicorn, ours, of_access)) == 1
    assert (of_server(ours), of_access(theirs)) == ([], [])
