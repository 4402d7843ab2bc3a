"""WSGI: the same contract as for ASGI, on real servers with Flask, Django and no framework at all."""

from __future__ import annotations

import contextvars
import http.client
import json
import re
import threading
from contextlib import contextmanager
from wsgiref.util import FileWrapper

import pytest
from flask import Flask, jsonify, request
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from werkzeug.debug import DebuggedApplication
from werkzeug.serving import make_server

from integrations.http_clients import TRACE_ID, Spans, global_propagator
from integrations.servers import Worker
from integrations.wsgi_apps import configure_django, seen
from trackline import TRACKING_ID, get_tracking_id, use_tracking_id
from trackline.context import IDENTITY
from trackline.identity import derive_trace_id, is_trace_id
from trackline.integrations import wsgi as integration
from trackline.integrations.wsgi import TrackingMiddleware
from trackline.otel.propagator import TrackingPropagator

SERVERS = ("werkzeug", "waitress", "sync", "gthread")
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Answer:
    def __init__(self, address, target, headers=(), method="GET"):
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.getheaders()]
        try:
            self.body = response.read()
        except http.client.IncompleteRead as error:
            self.body = error.partial
        connection.close()

    def values(self, name):
        return [value for other, value in self.headers if other == name]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def ids(self):
        """Give what the two headers say, each of which is there once."""
        return [*self.values("x-request-id"), *self.values("x-tracking-id")]


class Serving:
    def __init__(self, name, worker):
        self.name, self.worker = name, worker
        found = worker.wait_for(lambda: re.search(r"listens on (\d+)\.", worker.output.read_text()))
        self.address = f"127.0.0.1:{found[1]}"

    def get(self, target, *headers, method="GET"):
        return Answer(self.address, target, headers, method)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    worker = Worker(["integrations.wsgi_apps", request.param], tmp_path_factory.mktemp(request.param), ready="listens on")
    with worker:
        yield Serving(request.param, worker)


@pytest.fixture(params=["plain", "flask", "django"])
def app(request):
    return request.param


def test_an_id_that_comes_is_the_requests(server, app):
    answer = server.get(f"/{app}/see", ("X-Request-ID", "abc"))

    assert answer.status == 200
    assert answer.json["tracking_id"] == answer.json["HTTP_X_REQUEST_ID"] == "abc"
    assert answer.json["trace_id"] == derive_trace_id("abc")
    assert answer.ids == ["abc", "abc"]


def test_with_nothing_sent_each_request_has_a_new_one(server, app):
    one, other = (server.get(f"/{app}/see") for _ in range(2))

    assert is_trace_id(one.json["tracking_id"])
    assert one.json["tracking_id"] == one.json["HTTP_X_REQUEST_ID"] == one.json["trace_id"]
    assert one.ids == [one.json["tracking_id"]] * 2
    assert one.json["tracking_id"] != other.json["tracking_id"]


def test_a_trace_that_comes_is_the_requests(server, app):
    answer = server.get(f"/{app}/see", ("traceparent", TRACEPARENT), ("baggage", "tracking_id=abc"))

    assert answer.json["tracking_id"] == "abc"
    assert answer.json["trace_id"] == TRACE_ID
    assert answer.json["HTTP_TRACEPARENT"] == TRACEPARENT


def test_of_several_ids_the_first_usable_one_counts(server, app):
    answer = server.get(f"/{app}/see", ("X-Request-ID", "not usable"), ("X-Request-ID", "abc"))

    assert answer.json["tracking_id"] == answer.json["HTTP_X_REQUEST_ID"] == "abc"


def test_what_is_not_usable_is_as_though_absent(server, app):
    answer = server.get(f"/{app}/see", ("X-Request-ID", "a" * 129), ("traceparent", "00-x"))

    assert is_trace_id(answer.json["tracking_id"])
    assert answer.json["HTTP_X_REQUEST_ID"] == answer.json["tracking_id"]


