"""The access log on every server: one line for each request, ours, however it ends; and the servers' own where we are not asked."""

from __future__ import annotations

import socket

from servers.visits import Case, each, send

SERVER_LOGGERS = {"uvicorn.access", "hypercorn.access", "granian.access", "gunicorn.access"}
BY_SERVER = {"hypercorn": "hypercorn.access", "granian": "granian.access"}


def of_access(visit) -> list[dict]:
    return [line for line in visit.lines if line["log.logger"] == "trackline.access"]


def of_server(visit) -> list[dict]:
    return [line for line in visit.lines if line["log.logger"] in SERVER_LOGGERS or '"WebSocket /' in line["message"]]


def test_every_request_has_one_access_line_and_it_is_ours(visits):
    found = {key: (len(of_access(visit)), [line["message"] for line in of_server(visit)]) for key, visit in each(visits)}

    assert found == {key: (1, []) for key in found}


def test_access_line_says_what_was_asked_and_answered(visits):
    def fields(line):
        names = ("tracking_id", "http.request.method", "url.path", "url.query", "http.response.status_code", "client.address")
        return tuple(line.get(name) for name in names)

    def expected(visit):
        path, _, query = visit.case.path.format(case=visit.token).partition("?")
        return visit.tracking_id, visit.case.method, path, query or None, visit.status, "127.0.0.1"

    found = {key: fields(of_access(visit)[0]) for key, visit in each(visits)}
    assert found == {key: expected(visit) for key, visit in each(visits)}


def test_access_line_has_a_duration_and_who_asked(visits):
    for key, visit in each(visits):
        line = of_access(visit)[0]
        assert 1_000 < line["event.duration"] < 20_000_000_000, key  # nanoseconds
        assert line["user_agent.original"].startswith("Python/" if visit.case.is_websocket else "python-httpx"), key
        assert (line["event.category"], line["event.type"], line["url.domain"]) == (["web"], ["access"], "127.0.0.1"), key


def test_access_line_has_the_bytes_of_the_body_that_was_sent(visits):
    found = {key: of_access(visit)[0]["http.response.body.bytes"] for key, visit in each(visits, is_websocket=False, is_complete=True)}

    assert found == {key: len(visit.body) for key, visit in each(visits, is_websocket=False, is_complete=True)}


ROUTES = {
    "async": "/main/{case}/async",
    "method-not-allowed": "/main/{case}/async",
    "not-found": None,
    "boom-middleware": None,
    "cors-preflight": None,
    "boom-sync": "/main/{case}/boom-sync",
    "mounted": "/main/mounted/{case}/async",
    "mounted-installed": "/main/installed/{case}/async",
    "base": "/base/{case}/sync",
    "starlette": "/starlette/{case}/async",
    "bare": None,
    "websocket": "/main/{case}/ws/echo",
}


def test_access_line_has_the_template_of_the_route(visits):
    found = {name: of_access(visits[name, "nothing"])[0].get("labels", {}).get("http_route") for name in ROUTES}

    assert found == ROUTES


def test_access_line_of_an_unhandled_error_has_its_type_and_the_servers_line_the_traceback(visits):
    found = {}
    for key, visit in each(visits):
        line = of_access(visit)[0]
        found[key] = line["event.outcome"], line.get("error.type"), "error.stack_trace" in line

    # What comes after the answer is no part of it.
    after = {"boom-yield", "boom-background"}

    def expected(visit):
        if visit.case.name == "client-gone" or of_access(visit)[0].get("labels", {}).get("websocket_close_code") == 1006:
            return "unknown", None, False
        if visit.case.raises and visit.case.name not in after:
            return "failure", "RuntimeError", False
        return "success", None, False

    handled = {"http-exception", "invalid", "custom-handler", "not-found", "method-not-allowed"}
    assert {key: value for key, value in found.items() if key.split()[0] not in handled} == {
        key: expected(visit) for key, visit in each(visits) if visit.case.name not in handled
    }
    assert {value for key, value in found.items() if key.split()[0] in handled} == {("success", None, False)}


def test_access_line_of_a_client_who_is_gone_says_so(visits):
    line = of_access(visits["client-gone", "both"])[0]

    assert (line["http.response.status_code"], line["event.reason"]) == (200, "client disconnected")
    assert line["http.response.body.bytes"] >= 1000


def test_access_line_of_a_websocket_is_of_all_of_it(visits):
    line = of_access(visits["websocket", "both"])[0]
    labels = line["labels"]

    assert (line["http.response.status_code"], labels["websocket_close_code"]) == (101, 1000)
    assert (labels["websocket_messages_received"], labels["websocket_messages_sent"]) == (2, 1)
    assert (line["client.bytes"], line["server.bytes"]) == (len("one") + len("close"), len("one"))


def test_access_line_of_a_websocket_that_broke_off_says_so(visits):
    line = of_access(visits["websocket-client-gone", "both"])[0]

    assert line["labels"]["websocket_close_code"] in (1005, 1006)
    assert line["labels"]["websocket_messages_sent"] == 1


def ask(server, path: str, status: int = 200, **more):
    visit = send(server, Case("", path, status, **more), "request-id")
    assert visit.status == status
    return visit


def wait_for(server, visit, is_there, seconds: float = 5):
    def found():
        visit.lines = server.lines(visit.token)
        return is_there(visit)

    return server.wait_for(found, seconds)


def test_left_out_paths_have_no_line_of_anybodys_unless_they_fail(server):
    healthy, broken = ask(server, "/main/{case}/health"), ask(server, "/main/{case}/health/broken", 500)
    last = ask(server, "/main/{case}/async")

    assert wait_for(server, last, of_access)
    assert wait_for(server, broken, of_access)[0]["error.type"] == "RuntimeError"
    healthy.lines = server.lines(healthy.token)
    assert [line["log.logger"] for line in healthy.lines] == ["app", "app"]
    assert of_server(broken) == []


def test_line_of_the_server_stays_for_an_application_without_our_middleware(server):
    visit = ask(server, "/untracked/{case}/async")

    lines = wait_for(server, visit, of_server)
    assert [(line["log.logger"], line["url.path"], line["http.response.status_code"]) for line in lines] == [
        (BY_SERVER.get(server.name, "uvicorn.access"), f"/untracked/{visit.token}/async", 200)
    ]
    assert of_access(visit) == []


def test_line_of_the_server_goes_also_where_somebody_has_copied_the_scope(server):
    visit = ask(server, "/copied/{case}/async")

    assert wait_for(server, visit, of_access)
    assert of_server(visit) == []


def test_request_that_was_not_completed_by_its_client_is_answered_to_nobody(server):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        path = "/main/case-upload-broken/upload"
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome".encode())
        assert server.wait_for(lambda: server.lines("upload begins case-upload-broken"))

    def lines():
        return [line for line in server.lines("case-upload-broken") if line["log.logger"] == "trackline.access"]

    line = server.wait_for(lines)[0]
    assert (line["http.response.status_code"], line["event.outcome"], line["event.reason"]) == (499, "unknown", "client disconnected")
