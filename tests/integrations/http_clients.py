"""What holds for each client of HTTP, against a real server; a test module makes a class of its own library of it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trackline import extract, use_tracking_id
from trackline.otel.propagator import TrackingPropagator

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"x-request-id": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "a=1"}
OURS = (*CAME, "baggage")


class _Echo(BaseHTTPRequestHandler):
    """Answers with the headers it got, a proxy too; /to?url redirects there, /late?n fails n times for each ID."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        path, _, query = self.path.partition("?")
        if path.endswith("/to"):
            self.send_response(302)
            self.send_header("Location", query)
            body = b""
        elif path.endswith("/flaky") and not self.server.flaked:  # type: ignore[attr-defined]
            self.server.flaked = True  # type: ignore[attr-defined]
            self.send_response(503)
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def echo_server():
    server = _Server(("127.0.0.1", 0), _Echo)
    server.flaked = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sent_ids(pairs: list[list[str]]) -> dict[str, str]:
    """Give what we, or OTel, have added; each name may be there once only."""
    names = [name for name, _ in pairs if name in OURS]
    assert len(names) == len(set(names))
    return {name: value for name, value in pairs if name in OURS}


@contextmanager
def global_propagator(propagator):
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagator)
    try:
        yield
    finally:
        propagate.set_global_textmap(before)