def test_the_headers_are_there_once_whatever_the_application_sets(server):
    answer = server.get("/plain/own", ("X-Request-ID", "abc"))

    assert answer.ids == ["abc", "abc"]
    assert answer.values("access-control-expose-headers") == ["X-Of-App, X-Request-ID, X-Tracking-ID"]
    assert answer.values("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("app", ["flask", "django"])
def test_a_frameworks_header_gives_way(server, app):
    answer = server.get(f"/{app}/see", ("X-Request-ID", "abc"))

    assert answer.json["header"] == ["abc"]
    assert answer.ids == ["abc", "abc"]


def test_a_stream_is_sent_and_closed_under_the_id(server, app):
    tracking_id = f"stream-{app}"
    answer = server.get(f"/{app}/stream", ("X-Request-ID", tracking_id))

    assert answer.body.decode().split() == [tracking_id] * 3
    assert answer.ids == [tracking_id] * 2
    closing = server.worker.wait_for(
        lambda: [line for line in server.worker.lines("closing") if line.get("tracking_id") == tracking_id]
    )
    assert len(closing) == 1
    assert len([line for line in server.worker.lines("sending") if line.get("tracking_id") == tracking_id]) == 3


def test_an_unhandled_error_has_the_headers_and_its_line_the_id(server, app):
    tracking_id = f"boom-{app}"
    answer = server.get(f"/{app}/boom", ("X-Request-ID", tracking_id))

    assert answer.status == 500
    assert answer.ids == [tracking_id] * 2
    said = server.worker.wait_for(lambda: tracebacks_of(server.worker, tracking_id))
    assert "KeyError" in said[0]


def tracebacks_of(worker, tracking_id):
    """Give what was said of errors under an ID; werkzeug's own lines have the traceback in their message."""
    lines = [line for line in worker.lines() if line.get("tracking_id") == tracking_id]
    return [text for line in lines if "Traceback" in (text := line.get("error.stack_trace", line["message"]))]


@pytest.mark.parametrize("place", ["boom", "lazy"])
def test_an_error_before_the_answer_has_begun_is_answered_with_the_headers(server, place):
    for method in ("GET", "HEAD"):
        answer = server.get(f"/plain/{place}", ("X-Request-ID", place), method=method)
        assert answer.status == 500
        assert answer.ids == [place, place]
        assert answer.body == (b"Internal Server Error" if method == "GET" else b"")
        assert answer.values("content-length") == ["21"]

    assert "before it began" in server.worker.wait_for(lambda: tracebacks_of(server.worker, place))[0]


def test_an_error_in_the_middle_of_an_answer_has_its_line_under_the_id(server):
    answer = server.get("/plain/broken", ("X-Request-ID", "broken"))

    assert answer.status == 200
    assert b"Internal Server Error" not in answer.body
    assert "in the middle" in server.worker.wait_for(lambda: tracebacks_of(server.worker, "broken"))[0]


def test_an_error_after_the_answer_has_begun_is_the_servers_to_answer(server):
    # gunicorn keeps the headers of the answer that is replaced, so we cannot.
    answer = server.get("/plain/begun", ("X-Request-ID", "begun"))

    assert answer.status == 500
    assert answer.body
    assert len(answer.values("content-length")) == 1
    assert answer.values("content-length") != ["100"]
    assert "when it had begun" in server.worker.wait_for(lambda: tracebacks_of(server.worker, "begun"))[0]


@pytest.mark.parametrize("place", ["boom", "begun", "lazy", "broken", "file", "stream", "see"])
def test_a_threads_next_request_has_nothing_of_the_one_before(server, place):
    server.get(f"/plain/{place}", ("X-Request-ID", f"old-{place}"))

    assert server.get("/plain/excluded").json["tracking_id"] is None
    assert is_trace_id(server.get("/plain/see").json["tracking_id"])


def test_a_request_that_is_excluded_is_not_touched(server):
    answer = server.get("/flask/excluded", ("X-Request-ID", "abc"))

    assert answer.json["tracking_id"] is None
    assert answer.ids == ["other"]


@pytest.mark.parametrize("kind", ["", "?real"])
def test_a_file_is_sent_in_the_servers_own_way(server, kind):
    answer = server.get(f"/plain/file{kind}", ("X-Request-ID", "abc"))

    assert answer.body == (b'"""W' if kind else b"true")
    assert answer.ids == ["abc", "abc"]


def test_a_length_that_the_server_finds_out_is_found_out(server):
    if server.name == "waitress":
        assert len(server.get("/plain/see").values("content-length")) == 1


@pytest.mark.parametrize("target", ["/plain/file", "/plain/stream", "/flask/see", "/django/see"])
def test_the_access_log_has_the_id(server, target):
    if server.name == "waitress":
        return  # it has none
    tracking_id = "access" + target.replace("/", "-")
    server.get(target, ("X-Request-ID", tracking_id))

    def access():
        lines = [line for line in server.worker.lines() if line.get("tracking_id") == tracking_id]
        return [line for line in lines if line["log.logger"] in ("gunicorn.access", "werkzeug")]

    assert server.worker.wait_for(access)


# Below, in this process.


def call(app, environ=None, *, close=True, **headers):
    """Call an application as a server would; give status, headers and body."""
    started = []

    def start_response(status, headers, exc_info=None):
        started[:] = [status, headers]
        return lambda data: None

    given = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **(environ or {})}
    given |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answer = app(given, start_response)
    body = b"".join(answer)
    if close and hasattr(answer, "close"):
        answer.close()
    return started[0], started[1], body


