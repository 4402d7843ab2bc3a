"""install(app): the same result wherever it is called, whoever else is there."""

from __future__ import annotations

import logging

import fastapi
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ContribMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.routing import Route

import trackline
from trackline import TRACKING_ID, get_tracking_id
from trackline.context import current_span_ids
from trackline.identity import derive_trace_id
from trackline.otel.id_generator import TrackingIdGenerator

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def make_app(**options):
    app = FastAPI(**options)
    app.seen = []

    @app.get("/ok")
    async def ok(tracking_id: str = Depends(get_tracking_id)):
        app.seen.append((tracking_id, *current_span_ids()))
        return {"tracking_id": tracking_id}

    @app.get("/boom")
    async def boom():
        app.seen.append((get_tracking_id(), *current_span_ids()))
        raise RuntimeError("boom")

    @app.get("/sync")
    def sync():
        app.seen.append((get_tracking_id(), *current_span_ids()))
        return {}

    @app.get("/refused")
    async def refused():
        raise HTTPException(409, "no", headers={"Retry-After": "5"})

    @app.get("/items/{number}")
    async def item(number: int):
        return number

    @app.get("/stream")
    async def stream():
        async def body():
            app.seen.append((get_tracking_id(), *current_span_ids()))
            yield b"a"

        return StreamingResponse(body())

    @app.get("/background")
    async def background(tasks: BackgroundTasks):
        tasks.add_task(lambda: app.seen.append((get_tracking_id(), *current_span_ids())))
        return {}

    return app


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter, provider


def contrib_before(provider):
    app = make_app()
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    trackline.install(app)
    return app


def contrib_after(provider):
    app = make_app()
    trackline.install(app)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def contrib_after_with_debug(provider):
    app = make_app(debug=True)
    trackline.install(app)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def make_plain(provider):
    app = make_app()
    trackline.install(app)
    return app


def native(provider):
    app = make_app(telemetry={"tracer_provider": provider})
    trackline.install(app)
    return app


def starlettes(provider):
    app = make_app(telemetry={"tracing": False})
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider)
    trackline.install(app)
    return app


def starlettes_inside_of_another(provider):
    app = make_app(telemetry={"tracing": False})
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider)

    async def passes(request, call_next):
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=passes)
    trackline.install(app)
    return app


SETUPS = [contrib_before, contrib_after, contrib_after_with_debug, native, starlettes, starlettes_inside_of_another]


@pytest.fixture(autouse=True)
def contrib_is_undone():
    yield
    from starlette.background import BackgroundTask

    if hasattr(BackgroundTask, "_otel_original_call"):  # contrib patches it for every application of the process
        BackgroundTask.__call__ = BackgroundTask._otel_original_call
        del BackgroundTask._otel_original_call


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("path", ["/ok", "/boom", "/sync", "/stream", "/background"])
@pytest.mark.parametrize("sent", [{}, {"traceparent": TRACEPARENT}, {"X-Request-ID": "abc"}], ids=["nothing", "traceparent", "id"])
async def test_one_server_span_one_id_and_the_header(setup, path, sent, spans, client_of):
    exporter, provider = spans
    app = setup(provider)

    async with client_of(app) as client:
        response = await client.get(path, headers=sent)

    [server] = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    trace_id = f"{server.context.trace_id:032x}"
    expected = sent.get("X-Request-ID", trace_id)
    assert response.headers.get_list("X-Request-ID") == response.headers.get_list("X-Tracking-ID") == [expected]
    assert [(seen[0], seen[1]) for seen in app.seen] == [(expected, trace_id)]
    assert server.attributes["tracking_id"] == expected
    assert (server.parent is None) == ("traceparent" not in sent)
    if "traceparent" in sent:
        assert trace_id == TRACE_ID