class Spans:
    """A provider of an SDK, and the spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def finished(self, count):
        """Give the spans that have ended, in the order of their start, once there are so many: a server may end them in its threads."""
        deadline = time.monotonic() + 5
        while len(found := self.exporter.get_finished_spans()) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(found) == count
        return sorted(found, key=lambda span: span.start_time)

    def client(self):
        [span] = [span for span in self.exporter.get_finished_spans() if span.kind.name == "CLIENT"]
        return span.get_span_context()


class ClientContract:
    """`integration` is ours, `make` gives a client, `get` the headers that the server got; `instrumentor` is OTel's own."""

    integration: Any

    def make(self):
        raise NotImplementedError

    def get(self, client, url, headers=None) -> list[list[str]]:
        raise NotImplementedError

    def instrumentor(self):
        raise NotImplementedError

    def patched(self) -> list[object]:
        """Give the library's functions that are replaced."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def undone(self):
        yield
        self.integration.uninstrument()

    @pytest.fixture
    def here(self):
        with echo_server() as address:
            yield address

    @pytest.fixture
    def third_party(self):
        with echo_server() as address:
            yield address

    @pytest.fixture
    def spans(self):
        return Spans()

    @contextmanager
    def traced(self, spans):
        instrumentor = self.instrumentor()
        instrumentor.instrument(tracer_provider=spans.provider)
        try:
            yield
        finally:
            instrumentor.uninstrument()

    def test_every_client_sends_id_and_trace_as_they_came(self, here):
        older = self.make()
        self.integration.instrument()
        newer = self.make()

        with extract(CAME):
            assert sent_ids(self.get(older, f"http://{here}/")) == CAME
            assert sent_ids(self.get(newer, f"http://{here}/")) == CAME

    def test_outside_of_a_request_nothing_is_added(self, here):
        self.integration.instrument()

        assert sent_ids(self.get(self.make(), f"http://{here}/")) == {}

    def test_each_request_of_a_client_has_the_id_of_its_moment(self, here):
        self.integration.instrument()
        client, seen = self.make(), []
        for tracking_id in ("one", "two"):
            with use_tracking_id(tracking_id):
                seen.append(sent_ids(self.get(client, f"http://{here}/")))

        assert seen == [{"x-request-id": "one"}, {"x-request-id": "two"}]
        assert sent_ids(self.get(client, f"http://{here}/")) == {}

    def test_a_third_party_gets_nothing_unless_told_so(self, here, third_party):
        self.integration.instrument(targets=[here])
        client = self.make()
        with extract(CAME):
            assert sent_ids(self.get(client, f"http://{third_party}/")) == {}
            self.integration.instrument(targets="all")
            assert sent_ids(self.get(client, f"http://{third_party}/")) == CAME

    def test_the_environment_says_which_targets_where_the_call_does_not(self, here, third_party, monkeypatch):
        monkeypatch.setenv("TRACKLINE_TARGETS", "all")
        self.integration.instrument()
        client = self.make()
        with extract(CAME):
            assert sent_ids(self.get(client, f"http://{third_party}/")) == CAME
            self.integration.instrument(targets=[here])
            assert sent_ids(self.get(client, f"http://{third_party}/")) == {}

    def test_a_redirect_to_a_third_party_loses_the_headers_again(self, here, third_party):
        self.integration.instrument(targets=[here])
        client = self.make()
        with extract(CAME):
            assert sent_ids(self.get(client, f"http://{here}/to?http://{third_party}/")) == {}
            assert sent_ids(self.get(client, f"http://{here}/to?/there")) == CAME

    def test_a_redirect_away_and_back_has_them_again(self, here, third_party):
        self.integration.instrument(targets=[here])
        with extract(CAME):
            pairs = self.get(self.make(), f"http://{here}/to?http://{third_party}/to?http://{here}/")

        assert sent_ids(pairs) == CAME

    def test_a_redirect_keeps_what_the_user_has_set(self, here, third_party):
        self.integration.instrument(targets=[here])
        with extract(CAME):
            pairs = self.get(self.make(), f"http://{here}/to?http://{third_party}/", {"X-Request-ID": "abc"})

        assert sent_ids(pairs) == {"x-request-id": "abc"}

    @pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id"])
    def test_what_the_user_sets_stays(self, here, name):
        self.integration.instrument()
        headers = {name: "mine"}
        with extract(CAME):
            pairs = self.get(self.make(), f"http://{here}/", headers)

        assert sent_ids(pairs) == {**CAME, "x-request-id": "mine"}
        assert headers == {name: "mine"}

    def test_instrumented_twice_is_sent_once(self, here):
        self.integration.instrument()
        self.integration.instrument()
        with extract(CAME):
            assert sent_ids(self.get(self.make(), f"http://{here}/")) == CAME

        self.integration.uninstrument()
        with extract(CAME):
            assert sent_ids(self.get(self.make(), f"http://{here}/")) == {}

    def test_uninstrument_gives_everything_back(self, here):
        before, client = self.patched(), self.make()
        self.integration.instrument()
        assert self.patched() != before
        with extract(CAME):
            self.get(client, f"http://{here}/")
            self.integration.uninstrument()
            assert sent_ids(self.get(client, f"http://{here}/")) == {}
        assert self.patched() == before

    def test_wrong_targets_raise_and_change_nothing(self, here):
        before = self.patched()
        with pytest.raises(ValueError, match="targets='everyone'"):
            self.integration.instrument(targets="everyone")
        assert self.patched() == before

    def test_an_error_of_ours_does_not_fail_the_request(self, here, caplog):
        def fails(host, port):
            raise KeyError(host)

        self.integration.instrument(targets=fails)
        with extract(CAME):
            assert sent_ids(self.get(self.make(), f"http://{here}/")) == {}
        assert "without its tracking ID" in caplog.messages[0]

    def test_the_host_and_port_of_the_url_are_asked_about(self, here):
        asked = []
        self.integration.instrument(targets=lambda host, port: asked.append((host, port)))
        with extract(CAME):
            self.get(self.make(), f"http://{here}/")

        host, port = here.split(":")
        assert asked == [(host, int(port))]

    @pytest.mark.parametrize("ours_first", [True, False])
    def test_where_otel_instruments_too_the_parent_is_its_client_span(self, here, spans, ours_first):
        if ours_first:
            self.integration.instrument()
        with self.traced(spans):
            if not ours_first:
                self.integration.instrument()
            with extract(CAME), spans.tracer.start_as_current_span("work"):
                sent = sent_ids(self.get(self.make(), f"http://{here}/"))
            if not ours_first:
                self.integration.uninstrument()

        assert spans.client().trace_id == int(TRACE_ID, 16)
        assert sent["traceparent"].split("-")[1:3] == [TRACE_ID, f"{spans.client().span_id:016x}"]
        assert sent["x-request-id"] == "abc"

    @pytest.mark.parametrize("ours_first", [True, False])
    def test_with_our_propagator_too_nothing_is_sent_twice(self, here, spans, ours_first):
        if ours_first:
            self.integration.instrument()
        with global_propagator(TrackingPropagator()), self.traced(spans):
            if not ours_first:
                self.integration.instrument()
            with extract(CAME), spans.tracer.start_as_current_span("work"):
                sent = sent_ids(self.get(self.make(), f"http://{here}/"))
            if not ours_first:
                self.integration.uninstrument()

        assert sent["traceparent"].split("-")[2] == f"{spans.client().span_id:016x}"
        assert sent["x-request-id"] == "abc"

    @pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id"])
    def test_with_our_propagator_too_what_the_user_sets_stays(self, here, spans, name):
        self.integration.instrument()
        with global_propagator(TrackingPropagator()), self.traced(spans), extract(CAME), spans.tracer.start_as_current_span("work"):
            sent = sent_ids(self.get(self.make(), f"http://{here}/", {name: "mine"}))

        assert sent["x-request-id"] == "mine"

    def test_uninstrumented_under_otels_instrumentation_leaves_that_at_work(self, here, spans, caplog):
        before = self.patched()
        self.integration.instrument()
        with self.traced(spans):
            self.integration.uninstrument()
            with extract(CAME), spans.tracer.start_as_current_span("work"):
                sent = sent_ids(self.get(self.make(), f"http://{here}/"))

            assert sent["traceparent"].split("-")[2] == f"{spans.client().span_id:016x}"
            assert "x-request-id" not in sent
            assert caplog.messages == []
        self.integration.uninstrument()
        assert self.patched() == before