def see(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen(environ)).encode()]


def see_as(**options):
    app = TrackingMiddleware(see, **options)
    return lambda environ=None, **headers: json.loads(call(app, environ, **headers)[2])


@pytest.mark.parametrize("trust", ["none", ["10.0.0.0/8"], lambda environ: environ["REMOTE_ADDR"] == "10.0.0.1"])
def test_a_caller_who_is_not_trusted_is_not_believed(trust):
    ask = see_as(trust=trust)
    answer = ask({"REMOTE_ADDR": "192.0.2.1"}, x_request_id="abc", traceparent=TRACEPARENT)

    assert is_trace_id(answer["tracking_id"])
    assert answer["trace_id"] == answer["tracking_id"] != TRACE_ID
    assert "HTTP_TRACEPARENT" not in answer
    assert answer["HTTP_X_REQUEST_ID"] == answer["tracking_id"]
    if trust != "none":
        assert ask({"REMOTE_ADDR": "10.0.0.1"}, x_request_id="abc")["tracking_id"] == "abc"


def test_no_address_is_in_no_network():
    assert see_as(trust=["0.0.0.0/0", "::/0"])({"REMOTE_ADDR": ""}, x_request_id="abc")["tracking_id"] != "abc"


def test_names_of_headers_are_settings():
    app = TrackingMiddleware(see, id_headers=["X-Correlation-ID", "X-Request-ID"], response_headers=["X-Correlation-ID"])
    _status, headers, body = call(app, x_request_id="abc", x_correlation_id="other")

    assert json.loads(body)["tracking_id"] == "other"
    assert json.loads(body)["HTTP_X_REQUEST_ID"] == "other"
    assert headers == [("Content-Type", "application/json"), ("X-Correlation-ID", "other")]


@pytest.mark.parametrize(
    ("option", "value"), [("trust", "everybody"), ("id_headers", "X-Request-ID"), ("response_headers", ["a b"]), ("exclude", True)]
)
def test_a_wrong_setting_raises_at_once(option, value):
    with pytest.raises(ValueError, match=option):
        TrackingMiddleware(see, **{option: value})