class Refusing:
    """A middleware of the user's, outside of the tracer, which lets nobody through."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await PlainTextResponse("no", 403)(scope, receive, send)


@pytest.mark.parametrize("sent", [{}, {"X-Request-ID": "abc"}], ids=["nothing", "id"])
async def test_what_is_answered_outside_of_starlettes_tracer_has_an_id_too(sent, spans, client_of):
    app = starlettes(spans[1])
    app.add_middleware(Refusing)

    async with client_of(app) as client:
        response = await client.get("/ok", headers=sent)
        excluded = FastAPI()
        excluded.add_middleware(OpenTelemetryMiddleware)
        excluded.add_middleware(Refusing)
        trackline.install(excluded, exclude=lambda scope: True)
    async with client_of(excluded) as client:
        untouched = await client.get("/ok")

    assert response.status_code == 403
    assert response.headers.get_list("X-Request-ID") == response.headers.get_list("X-Tracking-ID")
    assert len(response.headers["X-Request-ID"]) == (3 if sent else 32)
    assert get_tracking_id() is None
    assert "X-Request-ID" not in untouched.headers


@pytest.mark.parametrize("setup", [make_plain, native, starlettes])
async def test_a_servers_error_layer_that_somebody_has_wrapped_runs(setup, spans, client_of, monkeypatch):
    original, entered = ServerErrorMiddleware.__call__, []

    async def wrapped(self, scope, receive, send):
        entered.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(ServerErrorMiddleware, "__call__", wrapped)
    async with client_of(setup(spans[1])) as client:
        response = await client.get("/boom", headers={"X-Request-ID": "abc"})

    assert entered == ["/boom"]
    assert response.status_code == 500
    assert response.headers.get_list("X-Request-ID") == ["abc"]


@pytest.mark.parametrize("setup", [make_plain, native, starlettes])
async def test_a_handler_of_errors_is_called_where_the_answer_has_begun_and_may_raise(setup, spans, client_of):
    app = setup(spans[1])
    called = []

    @app.get("/breaks")
    async def breaks():
        async def body():
            yield b"a"
            raise LookupError("late")

        return StreamingResponse(body())

    @app.exception_handler(Exception)
    async def handle(request, error):
        called.append((get_tracking_id(), repr(error)))
        raise ArithmeticError("the handler's own")

    TRACKING_ID.set("outer")
    async with client_of(app, raise_app_exceptions=True) as client:
        for path in ("/breaks", "/boom"):
            with pytest.raises(ArithmeticError):
                await client.get(path, headers={"X-Request-ID": "abc"})

    assert called == [("abc", "LookupError('late')"), ("abc", "RuntimeError('boom')")]
    assert get_tracking_id() == "outer"


@pytest.mark.parametrize("setup", [native, starlettes])
async def test_a_span_whose_trace_id_looks_like_a_uuid_keeps_its_trace(setup, client_of):
    class UUIDs(RandomIdGenerator):
        def generate_trace_id(self):
            return int("0af7651916cd43dd8448eb211c80319c", 16)

    app = setup(TracerProvider(id_generator=UUIDs()))
    async with client_of(app, raise_app_exceptions=True) as client:
        with pytest.raises(RuntimeError):
            await client.get("/boom")

    assert get_tracking_id() == current_span_ids()[0] == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("outside", "expected"),
    [((), "opentelemetry.instrumentation.asgi"), ((OpenTelemetryMiddleware,), "starlette")],
)
async def test_fastapis_telemetry_still_sees_contribs_middleware_that_was_added_by_hand(outside, expected, spans, client_of):
    exporter, provider = spans
    app = make_app(telemetry={"tracer_provider": provider})
    for middleware in (ContribMiddleware, *outside):
        app.add_middleware(middleware, tracer_provider=provider)
    trackline.install(app)
    async with client_of(app) as client:
        await client.get("/ok")

    servers = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [span.instrumentation_scope.name for span in servers] == [expected]


async def test_an_error_of_ours_inside_of_starlettes_tracer_does_not_fail_the_request(spans, client_of, monkeypatch, caplog):
    monkeypatch.setattr("trackline.request.RequestReader.decide", lambda *_: 1 / 0)
    async with client_of(starlettes(spans[1])) as client:
        response = await client.get("/ok", headers={"X-Request-ID": "abc"})

    assert response.status_code == 200
    assert "X-Request-ID" not in response.headers
    assert "untracked" in caplog.messages[0]


async def test_starlettes_root_has_the_derived_trace_id_with_our_generator(client_of):
    provider = TracerProvider(id_generator=TrackingIdGenerator())
    app = starlettes(provider)

    async with client_of(app) as client:
        await client.get("/ok", headers={"X-Request-ID": "order-1742"})

    assert app.seen[0][:2] == ("order-1742", derive_trace_id("order-1742"))


async def test_no_sdk_no_span(client_of):
    app = make_app()
    trackline.install(app)

    async with client_of(app) as client:
        await client.get("/ok", headers={"traceparent": TRACEPARENT})

    assert app.seen == [(TRACE_ID, TRACE_ID, None, None)]


@pytest.mark.parametrize("setup", [contrib_before, contrib_after, native])
async def test_untrusted_caller_is_not_joined_by_whoever_makes_the_span(setup, spans, client_of, monkeypatch):
    exporter, provider = spans
    original = trackline.install
    monkeypatch.setattr(trackline, "install", lambda app: original(app, trust=["10.0.0.0/8"]))
    app = setup(provider)

    async with client_of(app, client=("192.0.2.1", 5)) as client:
        response = await client.get("/ok", headers={"traceparent": TRACEPARENT, "X-Request-ID": "claimed"})

    [server] = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    trace_id = f"{server.context.trace_id:032x}"
    assert server.parent is None
    assert trace_id != TRACE_ID
    assert response.headers["X-Request-ID"] == trace_id
    assert f"{server.links[0].context.trace_id:032x}" == TRACE_ID


async def test_trust_leaves_the_class_of_the_application_recognisable():
    app = make_app()
    trackline.install(app, trust="none")

    assert isinstance(app, FastAPI)
    assert type(app).__name__ == "FastAPI"


async def test_second_call_changes_nothing(client_of):
    app = make_app()
    trackline.install(app)
    build = app.build_middleware_stack
    trackline.install(app, response_headers=["X-Other"])

    assert app.build_middleware_stack is build


async def test_what_a_call_does_not_say_is_taken_from_the_environment(client_of, monkeypatch):
    monkeypatch.setenv("TRACKLINE_TRUST", "none")
    monkeypatch.setenv("TRACKLINE_RESPONSE_HEADERS", "X-Reference")
    app = make_app()
    trackline.install(app, trust="all")
    async with client_of(app) as client:
        response = await client.get("/ok", headers={"X-Request-ID": "abc"})

    assert response.json() == {"tracking_id": "abc"}
    assert response.headers["X-Reference"] == "abc"
    assert "X-Tracking-ID" not in response.headers

    app = make_app()
    trackline.install(app)
    async with client_of(app) as client:
        assert (await client.get("/ok", headers={"X-Request-ID": "abc"})).json() != {"tracking_id": "abc"}


@pytest.mark.parametrize("first", [True, False])
async def test_before_or_after_other_middleware(first, client_of):
    app = make_app()
    if first:
        trackline.install(app)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], expose_headers=["X-Total"])
    if not first:
        trackline.install(app)

    async with client_of(app) as client:
        response = await client.get("/boom", headers={"Origin": "https://a.test"})
        allowed = await client.get("/ok", headers={"Origin": "https://a.test"})

    assert response.status_code == 500
    assert "X-Request-ID" in response.headers
    assert allowed.headers["Access-Control-Expose-Headers"] == "X-Total, X-Request-ID, X-Tracking-ID"


async def test_wrong_application_says_what_to_do():
    with pytest.raises(TypeError, match=r"expected a FastAPI or Starlette application; for others: TrackingMiddleware"):
        trackline.install(object())


async def test_too_late_says_so(client_of):
    app = make_app()
    async with client_of(app) as client:
        await client.get("/ok")

    with pytest.raises(RuntimeError, match="has begun to serve"):
        trackline.install(app)


async def test_wrong_setting_leaves_the_application_as_it_was(client_of):
    app = make_app()
    with pytest.raises(ValueError, match="trust='everybody'"):
        trackline.install(app, trust="everybody")
    trackline.install(app)

    async with client_of(app) as client:
        assert "X-Request-ID" in (await client.get("/ok")).headers


async def test_starlette_applications_and_debug_pages_have_the_header(client_of):
    async def boom(request):
        raise RuntimeError("boom")

    app = Starlette(debug=True, routes=[Route("/boom", boom)], middleware=[Middleware(CORSMiddleware)])
    trackline.install(app)

    async with client_of(app) as client:
        response = await client.get("/boom", headers={"X-Request-ID": "abc", "Accept": "text/html"})

    assert "RuntimeError" in response.text
    assert response.headers.get_list("X-Request-ID") == ["abc"]


@pytest.mark.parametrize("setup", [lambda provider: make_app(), contrib_before, contrib_after])
async def test_the_applications_own_error_handler_answers_and_knows_the_id(setup, spans, client_of):
    app = setup(spans[1])
    trackline.install(app)

    @app.exception_handler(Exception)
    async def handle(request, error):
        return PlainTextResponse(f"sorry: {get_tracking_id()}", 500)

    async with client_of(app) as client:
        response = await client.get("/boom", headers={"X-Request-ID": "abc"})

    assert response.text == "sorry: abc"
    assert response.headers.get_list("X-Request-ID") == ["abc"]


async def test_mounted_applications_share_the_identity(client_of):
    app, inner = make_app(), make_app()
    trackline.install(app)
    trackline.install(inner)
    app.mount("/inner", inner)

    async with client_of(app) as client:
        response = await client.get("/inner/ok")

    assert response.headers.get_list("X-Request-ID") == [response.json()["tracking_id"]]


class TestOpenAPI:
    async def test_document_lists_request_and_response_headers(self):
        app = make_app()
        trackline.install(app, id_headers=["X-Request-ID", "X-Correlation-ID"])
        document = app.openapi()
        operation = document["paths"]["/items/{number}"]["get"]

        assert {"$ref": "#/components/parameters/X-Correlation-ID"} in operation["parameters"]
        assert operation["parameters"][0]["name"] == "number"
        assert set(operation["responses"]["200"]["headers"]) == {"X-Request-ID", "X-Tracking-ID"}
        assert document["components"]["parameters"]["X-Request-ID"]["in"] == "header"

    async def test_asked_twice_it_is_the_same(self):
        app = make_app()
        trackline.install(app)
        first = repr(app.openapi())

        assert repr(app.openapi()) == first

    async def test_can_be_switched_off(self):
        app = make_app()
        trackline.install(app, openapi=False)

        assert "X-Request-ID" not in repr(app.openapi())

    async def test_an_openapi_function_of_the_applications_own_is_kept(self, client_of):
        app = make_app()
        trackline.install(app)
        app.openapi = lambda: {"paths": {"/x": {"get": {"responses": {"200": {}}}}}, "x-mine": True}

        async with client_of(app) as client:
            document = (await client.get("/openapi.json")).json()

        assert document["x-mine"] is True
        assert document["paths"]["/x"]["get"]["parameters"] == [{"$ref": "#/components/parameters/X-Request-ID"}]


class TestProblemDetails:
    @pytest.fixture
    def app(self):
        app = make_app()
        trackline.install(app, problem_details=True)
        return app

    @pytest.mark.parametrize(
        ("path", "status", "title", "detail"),
        [
            ("/nope", 404, "Not Found", None),
            ("/refused", 409, "Conflict", "no"),
            ("/boom", 500, "Internal Server Error", None),
        ],
    )
    async def test_errors_are_problem_documents_with_the_id(self, app, client_of, path, status, title, detail):
        async with client_of(app) as client:
            response = await client.get(path, headers={"X-Request-ID": "abc"})

        expected = {"type": "about:blank", "title": title, "status": status, "detail": detail, "tracking_id": "abc"}
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json() == {key: value for key, value in expected.items() if value is not None}
        assert response.headers.get("Retry-After") == ("5" if status == 409 else None)

    async def test_validation_errors_are_listed(self, app, client_of):
        async with client_of(app) as client:
            document = (await client.get("/items/x")).json()

        assert document["status"] == 422
        assert document["errors"][0]["loc"] == ["path", "number"]

    async def test_handlers_of_the_applications_own_win(self, client_of):
        app = make_app()

        @app.exception_handler(HTTPException)
        async def handle(request, error):
            return JSONResponse({"mine": True}, 418)

        trackline.install(app, problem_details=True)
        async with client_of(app) as client:
            assert (await client.get("/refused")).json() == {"mine": True}


async def test_the_error_line_of_a_server_knows_id_and_trace_after_the_span_has_ended(spans, client_of):
    app = contrib_before(spans[1])
    async with client_of(app, raise_app_exceptions=True) as client:
        with pytest.raises(RuntimeError):
            await client.get("/boom", headers={"X-Request-ID": "abc"})
        ids = get_tracking_id(), current_span_ids()[0]

    [server] = [span for span in spans[0].get_finished_spans() if span.kind is SpanKind.SERVER]
    assert ids == ("abc", f"{server.context.trace_id:032x}")


def test_this_is_the_fastapi_that_has_telemetry_of_its_own():
    assert hasattr(fastapi, "telemetry")  # or `native` above tests nothing
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)  # no test has set a global one
    assert logging.getLogger("trackline").handlers == []
