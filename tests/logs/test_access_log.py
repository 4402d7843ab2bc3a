"""The access log: what its lines say, whatever an application, a client or a server does; and that it comes and goes with set-up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import weakref

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Mount, Route

import trackline
from logs.reading import read
from logs.test_ecs import holds
from trackline import TrackingMiddleware, exchange, setup_logging
from trackline.environment import LOGGING, from_env
from trackline.logs.route import route_of

CLIENT = [(b"host", b"shop.example:8443"), (b"user-agent", b"curl/8"), (b"content-length", b"12")]


def scope_of(path="/", **more):
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "headers": list(CLIENT),
        "client": ("10.0.0.7", 5000),
        **more,
    }


async def call(app, scope, receive=(), fails=False):
    """Send a request; `receive` are the messages that come. Gives what the application sent."""
    coming, sent = list(receive), []

    async def take():
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        await asyncio.sleep(0)  # as a server does while it writes: others run meanwhile
        if fails and message["type"] == "http.response.body":
            raise OSError("the client is gone")

    with contextlib.suppress(RuntimeError, OSError):
        await app(scope, take, send)
    return sent


class Access:
    """The lines of requests, of an application with the middleware."""

    def __init__(self, directory, **options):
        self.path, self.seen = directory / "orders.log", 0
        self.handle = setup_logging("orders", log_dir=directory, console=False, **options)

    def lines(self):
        self.handle.flush()
        return [line for line in read(self.path) if line.get("log.logger") == "trackline.access"] if self.path.exists() else []

    def after(self, app, scope, **how):
        asyncio.run(call(app, scope, **how))
        return self.lines()


@pytest.fixture
def access(tmp_path):
    return Access(tmp_path)


def tracked(handler):
    return TrackingMiddleware(handler)


def answering(status=200, *bodies, headers=()):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, body in enumerate(bodies or (b"",), 1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    return tracked(app)


def test_line_says_who_asked_for_what_and_what_came_of_it(access):
    (line,) = access.after(answering(200, b"one", b"two"), scope_of("/orders/42", method="POST", query_string=b"a=%20b"))

    expected = {
        "log.level": "info",
        "event.category": ["web"],
        "event.type": ["access"],
        "event.outcome": "success",
        "http.request.method": "POST",
        "http.request.body.bytes": 12,
        "http.response.status_code": 200,
        "http.response.body.bytes": 6,
        "http.version": "1.1",
        "url.path": "/orders/42",
        "url.query": "a=%20b",
        "url.domain": "shop.example",
        "client.address": "10.0.0.7",
        "client.ip": "10.0.0.7",
        "client.port": 5000,
        "user_agent.original": "curl/8",
    }
    assert {field: line.get(field) for field in expected} == expected
    assert re.fullmatch(r"POST /orders/42 200 in \d+\.\d ms", line["message"])
    assert line["tracking_id"] == line["trace.id"]
    assert "labels" not in line


def test_line_has_otels_names_in_the_schema_otel(tmp_path):
    access = Access(tmp_path, schema="otel")
    asyncio.run(call(answering(503), scope_of("/orders/42", query_string=b"a=1")))
    access.handle.flush()
    (line,) = [one for one in read(access.path) if one["instrumentation_scope"]["name"] == "trackline.access"]
    attributes = line["attributes"]

    assert 0 < attributes.pop("http.server.request.duration") < 10  # seconds
    assert {key: value for key, value in attributes.items() if not key.startswith(("code.", "thread.", "log."))} == {
        "http.request.method": "GET",
        "http.request.body.size": 12,
        "http.response.status_code": 503,
        "http.response.body.size": 0,
        "network.protocol.version": "1.1",
        "url.path": "/orders/42",
        "url.query": "a=1",
        "server.address": "shop.example",
        "client.address": "10.0.0.7",
        "client.port": 5000,
        "user_agent.original": "curl/8",
        "error.type": "503",
    }


def test_line_is_written_before_background_tasks_and_its_duration_is_without_them(access):
    seen = []

    async def endpoint(request):
        tasks = BackgroundTasks()
        tasks.add_task(lambda: seen.append(access.lines()))
        return PlainTextResponse("hello", background=tasks)

    app = Starlette(routes=[Route("/", endpoint)])
    trackline.install(app)

    assert access.after(app, scope_of()) == seen[0]
    assert len(seen[0]) == 1


def test_error_in_a_background_task_leaves_the_line_as_it_is(access):
    async def app(scope, receive, send):
        await answering(200)(scope, receive, send)
        raise RuntimeError

    assert [line["event.outcome"] for line in access.after(tracked(app), scope_of())] == ["success"]


def test_error_that_nobody_handles_is_a_500_with_its_type(access):
    async def app(scope, receive, send):
        raise RuntimeError

    (line,) = access.after(tracked(app), scope_of())

    assert (line["http.response.status_code"], line["error.type"], line["event.outcome"]) == (500, "RuntimeError", "failure")
    assert re.fullmatch(r"GET / 500 in \d+\.\d ms, RuntimeError", line["message"])
    assert "error.stack_trace" not in line


def test_error_that_is_handled_with_a_500_or_above_has_its_type_too(access):
    app = FastAPI()

    @app.get("/")
    async def unavailable():
        raise HTTPException(503)

    trackline.install(app)

    (line,) = access.after(app, scope_of())
    assert (line["http.response.status_code"], line["error.type"]) == (503, "starlette.exceptions.HTTPException")


def test_error_below_500_is_no_failure(access):
    (line,) = access.after(answering(404), scope_of())

    assert (line["event.outcome"], "error.type" in line) == ("success", False)


def test_answer_that_breaks_off_has_the_status_that_was_sent_and_the_error(access):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise RuntimeError

    (line,) = access.after(tracked(app), scope_of())
    assert (line["http.response.status_code"], line["http.response.body.bytes"]) == (200, 3)
    assert (line["event.outcome"], line["error.type"]) == ("failure", "RuntimeError")


def test_application_that_leaves_its_answer_open_has_failed(access):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    (line,) = access.after(tracked(app), scope_of())
    assert (line["http.response.status_code"], line["event.outcome"], line["event.reason"]) == (200, "failure", "answer not complete")


def test_application_that_does_not_answer_is_a_500(access):
    async def app(scope, receive, send):
        pass

    (line,) = access.after(tracked(app), scope_of())
    assert (line["http.response.status_code"], line["event.outcome"], line["event.reason"]) == (500, "failure", "no answer")


async def uploading(scope, receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass


def test_client_who_is_gone_before_the_answer_is_a_499(access):
    (line,) = access.after(tracked(uploading), scope_of(), receive=[{"type": "http.request", "body": b"some", "more_body": True}])

    assert (line["http.response.status_code"], line["event.outcome"], line["event.reason"]) == (499, "unknown", "client disconnected")
    assert re.fullmatch(r"GET / 499 in \d+\.\d ms, client disconnected", line["message"])


def test_answer_to_a_client_who_is_gone_is_a_499_whatever_it_is(access):
    async def app(scope, receive, send):
        await uploading(scope, receive, send)
        await answering(500)(scope, receive, send)

    assert [line["http.response.status_code"] for line in access.after(tracked(app), scope_of())] == [499]


def test_client_who_is_gone_in_the_middle_leaves_the_status_that_was_sent(access):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await receive()

    (line,) = access.after(tracked(app), scope_of())
    assert (line["http.response.status_code"], line["event.outcome"], line["event.reason"]) == (200, "unknown", "client disconnected")


def test_send_that_fails_is_no_complete_answer(access):
    (line,) = access.after(answering(200, b"one"), scope_of(), fails=True)

    assert (line["event.outcome"], line["error.type"]) == ("failure", "OSError")


def test_disconnect_after_the_answer_is_none(access):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        listening = asyncio.create_task(receive())
        await send({"type": "http.response.body", "body": b""})
        await listening

    assert [line["event.outcome"] for line in access.after(tracked(app), scope_of())] == ["success"]


def test_request_that_is_cancelled_says_so(access):
    async def app(scope, receive, send):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(call(tracked(app), scope_of()))

    (line,) = access.lines()
    assert ("http.response.status_code" in line, line["event.outcome"], line["event.reason"]) == (False, "unknown", "cancelled")


def test_body_of_an_answer_to_head_counts_for_nothing(access):
    assert [line["http.response.body.bytes"] for line in access.after(answering(200, b"one"), scope_of(method="HEAD"))] == [0]


def test_file_that_goes_to_the_server_by_its_path_counts(access, tmp_path):
    (tmp_path / "file.txt").write_bytes(b"." * 12345)
    app = tracked(FileResponse(tmp_path / "file.txt"))

    (line,) = access.after(app, scope_of(extensions={"http.response.pathsend": {}}))
    assert (line["http.response.body.bytes"], line["event.outcome"]) == (12345, "success")


def websocket(*sends, then=None):
    async def app(scope, receive, send):
        await receive()
        for message in sends:
            await send({"type": f"websocket.{message.pop('kind')}", **message})
        while then is None and (await receive())["type"] != "websocket.disconnect":
            pass
        if isinstance(then, Exception):
            raise then

    return tracked(app)


CONNECT = {"type": "websocket.connect"}


def test_websocket_has_one_line_with_what_was_said(access):
    app = websocket({"kind": "accept"}, {"kind": "send", "text": "grüße"}, {"kind": "send", "bytes": b"123"})
    coming = [CONNECT, {"type": "websocket.receive", "text": "hello"}, {"type": "websocket.disconnect", "code": 1001}]
    (line,) = access.after(app, scope_of("/chat", type="websocket", method="GET"), receive=coming)

    assert (line["http.response.status_code"], line["event.outcome"]) == (101, "success")
    assert (line["client.bytes"], line["server.bytes"]) == (5, 7 + 3)
    assert line["labels"] == {"websocket_messages_received": 1, "websocket_messages_sent": 2, "websocket_close_code": 1001}
    assert re.fullmatch(r"WebSocket /chat 101 in \d+\.\d ms, closed with 1001", line["message"])


@pytest.mark.parametrize(
    ("app", "status", "outcome"),
    [
        (websocket(then=True), 500, "failure"),
        (websocket({"kind": "close"}, then=True), 403, "success"),
        (websocket({"kind": "http.response.start", "status": 401}, {"kind": "http.response.body"}, then=True), 401, "success"),
        (websocket(then=RuntimeError()), 500, "failure"),
        (websocket({"kind": "accept"}, then=RuntimeError()), 101, "failure"),
        (websocket({"kind": "accept"}, {"kind": "close", "code": 1011}, then=True), 101, "failure"),
        (websocket({"kind": "accept"}, then=True), 101, "success"),
    ],
    ids=["not answered", "refused", "denied", "error before", "error after", "closed for an error", "left open"],
)
def test_websocket_ends_as_it_ends(access, app, status, outcome):
    (line,) = access.after(app, scope_of("/chat", type="websocket"), receive=[CONNECT])

    assert (line["http.response.status_code"], line["event.outcome"]) == (status, outcome)


def test_websocket_whose_client_vanishes_says_so(access):
    coming = [CONNECT, {"type": "websocket.disconnect", "code": 1006}]
    (line,) = access.after(websocket({"kind": "accept"}), scope_of("/chat", type="websocket"), receive=coming)

    assert (line["event.outcome"], line["event.reason"]) == ("unknown", "client disconnected")


def test_close_code_of_a_websocket_is_that_of_whoever_closed_first(access):
    app = websocket({"kind": "accept"}, {"kind": "close", "code": 3000})
    (line,) = access.after(app, scope_of("/chat", type="websocket"), receive=[CONNECT, {"type": "websocket.disconnect", "code": 1006}])

    assert (line["labels"]["websocket_close_code"], line["event.outcome"]) == (3000, "success")


def test_websocket_that_is_not_answered_says_so(access):
    (line,) = access.after(websocket(then=True), scope_of("/chat", type="websocket"), receive=[CONNECT])

    assert line["event.reason"] == "no answer"


def shop():
    async def endpoint(request):
        return PlainTextResponse("hello")

    inner = Starlette(routes=[Route("/items/{item}", endpoint)])
    routes = [Route("/orders/{number:int}", endpoint), Mount("/tenants/{tenant}", app=inner), Mount("/static", app=inner)]
    app = Starlette(routes=routes)
    trackline.install(app)
    return app


def routers():
    from fastapi import APIRouter

    app, outer, inner = FastAPI(), APIRouter(prefix="/outer/{one}"), APIRouter(prefix="/inner")

    @inner.get("/{two}")
    async def endpoint(one: str, two: str):
        return None

    outer.include_router(inner)
    app.include_router(outer, prefix="/v1")
    trackline.install(app)
    return app


@pytest.mark.parametrize(
    ("make", "path", "root", "route"),
    [
        (shop, "/orders/42", "", "/orders/{number}"),
        (shop, "/nowhere", "", None),
        (shop, "/tenants/7/items/7", "", "/tenants/{tenant}/items/{item}"),
        (shop, "/tenants/7/nowhere", "", "/tenants/{tenant}"),
        (shop, "/static/items/1", "", "/static/items/{item}"),
        (shop, "/api/orders/42", "/api", "/api/orders/{number}"),
        (shop, "/api/nowhere", "/api", None),
        (routers, "/v1/outer/1/inner/2", "", "/v1/outer/{one}/inner/{two}"),
    ],
)
def test_route_is_the_template_with_the_paths_of_its_mounts(access, make, path, root, route):
    (line,) = access.after(make(), scope_of(path, root_path=root))

    assert line.get("labels", {}).get("http_route") == route


def test_route_of_a_scope_that_no_router_has_seen_is_none():
    assert route_of(scope_of()) is None


@pytest.mark.parametrize(
    "exclude", [["/health*", "/ready"], lambda scope: scope["path"] in ("/healthz", "/ready")], ids=["paths", "callable"]
)
def test_what_is_left_out_has_a_line_only_if_it_fails(tmp_path, exclude):
    access = Access(tmp_path, access_exclude=exclude)
    for path in ("/healthz", "/ready", "/readiness"):
        asyncio.run(call(answering(200), scope_of(path)))
        asyncio.run(call(answering(404), scope_of(path)))
    asyncio.run(call(answering(503), scope_of("/healthz")))

    found = [(line["url.path"], line["http.response.status_code"]) for line in access.lines()]
    assert found == [("/readiness", 200), ("/readiness", 404), ("/healthz", 503)]


def test_exclude_that_raises_leaves_nothing_out_and_is_said(tmp_path):
    access = Access(tmp_path, access_exclude=lambda scope: scope["nothing"])

    assert len(access.after(answering(200), scope_of())) == 1
    assert any("raised for a request" in line["message"] for line in read(access.path))


@pytest.mark.parametrize("value", ["/healthz", b"/healthz", [b"/healthz"], [""], None, 1])
def test_exclude_of_another_kind_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"access_exclude=.*: expected paths such as"):
        setup_logging("orders", log_dir=tmp_path, console=False, access_exclude=value)


def test_environment_sets_the_same():
    environ = {"TRACKLINE_ACCESS_LOG": "off", "TRACKLINE_ACCESS_EXCLUDE": "/healthz, /internal/*"}

    assert from_env(LOGGING, environ) == {"access_log": False, "access_exclude": ["/healthz", "/internal/*"]}


def test_there_are_no_lines_where_it_is_off_and_nobody_watches(tmp_path):
    access = Access(tmp_path, access_log=False)

    assert access.after(answering(200), scope := scope_of()) == []
    assert (exchange.listener, exchange.is_watched(scope)) == (None, False)


def test_there_are_no_lines_above_info(tmp_path):
    assert Access(tmp_path, level="WARNING").after(answering(200), scope_of()) == []


def test_log_that_is_closed_listens_no_more(access):
    access.handle.close()

    assert exchange.listener is None


def test_log_that_is_set_up_anew_listens_in_place_of_the_other(tmp_path):
    first = Access(tmp_path / "one")
    second = Access(tmp_path / "two")
    first.handle.close()

    assert len(second.after(answering(200), scope_of())) == 1


def test_only_who_listens_can_stop_listening():
    first, second = [].append, [].append
    exchange.listen(second)
    exchange.stop_listening(first)
    assert exchange.listener is second

    exchange.stop_listening(second)
    assert exchange.listener is None


def test_request_is_watched_once_however_often_it_is_tracked(access):
    inner = answering(200)

    assert len(access.after(TrackingMiddleware(inner), scope_of())) == 1


def test_request_that_the_middleware_leaves_alone_has_no_line(access):
    assert access.after(TrackingMiddleware(answering(200).app, exclude=lambda scope: True), scope_of()) == []


def starlettes(app, **options):
    app.user_middleware.append(Middleware(OpenTelemetryMiddleware, tracer_provider=TracerProvider()))
    trackline.install(app, **options)


def test_request_that_is_left_alone_inside_of_starlettes_middleware_has_no_line(access):
    app = Starlette()
    starlettes(app, exclude=lambda scope: scope["path"] == "/alone")

    asyncio.run(call(app, scope_of("/alone")))
    assert [line["url.path"] for line in access.after(app, scope_of("/other"))] == ["/other"]


def contrib_after(app):
    trackline.install(app)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider())


def contrib_before(app):
    FastAPIInstrumentor.instrument_app(app, tracer_provider=TracerProvider())
    trackline.install(app)


@pytest.fixture
def contrib_is_undone():
    yield
    from fastapi.background import BackgroundTasks as Tasks  # noqa: F401
    from starlette.background import BackgroundTask

    if hasattr(BackgroundTask, "_otel_original_call"):
        BackgroundTask.__call__ = BackgroundTask._otel_original_call
        del BackgroundTask._otel_original_call


@pytest.mark.usefixtures("contrib_is_undone")
@pytest.mark.parametrize("instrument", [starlettes, contrib_before, contrib_after, trackline.install])
@pytest.mark.parametrize("handler", ["none", "one", "broken"])
def test_unhandled_error_has_one_line_wherever_the_middleware_is(access, instrument, handler):
    app = FastAPI()

    @app.get("/")
    async def boom():
        raise RuntimeError

    if handler == "one":
        app.add_exception_handler(Exception, lambda request, error: PlainTextResponse("later", 503))
    elif handler == "broken":
        app.add_exception_handler(Exception, lambda request, error: 1 / 0)
    instrument(app)
    with contextlib.suppress(ZeroDivisionError):
        access.after(app, scope_of())

    (line,) = access.lines()
    errors = ("RuntimeError",) if handler != "broken" else ("RuntimeError", "ZeroDivisionError")
    assert line["http.response.status_code"] == (503 if handler == "one" else 500)
    assert line["error.type"] in errors
    assert line["event.outcome"] == "failure"


@pytest.mark.usefixtures("contrib_is_undone")
@pytest.mark.parametrize("instrument", [starlettes, contrib_before, contrib_after])
def test_line_has_the_server_span(access, instrument):
    app = FastAPI()

    @app.get("/")
    async def hello():
        return None

    instrument(app)
    (line,) = access.after(app, scope_of())

    assert len(line["span.id"]) == 16
    assert line["trace.id"] == line["tracking_id"]


def test_line_that_cannot_be_made_fails_no_request_and_is_said(access, monkeypatch):
    monkeypatch.setattr("trackline.logs.access_log._say", lambda *_: 1 / 0)
    sent = asyncio.run(call(answering(200, b"hello"), scope_of()))

    assert sent[-1]["body"] == b"hello"
    assert access.lines() == []
    assert any("a request is not in the access log" in line["message"] for line in read(access.path))


texts = st.text(st.characters(codec=None), max_size=20)
anything = st.one_of(texts, st.binary(max_size=20), st.none(), st.integers(), st.lists(st.integers(), max_size=3))
names = st.sampled_from([b"host", b"user-agent", b"content-length", b"x"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=anything,
    method=anything,
    query=st.one_of(st.binary(max_size=20), anything),
    version=anything,
    client=st.one_of(st.none(), st.tuples(anything, anything), anything),
    headers=st.lists(st.tuples(names, st.binary(max_size=20)), max_size=4),
    root=anything,
    route=anything,
    status=st.one_of(st.integers(100, 599), anything),
    kind=st.sampled_from(["http", "websocket"]),
)
def test_whatever_is_in_a_scope_the_request_goes_through_and_has_its_line(
    access, path, method, query, version, client, headers, root, route, status, kind
):
    scope = scope_of(type=kind, path=path, method=method, query_string=query, http_version=version, client=client, headers=headers)
    scope |= {"root_path": root, "route": route, "path_params": route, "fastapi": route, "endpoint": None}
    sent = asyncio.run(call(answering(status, b"hello"), scope))

    assert sent[-1]["body"] == b"hello"
    lines = access.lines()
    assert len(lines) == access.seen + 1
    assert "\n" not in lines[-1]["message"]
    assert holds(access.path.read_bytes().splitlines(keepends=True)[-1]) == lines[-1]
    access.seen = len(lines)


@pytest.mark.parametrize("path", ["/a b", "/a\nGET /admin 200 in 0.1 ms", "/\ud800", "/\x1b[2J", "/" + "a" * 1000])
def test_message_cannot_be_forged_by_a_path(access, path):
    (line,) = access.after(answering(200), scope_of(path))

    assert re.fullmatch(r"GET /[!-~]{1,900} 200 in \d+\.\d ms", line["message"])
    if "\ud800" not in path:
        assert line["url.path"] == path


def test_context_of_a_task_that_goes_on_keeps_nothing_of_the_request(access):
    seen = []

    async def app(scope, receive, send):
        seen.append((weakref.ref(exchange.current()), asyncio.create_task(asyncio.Event().wait())))
        await answering(200)(scope, receive, send)

    async def main():
        await call(tracked(app), scope_of())
        ((watched, task),) = seen
        assert not task.done()
        return watched()

    assert asyncio.run(main()) is None


def test_error_is_not_kept(access):
    class OwnError(RuntimeError):
        pass

    raised = []

    async def app(scope, receive, send):
        try:
            raise OwnError
        except OwnError as error:
            raised.append(weakref.ref(error))
            raise

    gc.disable()
    try:
        asyncio.run(call(tracked(app), scope_of()))
        assert raised[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["uvicorn.access", "uvicorn.error", "hypercorn.access", "granian.access", "gunicorn.access"])
def test_loggers_of_the_servers_are_given_back_as_they_were(tmp_path, name):
    logger = logging.getLogger(name)
    before = dict(vars(logger), filters=list(logger.filters))
    handle = Access(tmp_path).handle
    assert len(logger.filters) > len(before["filters"])
    handle.close()

    assert dict(vars(logger), filters=list(logger.filters), _cache=before["_cache"]) == before
    assert "isEnabledFor" not in vars(logger)