def test_tracked_twice_is_tracked_once():
    _status, headers, body = call(TrackingMiddleware(TrackingMiddleware(see, trust="none")), x_request_id="abc")

    assert json.loads(body)["tracking_id"] == "abc"
    assert [value for name, value in headers if name == "X-Request-ID"] == ["abc"]


@pytest.mark.parametrize(("method", "body"), [("GET", b"Internal Server Error"), ("HEAD", b"")])
def test_an_answer_to_head_has_no_body(method, body):
    written = []
    with pytest.raises(KeyError):
        TrackingMiddleware(fail)({"REQUEST_METHOD": method}, lambda *_: written.append)

    assert written == [body]


def test_the_first_request_is_the_moment_when_the_server_has_set_itself_up(monkeypatch):
    called = []
    monkeypatch.setattr("trackline.startup._callbacks", [lambda: called.append(1)])
    ask = see_as()
    assert called == []
    ask()
    ask()
    assert called == [1]


def test_afterwards_the_thread_is_as_it_was():
    call(TrackingMiddleware(see), x_request_id="abc")
    assert TRACKING_ID.get() is IDENTITY.get() is None

    with use_tracking_id("outer"):
        call(TrackingMiddleware(see), x_request_id="abc")
        assert get_tracking_id() == "outer"
        with pytest.raises(KeyError):
            call(TrackingMiddleware(fail), x_request_id="abc")
        assert get_tracking_id() == "outer"


def fail(environ, start_response):
    raise KeyError("of the application")


def test_a_request_within_a_request_leaves_the_outer_one_as_it_was():
    inside = TrackingMiddleware(see)

    def outer(environ, start_response):
        call(inside, x_request_id="inner")
        with pytest.raises(KeyError):
            call(TrackingMiddleware(fail), x_request_id="inner")
        start_response("200 OK", [])
        yield get_tracking_id().encode()
        call(inside, x_request_id="inner")
        yield get_tracking_id().encode()

    assert call(TrackingMiddleware(outer), x_request_id="abc")[2] == b"abcabc"
    assert get_tracking_id() is None


def test_the_body_may_be_sent_and_closed_by_another_thread():
    closed = []

    class Body:
        def __iter__(self):
            yield get_tracking_id().encode()

        def close(self):
            closed.append(get_tracking_id())

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body()

    def send():
        sent.append(b"".join(answer))
        answer.close()
        after.append(get_tracking_id())

    sent, after = [], []
    answer = TrackingMiddleware(app)({"REQUEST_METHOD": "GET", "HTTP_X_REQUEST_ID": "abc"}, lambda *_: None)
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert (sent, closed, after) == ([b"abc"], ["abc"], [None])

    call(TrackingMiddleware(see))  # the thread that began it: its next request ends it
    assert get_tracking_id() is None


def test_an_id_that_the_application_sets_itself_stays_until_the_end():
    def app(environ, start_response):
        start_response("200 OK", [])
        with use_tracking_id("of-app"):
            yield get_tracking_id().encode()
            yield get_tracking_id().encode()
        yield get_tracking_id().encode()

    assert call(TrackingMiddleware(app), x_request_id="abc")[2] == b"of-appof-appabc"


def test_a_length_of_the_body_stays_known_only_if_it_is():
    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["answer"]

    ask = TrackingMiddleware(app)
    assert len(ask({"answer": [b"a", b"b"]}, lambda *_: None)) == 2
    assert not hasattr(ask({"answer": iter([b"a"])}, lambda *_: None), "__len__")


def test_a_file_of_the_servers_own_kind_is_given_as_it_is_and_ends_the_request(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"true")

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    answer = TrackingMiddleware(app)({"wsgi.file_wrapper": FileWrapper, "HTTP_X_REQUEST_ID": "abc"}, lambda *_: None)
    assert type(answer) is FileWrapper
    assert get_tracking_id() == "abc"
    answer.close()
    assert answer.filelike.closed
    assert get_tracking_id() is None


