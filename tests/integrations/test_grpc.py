"""grpc: all kinds of calls, blocking and asyncio, over real connections; the ID there and back, and in the lines of errors."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import grpc.aio
import pytest
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcAioInstrumentorServer,
    GrpcInstrumentorClient,
    GrpcInstrumentorServer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from integrations.http_clients import CAME, TRACE_ID, Spans, global_propagator
from trackline import TRACKING_ID, extract, get_tracking_id, use_tracking_id
from trackline.context import current_span_ids
from trackline.identity import is_trace_id
from trackline.integrations import grpc as integration
from trackline.integrations.grpc import aio_client
from trackline.integrations.grpc.hosts import hosts_of
from trackline.otel.propagator import TrackingPropagator

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
OURS = (*CAME, "baggage")


def answer_of(context):
    """Give what a handler sees, as bytes."""
    metadata = [[name, value] for name, value in context.invocation_metadata() if isinstance(value, str)]
    trace_id, span_id, _ = current_span_ids()
    return json.dumps({"tracking_id": get_tracking_id(), "trace_id": trace_id, "span_id": span_id, "metadata": metadata}).encode()


def misbehave(word, context):
    """Do what a request asks for; in both kinds of server the method of a context may be a coroutine function."""
    if word == b"raise":
        raise KeyError("the handler's own")
    if word == b"abort":
        return context.abort(grpc.StatusCode.NOT_FOUND, "not here")
    if word == b"trailing":
        context.set_trailing_metadata((("x-request-id", "other"), ("of-app", "1")))
    if word == b"initial":
        return context.send_initial_metadata((("x-request-id", "other"), ("of-app", "1")))
    return None


class Blocking:
    """Handlers, a server and a client of the blocking kind."""

    @staticmethod
    def unary_unary(request, context):
        misbehave(request, context)
        return answer_of(context)

    @staticmethod
    def unary_stream(request, context):
        for _ in range(3):
            yield answer_of(context)
        misbehave(request, context)

    @staticmethod
    def stream_unary(requests, context):
        for request in requests:
            misbehave(request, context)
        return answer_of(context)

    @staticmethod
    def stream_stream(requests, context):
        for request in requests:
            yield answer_of(context)
            misbehave(request, context)

    @contextmanager
    def serving(self, interceptors=(), address="127.0.0.1:0"):
        with ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool, interceptors=list(interceptors))
            server.add_generic_rpc_handlers((generic_handler(self),))
            port = server.add_insecure_port(address)
            server.start()
            try:
                yield address if not port or address.startswith("unix") else f"127.0.0.1:{port}"
            finally:
                server.stop(None).wait()

    def channel(self, target, interceptors=(), options=None):
        channel = grpc.insecure_channel(target, options=options)
        return grpc.intercept_channel(channel, *interceptors) if interceptors else channel

    def close(self, channel):
        channel.close()

    def call(self, channel, kind, *words, metadata=None):
        """Give the answers, initial and trailing metadata, and the status."""
        method = getattr(channel, kind)(f"/test.Service/{kind}")
        call = method.future if kind.endswith("unary") else method
        going = call(words[0] if kind.startswith("unary") else iter(words), timeout=5, metadata=metadata)
        answers = []
        try:
            if kind.endswith("unary"):
                answers.append(json.loads(going.result()))
            else:
                answers.extend(map(json.loads, going))
        except grpc.RpcError:
            pass
        if not isinstance(going, grpc.Call):  # a bare generator is what OTel's interceptor makes of a stream of answers
            return Called(answers, None, None, None)
        return Called(answers, going.initial_metadata(), going.trailing_metadata(), going.code())


class Called:
    def __init__(self, answers, initial, trailing, code):
        self.answers, self.code = answers, code
        self.initial, self.trailing = [[(str(name), value) for name, value in pairs or ()] for pairs in (initial, trailing)]

    @property
    def ids(self):
        return [[value for name, value in pairs if name == "x-request-id"] for pairs in (self.initial, self.trailing)]

    @property
    def seen(self):
        """Give what the server got of ours."""
        pairs = [(name, value) for name, value in self.answers[0]["metadata"] if name in OURS]
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)


def generic_handler(service):
    handlers = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(service, kind)) for kind in KINDS}
    return grpc.method_handlers_generic_handler("test.Service", handlers)


class Aio:
    """The same for asyncio, with a loop of its own in this thread, which runs only while it is asked something."""

    def __init__(self, runner):
        self.runner = runner

    def run(self, coroutine):
        return self.runner.run(coroutine, context=contextvars.copy_context())

    @staticmethod
    async def unary_unary(request, context):
        await (misbehave(request, context) or asyncio.sleep(0))
        return answer_of(context)

    @staticmethod
    async def unary_stream(request, context):
        for _ in range(3):
            yield answer_of(context)
        await (misbehave(request, context) or asyncio.sleep(0))

    @staticmethod
    async def stream_unary(requests, context):
        async for request in requests:
            await (misbehave(request, context) or asyncio.sleep(0))
        return answer_of(context)

    @staticmethod
    async def stream_stream(requests, context):
        async for request in requests:
            yield answer_of(context)
            await (misbehave(request, context) or asyncio.sleep(0))

    @contextmanager
    def serving(self, interceptors=(), address="127.0.0.1:0", service=None):
        async def start():
            server = grpc.aio.server(ThreadPoolExecutor(2), interceptors=list(interceptors))
            server.add_generic_rpc_handlers((generic_handler(service or self),))
            port = server.add_insecure_port(address)
            await server.start()
            return server, address if address.startswith("unix") else f"127.0.0.1:{port}"

        server, target = self.run(start())
        try:
            yield target
        finally:
            self.run(server.stop(None))

    def channel(self, target, interceptors=(), options=None):
        async def make():
            return grpc.aio.insecure_channel(target, interceptors=list(interceptors) or None)

        return self.run(make())

    def close(self, channel):
        self.run(channel.close())

    def call(self, channel, kind, *words, metadata=None):
        async def go():
            method = getattr(channel, kind)(f"/test.Service/{kind}")
            going = method(words[0] if kind.startswith("unary") else iter(words), timeout=5, metadata=metadata)
            answers = []
            try:
                if kind.endswith("unary"):
                    answers.append(json.loads(await going))
                else:
                    answers.extend([json.loads(answer) async for answer in going])
            except grpc.RpcError:
                pass
            return Called(answers, await going.initial_metadata(), await going.trailing_metadata(), await going.code())

        return self.run(go())


@pytest.fixture(params=["blocking", "asyncio"])
def side(request):
    if request.param == "blocking":
        yield Blocking()
    else:
        with asyncio.Runner() as runner:
            yield Aio(runner)


@pytest.fixture(autouse=True)
def undone():
    yield
    integration.uninstrument()


@pytest.fixture
def lines():
    """Give message and tracking ID of everything that grpc logs."""
    found = []

    class Collect(logging.Handler):
        def emit(self, record):
            found.append((record.getMessage(), get_tracking_id()))

    logger, handler = logging.getLogger("grpc"), Collect()
    aio_logger = logging.getLogger("grpc._cython.cygrpc")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)
    assert aio_logger.propagate


@contextmanager
def connected(side, **options):
    with side.serving(**options) as target:
        channel = side.channel(target)
        try:
            yield channel
        finally:
            side.close(channel)


@pytest.mark.parametrize("kind", KINDS)
def test_id_and_trace_go_there_and_the_id_comes_back(side, kind):
    integration.instrument()
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, kind, b"", b"")

    assert called.code is grpc.StatusCode.OK
    assert called.seen == CAME
    assert {(answer["tracking_id"], answer["trace_id"], answer["span_id"]) for answer in called.answers} == {("abc", TRACE_ID, None)}
    assert called.ids == [["abc"], ["abc"]]


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_sent_a_call_has_an_id_of_its_own(side, kind):
    integration.instrument()
    with connected(side) as channel:
        one, other = side.call(channel, kind, b""), side.call(channel, kind, b"")

    assert is_trace_id(one.answers[0]["tracking_id"])
    assert one.answers[0]["tracking_id"] == one.answers[0]["trace_id"] == one.seen["x-request-id"]
    assert one.ids == [[one.answers[0]["tracking_id"]]] * 2
    assert one.answers[0]["tracking_id"] != other.answers[0]["tracking_id"]
    assert get_tracking_id() is None


@pytest.mark.parametrize("word", [b"raise", b"abort"])
@pytest.mark.parametrize("kind", KINDS)
def test_errors_and_aborts_have_the_id_in_the_answer_and_in_grpcs_own_lines(side, kind, word, lines):
    integration.instrument()
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, kind, word)

    assert called.code is (grpc.StatusCode.UNKNOWN if word == b"raise" else grpc.StatusCode.NOT_FOUND)
    assert called.ids[1] == ["abc"]
    assert [tracking_id for message, tracking_id in lines if "the handler's own" in message or "raised by servicer" in message] == (
        ["abc"] if word == b"raise" else []
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_call_on_the_same_thread_has_nothing_of_a_failed_one(side, kind):
    integration.instrument()
    with connected(side) as channel:
        with extract(CAME):
            for _ in range(4):
                side.call(channel, kind, b"raise")
        called = [side.call(channel, kind, b"") for _ in range(4)]

    assert "abc" not in {answer["tracking_id"] for call in called for answer in call.answers}


@pytest.mark.parametrize(("word", "place"), [(b"initial", "initial"), (b"trailing", "trailing")])
def test_metadata_of_the_handler_stays_and_the_id_is_there_once(side, word, place):
    integration.instrument()
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, "unary_unary", word)

    assert ("of-app", "1") in getattr(called, place)
    assert called.ids == [["abc"], ["abc"]]


def test_a_channel_that_existed_before_is_covered_and_uninstrument_gives_everything_back(side):
    places = [(cls, name) for cls, name, _ in integration._places()]
    before = [getattr(cls, name) for cls, name in places]
    with connected(side) as channel:
        integration.instrument()
        with extract(CAME):
            assert side.call(channel, "unary_unary", b"").seen == CAME
            integration.uninstrument()
            assert side.call(channel, "unary_unary", b"").seen == {}
    assert [getattr(cls, name) for cls, name in places] == before


def test_a_server_that_was_instrumented_goes_on_without(side):
    integration.instrument()
    with connected(side) as channel:
        integration.uninstrument()
        called = side.call(channel, "unary_unary", b"", metadata=(("x-request-id", "abc"),))

    assert called.answers[0]["tracking_id"] is None
    assert called.ids == [[], []]


def test_instrumented_twice_is_sent_once(side):
    integration.instrument()
    integration.instrument()
    with connected(side) as channel, extract(CAME):
        assert side.call(channel, "stream_stream", b"").seen == CAME
    integration.uninstrument()
    with connected(side) as channel, extract(CAME):
        assert side.call(channel, "stream_stream", b"").seen == {}


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_of_the_caller_stays(side, kind):
    integration.instrument()
    metadata = (("x-request-id", "mine"), ("of-user", "1"), ("of-user", "2"), ("blob-bin", b"\0\1"))
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, kind, b"", metadata=metadata)

    assert called.seen == {**CAME, "x-request-id": "mine"}
    assert [value for name, value in called.answers[0]["metadata"] if name == "of-user"] == ["1", "2"]


def test_third_parties_get_nothing_unless_told_so(side):
    with connected(side) as channel, extract(CAME):
        integration.instrument(targets=["orders", "*.example.com"])
        assert side.call(channel, "unary_unary", b"").seen == {}
        integration.instrument(targets="all")
        assert side.call(channel, "unary_unary", b"").seen == CAME


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_ours_does_not_fail_the_call(side, kind, caplog):
    def fails(*_):
        raise LookupError

    integration.instrument(targets=fails, trust=fails)
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, kind, b"", metadata=(("x-request-id", "mine"),))

    assert called.code is grpc.StatusCode.OK
    assert "without its tracking ID" in caplog.messages[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_ours_does_not_fail_the_handler(side, kind, monkeypatch, caplog):
    monkeypatch.setattr("trackline.request.RequestReader.identify", lambda *_: 1 / 0)
    integration.instrument()
    with connected(side) as channel:
        called = side.call(channel, kind, b"")

    assert called.code is grpc.StatusCode.OK
    assert called.answers[0]["tracking_id"] is None
    assert "untracked" in caplog.messages[0]


@pytest.mark.parametrize("trust", ["none", ["10.0.0.0/8"], lambda context: "127.0.0.1" not in context.peer()])
def test_a_caller_who_is_not_trusted_is_not_believed(side, trust):
    integration.instrument(trust=trust)
    with connected(side) as channel, extract(CAME):
        called = side.call(channel, "unary_unary", b"")

    assert is_trace_id(called.answers[0]["tracking_id"])
    assert called.answers[0]["trace_id"] != TRACE_ID
    assert called.ids == [[called.answers[0]["tracking_id"]]] * 2


@pytest.mark.parametrize("trust", [["127.0.0.0/8"], lambda context: "127.0.0.1" in context.peer()])
def test_whom_to_trust_is_asked_of_the_peer(side, trust):
    integration.instrument(trust=trust)
    with connected(side) as channel, extract(CAME):
        assert side.call(channel, "unary_unary", b"").answers[0]["tracking_id"] == "abc"


def test_a_unix_socket_is_internal(side, tmp_path):
    integration.instrument()
    with connected(side, address=f"unix:{tmp_path}/socket") as channel, extract(CAME):
        assert side.call(channel, "unary_unary", b"").seen == CAME


def test_what_is_not_usable_is_as_though_absent(side):
    integration.instrument()
    with connected(side) as channel:
        called = side.call(channel, "unary_unary", b"", metadata=(("x-request-id", "a b"), ("traceparent", "00-x")))

    assert is_trace_id(called.answers[0]["tracking_id"])
    assert called.ids == [[called.answers[0]["tracking_id"]]] * 2
    assert called.seen["x-request-id"] == called.answers[0]["tracking_id"]


def test_other_names_may_carry_the_id(side):
    integration.instrument(id_headers=["X-Correlation-ID"])
    with connected(side) as channel:
        called = side.call(channel, "unary_unary", b"", metadata=(("x-correlation-id", "abc"),))

    assert called.answers[0]["tracking_id"] == "abc"


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("orders:50051", [("orders", 50051)]),
        ("orders", [("orders", None)]),
        ("dns:///orders.example.com:443", [("orders.example.com", 443)]),
        ("dns://8.8.8.8/orders.example.com", [("orders.example.com", None)]),
        ("dns:orders:1", [("orders", 1)]),
        ("ipv4:10.0.0.1:80,10.0.0.2:81", [("10.0.0.1", 80), ("10.0.0.2", 81)]),
        ("ipv6:[::1]:50051", [("::1", 50051)]),
        ("[2001:db8::1]", [("2001:db8::1", None)]),
        ("xds:///orders.example.com", [("orders.example.com", None)]),
        ("unix:/run/orders.sock", [("localhost", None)]),
        ("unix-abstract:orders", [("localhost", None)]),
    ],
)
def test_the_hosts_of_a_target(target, hosts):
    assert hosts_of(target) == hosts_of(target.encode()) == hosts


def test_the_target_of_a_channel_that_does_not_say_it_is_kept_with_it():
    class Channel:  # as grpc.aio has it before grpcio 1.81
        def __init__(self, target):
            self._channel = object()

    channel = Channel.__new__(Channel)
    aio_client.wrap_channel(Channel.__init__)(channel, "orders:50051")
    assert aio_client.target_of(channel._channel) == "orders:50051"
    assert hosts_of(aio_client.target_of(object())) == [("", None)]

    del channel
    assert aio_client._targets == {}


@pytest.mark.parametrize("kind", KINDS)
def test_interceptors_of_one_channel_and_one_server(side, kind):
    is_aio = isinstance(side, Aio)
    server = integration.TrackingAioServerInterceptor() if is_aio else integration.TrackingServerInterceptor()
    clients = integration.aio_client_interceptors() if is_aio else [integration.TrackingClientInterceptor()]
    with side.serving(interceptors=[server]) as target, extract(CAME):
        channel = side.channel(target, interceptors=clients)
        called = side.call(channel, kind, b"", metadata=(("of-user", "1"),))
        side.close(channel)

    assert called.seen == CAME
    assert called.answers[0]["tracking_id"] == "abc"
    assert called.ids == [["abc"], ["abc"]]
    assert ["of-user", "1"] in called.answers[0]["metadata"]


@contextmanager
def traced(side, spans, *, client=True):
    server = GrpcAioInstrumentorServer() if isinstance(side, Aio) else GrpcInstrumentorServer()
    instrumentors = [server]
    if client:
        instrumentors.append(GrpcAioInstrumentorClient() if isinstance(side, Aio) else GrpcInstrumentorClient())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=spans.provider)
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


def spans_of(spans, count):
    return {span.kind.name: span.get_span_context() for span in spans.finished(count)}


@pytest.fixture
def spans(monkeypatch):
    made = Spans()
    # OTel's wrapper of a blocking channel takes the provider from the keywords of the channel, where it is not: the global one.
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", made.provider)
    return made


@pytest.mark.parametrize("propagator", [TraceContextTextMapPropagator(), TrackingPropagator()], ids=["w3c", "trackline"])
@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_where_otel_instruments_too_nothing_is_sent_twice_and_the_ids_agree(side, kind, ours_first, propagator, spans):
    with global_propagator(propagator):
        if ours_first:
            integration.instrument()
        with traced(side, spans):
            if not ours_first:
                integration.instrument()
            with connected(side) as channel, extract({"x-request-id": "abc"}), spans.tracer.start_as_current_span("work") as work:
                called = side.call(channel, kind, b"")
            integration.uninstrument()

    trace_id = f"{work.get_span_context().trace_id:032x}"
    found = spans_of(spans, 3)
    assert called.seen["traceparent"].split("-")[1:3] == [trace_id, f"{found['CLIENT'].span_id:016x}"]
    assert called.answers[0]["tracking_id"] == "abc"
    assert called.answers[0]["trace_id"] == trace_id
    assert called.answers[0]["span_id"] == f"{found['SERVER'].span_id:016x}"
    assert called.ids == [["abc"], ["abc"]] or called.code is None


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_sent_the_id_is_the_trace_id_of_otels_server_span(side, kind, spans):
    with traced(side, spans, client=False):
        integration.instrument()
        with connected(side) as channel:
            called = side.call(channel, kind, b"")

    assert called.answers[0]["tracking_id"] == f"{spans_of(spans, 1)['SERVER'].trace_id:032x}"
    [span] = spans.finished(1)
    assert span.attributes["tracking_id"] == called.answers[0]["tracking_id"]


def test_blocking_handlers_of_an_asyncio_server():
    integration.instrument()
    with asyncio.Runner() as runner:
        side = Aio(runner)
        with side.serving(service=Blocking()) as target:
            channel = side.channel(target)
            with extract(CAME):
                called = [side.call(channel, kind, b"") for kind in KINDS for _ in range(3)]
                failed = [side.call(channel, kind, word) for kind in KINDS for word in (b"raise", b"abort")]
            integration.uninstrument()
            after = [side.call(channel, kind, b"") for kind in KINDS for _ in range(3)]
            side.close(channel)

    assert {answer["tracking_id"] for call in called for answer in call.answers} == {"abc"}
    assert {call.ids[1][0] for call in (*called, *failed)} == {"abc"}
    assert {answer["tracking_id"] for call in after for answer in call.answers} == {None}


def test_handlers_that_write_to_the_context():
    class Writing(Aio):
        async def unary_stream(self, request, context):
            await context.write(answer_of(context))
            await context.write(answer_of(context))

        async def stream_stream(self, requests, context):
            assert await context.read() == b""
            await context.write(answer_of(context))

    integration.instrument()
    with asyncio.Runner() as runner:
        side = Writing(runner)
        with connected(side) as channel, extract(CAME):
            for kind in ("unary_stream", "stream_stream"):
                called = side.call(channel, kind, b"")
                assert called.answers[0]["tracking_id"] == "abc"
                assert called.ids == [["abc"], ["abc"]]


def test_calls_of_all_forms():
    integration.instrument()
    side = Blocking()
    with connected(side) as channel, extract(CAME):
        method = channel.unary_unary("/test.Service/unary_unary")
        answers = [
            method(b""),
            method(request=b"", timeout=5),
            method(b"", 5, None),
            method.with_call(b"")[0],
            method.future(b"").result(),
        ]

    assert {json.loads(answer)["tracking_id"] for answer in answers} == {"abc"}


def test_streams_of_one_thread():
    integration.instrument()
    side = Blocking()
    with side.serving() as target, extract(CAME):
        channel = side.channel(target, options=[(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)])
        assert side.call(channel, "unary_stream", b"").seen == CAME
        channel.close()


def test_a_status_of_the_handlers_own_has_the_id_too():
    class Status(grpc.Status):
        code, details, trailing_metadata = grpc.StatusCode.ABORTED, "so it is", (("of-app", "1"), ("x-request-id", "other"))

    class Aborting(Blocking):
        @staticmethod
        def unary_unary(request, context):
            context.abort_with_status(Status())

    integration.instrument()
    with connected(Aborting()) as channel, extract(CAME):
        called = Blocking().call(channel, "unary_unary", b"")

    assert called.code is grpc.StatusCode.ABORTED
    assert called.ids[1] == ["abc"]
    assert ("of-app", "1") in called.trailing


def test_the_context_is_one_of_grpcs():
    seen = []

    class Looking(Blocking):
        @staticmethod
        def unary_unary(request, context):
            seen.append((isinstance(context, grpc.ServicerContext), context.peer(), context.is_active()))
            return b"{}"

    integration.instrument()
    with connected(Looking()) as channel, use_tracking_id():
        Blocking().call(channel, "unary_unary", b"")

    assert seen[0][0] is True
    assert seen[0][2] is True
    assert "127.0.0.1" in seen[0][1]
    assert TRACKING_ID.get() is None


def test_requests_at_once_carry_each_its_own_id(side):
    integration.instrument()
    with connected(side) as channel:

        def call(number):
            with use_tracking_id(f"id-{number}"):
                return side.call(channel, "unary_unary", b"").answers[0]["tracking_id"]

        if isinstance(side, Aio):
            assert [call(number) for number in range(10)] == [f"id-{number}" for number in range(10)]
        else:
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(call, range(40))) == [f"id-{number}" for number in range(40)]