def test_an_error_of_ours_does_not_fail_the_request(monkeypatch, caplog):
    monkeypatch.setattr("trackline.request.RequestReader.identify", lambda *_: 1 / 0)
    status, _headers, body = call(TrackingMiddleware(see), x_request_id="abc")

    assert (status, json.loads(body)["tracking_id"]) == ("200 OK", None)
    assert "untracked" in caplog.messages[0]


def test_headers_that_are_none_are_the_servers_to_refuse(caplog):
    def app(environ, start_response):
        start_response("200 OK", [("X-Name", "\u20ac")])
        return []

    assert call(TrackingMiddleware(app))[1] == [("X-Name", "\u20ac")]
    assert "without its tracking ID" in caplog.messages[0]


def test_a_request_keeps_nothing_alive_after_its_end():
    environ = {"REQUEST_METHOD": "GET", "HTTP_X_REQUEST_ID": "abc"}
    answer = TrackingMiddleware(see)(environ, lambda *_: None)
    list(answer)
    answer.close()

    assert not [value for value in environ.values() if not isinstance(value, str)]


class Threaded:
    """A real server in this process: werkzeug's, a thread for each request."""

    def __init__(self, app):
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def get(self, target, *headers):
        return Answer(f"127.0.0.1:{self.server.server_port}", target, headers)


def make_flask(flask_class=Flask):
    app = flask_class("made")

    @app.get("/see")
    def see_it():
        return jsonify(seen(request.environ))

    @app.get("/boom")
    def boom():
        raise KeyError("in flask")

    return app


def test_a_debugger_shows_its_page():
    app = make_flask()
    app.debug = True
    integration.install(app)
    with Threaded(DebuggedApplication(app, evalex=True)) as server:
        answer = server.get("/boom")

    assert answer.status == 500
    assert b"KeyError" in answer.body


def test_a_frameworks_test_client_sees_the_error_itself():
    app = make_flask()
    integration.install(app)
    app.testing = True
    with pytest.raises(KeyError, match="in flask"):
        app.test_client().get("/boom")


def test_installed_twice_is_installed_once():
    app = make_flask()
    integration.install(app)
    first = app.wsgi_app
    integration.install(app, id_headers=["X-Other"])

    assert app.wsgi_app is first


def test_what_is_no_flask_application_is_refused():
    with pytest.raises(TypeError, match="expected a Flask application"):
        integration.install(see)


@pytest.fixture
def spans():
    return Spans()


@contextmanager
def flask_traced(case, spans):
    """Give a Flask application that is tracked, and instrumented by OTel, in one of all orders."""
    if case.startswith("wsgi"):
        app = make_flask()
        if case == "wsgi-before":
            app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app, tracer_provider=spans.provider)
        integration.install(app)
        if case == "wsgi-after":
            app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app, tracer_provider=spans.provider)
        yield app
        return
    instrumentor = FlaskInstrumentor()
    if case == "flask-class":
        import flask

        instrumentor.instrument(tracer_provider=spans.provider)
        try:
            app = make_flask(flask.Flask)
            integration.install(app)
            yield app
        finally:
            instrumentor.uninstrument()
        return
    app = make_flask()
    app.before_request(lambda: None)
    if case == "flask-before":
        instrumentor.instrument_app(app, tracer_provider=spans.provider)
    integration.install(app)
    if case == "flask-after":
        instrumentor.instrument_app(app, tracer_provider=spans.provider)
    yield app


CASES = ("wsgi-before", "wsgi-after", "flask-before", "flask-after", "flask-class")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("propagator", [None, TrackingPropagator()], ids=["w3c", "trackline"])
def test_inside_of_otels_span_the_id_of_nothing_sent_is_its_trace_id(case, spans, propagator):
    with global_propagator(propagator or trace_context()), flask_traced(case, spans) as app, Threaded(app) as server:
        answers = [server.get("/see") for _ in range(2)]

    for answer, span in zip(answers, spans.finished(2), strict=True):
        assert answer.json["tracking_id"] == answer.json["trace_id"] == f"{span.context.trace_id:032x}"
        assert answer.json["span_id"] == f"{span.context.span_id:016x}"
        assert answer.json["HTTP_X_REQUEST_ID"] == answer.json["tracking_id"]
        assert answer.ids == [answer.json["tracking_id"]] * 2
        assert span.attributes["tracking_id"] == answer.json["tracking_id"]
        assert (span.kind, span.parent) == (trace.SpanKind.SERVER, None)


@pytest.mark.parametrize("case", CASES)
def test_inside_of_otels_span_an_id_that_comes_stays_and_the_trace_is_the_spans(case, spans):
    with flask_traced(case, spans) as app, Threaded(app) as server:
        answer = server.get("/see", ("X-Request-ID", "abc"))
        joined = server.get("/see", ("X-Request-ID", "abc"), ("traceparent", TRACEPARENT))
        failed = server.get("/boom", ("X-Request-ID", "abc"))

    first, second, _ = spans.finished(3)
    assert (answer.json["tracking_id"], answer.json["trace_id"]) == ("abc", f"{first.context.trace_id:032x}")
    assert (joined.json["tracking_id"], joined.json["trace_id"]) == ("abc", TRACE_ID)
    assert second.parent.span_id == 0xB7AD6B7169203331
    assert (failed.status, failed.ids) == (500, ["abc", "abc"])


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("flask")])
def test_a_caller_who_is_not_trusted_is_not_joined_by_a_span_inside(case, spans, monkeypatch):
    monkeypatch.setattr(integration, "install", lambda app, install=integration.install: install(app, trust="none"))
    with flask_traced(case, spans) as app, Threaded(app) as server:
        answer = server.get("/see", ("X-Request-ID", "abc"), ("traceparent", TRACEPARENT))

    [span] = spans.finished(1)
    assert span.parent is None
    assert answer.json["tracking_id"] == f"{span.context.trace_id:032x}"
    assert span.links[0].attributes["trackline.caller.tracking_id"] == "abc"


def trace_context():
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


@pytest.fixture
def django_app(spans):
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    configure_django()
    settings.MIDDLEWARE = ["trackline.integrations.wsgi.django_middleware"]
    instrumentor = DjangoInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    yield TrackingMiddleware(WSGIHandler())
    instrumentor.uninstrument()
    settings.MIDDLEWARE = []


def test_inside_of_otels_span_of_django_the_ids_agree(django_app, spans):
    with Threaded(django_app) as server:
        nothing, known = server.get("/see"), server.get("/see", ("X-Request-ID", "abc"))
        failed, missing = server.get("/boom", ("X-Request-ID", "abc")), server.get("/missing")

    first, second, _, last = spans.finished(4)
    assert nothing.json["tracking_id"] == nothing.json["trace_id"] == f"{first.context.trace_id:032x}"
    assert nothing.ids == [nothing.json["tracking_id"]] * 2
    assert (known.json["tracking_id"], known.json["trace_id"]) == ("abc", f"{second.context.trace_id:032x}")
    assert [span.attributes["tracking_id"] for span in (first, second)] == [nothing.json["tracking_id"], "abc"]
    assert (failed.status, failed.ids) == (500, ["abc", "abc"])
    assert (missing.status, missing.ids) == (404, [f"{last.context.trace_id:032x}"] * 2)


def test_django_middleware_without_otel_does_nothing():
    follow = integration.django_middleware(lambda request: request)

    assert follow("a request") == "a request"


def test_requests_at_once_have_each_its_own_id():
    app = make_flask()
    integration.install(app)
    with Threaded(app) as server:
        found = []
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(lambda number=number: found.append((number, server.get("/see", ("X-Request-ID", f"id-{number}")).ids)),),
            )
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(found) == [(number, [f"id-{number}"] * 2) for number in range(20)]
