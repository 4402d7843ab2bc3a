"""aio-pika: the ID goes in the message's headers; callbacks and process() blocks run under it, the code around them does not."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.exchange import Exchange
from aio_pika.message import ProcessContext
from aio_pika.queue import Queue
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trackline import extract, get_tracking_id, use_tracking_id
from trackline.context import current_span_ids
from trackline.identity import is_trace_id
from trackline.integrations import aio_pika as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


@pytest.fixture(autouse=True)
def instrumented():
    integration.instrument()
    yield
    integration.uninstrument()


@pytest.fixture(params=["connect", "connect_robust"])
async def queue(request, rabbitmq_url):
    """A queue of this test's own; `queue.publish` sends to it, `queue.seen` has what `queue.see` saw."""
    # What connects, and what begins to consume, does so in a request of its own, whose ID must not be that of the messages.
    with use_tracking_id("connecting"), TracerProvider().get_tracer("test").start_as_current_span("connecting"):
        connection = await getattr(aio_pika, request.param)(rabbitmq_url)
        channel = await connection.channel()
    async with connection:
        queue = await channel.declare_queue(exclusive=True)

        class Own:
            def __init__(self):
                self.arrived, self.seen = asyncio.Event(), []
                self.amqp, self.channel = queue, channel

            async def publish(self, body=b"", count=1, **options):
                message = body if isinstance(body, aio_pika.abc.AbstractMessage) else Message(body, **options)
                for _ in range(count):
                    await channel.default_exchange.publish(message, routing_key=queue.name)

            async def see(self, message):
                self.seen.append((message.body, get_tracking_id(), current_span_ids()[0]))
                self.headers = dict(message.headers)
                self.arrived.set()

            async def wait(self, count=1):
                while len(self.seen) < count:
                    self.arrived.clear()
                    await asyncio.wait_for(self.arrived.wait(), 5)
                return self.seen

        yield Own()


async def test_a_callback_runs_under_the_id_and_the_trace_of_the_publisher(queue):
    await queue.amqp.consume(queue.see, no_ack=True)
    with extract(CAME):
        await queue.publish(b"x")

    assert await queue.wait() == [(b"x", "abc", TRACE_ID)]
    assert queue.headers == CAME


async def test_fifty_messages_at_once_are_each_handled_under_their_own_id(queue):
    async def handle(message):
        before = get_tracking_id()
        async with message.process():
            await asyncio.sleep(0.01)
            inside = get_tracking_id()
        assert before == inside == get_tracking_id()
        await queue.see(message)

    async def publish(number):
        with use_tracking_id(f"id-{number}"):
            await asyncio.sleep(0)
            await queue.publish(f"id-{number}".encode())

    await queue.amqp.consume(handle)
    await asyncio.gather(*map(publish, range(50)))
    seen = await queue.wait(50)
    assert sorted(body.decode() for body, _, _ in seen) == sorted(f"id-{number}" for number in range(50))
    assert all(body.decode() == tracking_id for body, tracking_id, _ in seen)


async def test_a_message_without_an_id_gets_a_new_one_whoever_connected(queue, caplog):
    with use_tracking_id("consuming"):
        await queue.amqp.consume(queue.see, no_ack=True)
    await queue.publish(b"x", 3)

    ids = [tracking_id for _, tracking_id, _ in await queue.wait(3)]
    assert len(set(ids)) == 3
    assert all(map(is_trace_id, ids))
    assert ids == [trace_id for _, _, trace_id in queue.seen]
    assert caplog.messages == []


async def test_an_iterators_messages_are_handled_under_their_ids_inside_of_process(queue):
    for number in range(3):
        with use_tracking_id(f"id-{number}"):
            await queue.publish(f"id-{number}".encode())
    with use_tracking_id("loop"):
        async with queue.amqp.iterator() as messages:
            async for message in messages:
                async with message.process():
                    await queue.see(message)
                assert get_tracking_id() == "loop"
                if len(queue.seen) == 3:
                    break

    assert [(body.decode(), tracking_id) for body, tracking_id, _ in queue.seen] == [(f"id-{number}",) * 2 for number in range(3)]


async def test_a_message_that_was_got_and_whose_block_raises_gives_the_id_back(queue):
    with extract(CAME):
        await queue.publish(b"x")
    with use_tracking_id("mine"):
        message = await queue.amqp.get(timeout=5)
        with contextlib.suppress(ZeroDivisionError):
            async with message.process():
                await queue.see(message)
                _ = 1 / 0
        assert get_tracking_id() == "mine"

    assert queue.seen == [(b"x", "abc", TRACE_ID)]


async def test_what_a_callback_publishes_has_the_id_also_if_its_own_id_was_set_meanwhile(queue):
    async def handle(message):
        async with message.process():
            if message.body == b"first":
                await queue.publish(b"second")
                with use_tracking_id("other"):
                    await queue.publish(b"third")
        await queue.see(message)

    await queue.amqp.consume(handle)
    with use_tracking_id("abc"):
        await queue.publish(b"first")

    assert {body: tracking_id for body, tracking_id, _ in await queue.wait(3)} == {b"first": "abc", b"second": "abc", b"third": "other"}


async def test_an_id_that_the_user_sets_inside_of_a_callback_is_kept_in_process(queue):
    async def handle(message):
        with use_tracking_id("mine"):
            async with message.process():
                await queue.see(message)

    await queue.amqp.consume(handle)
    with use_tracking_id("abc"):
        await queue.publish(b"x")

    assert (await queue.wait())[0][1] == "mine"


async def test_a_header_that_the_user_sets_stays(queue):
    await queue.amqp.consume(queue.see, no_ack=True)
    with use_tracking_id("ours"):
        await queue.publish(b"x", headers={"x-request-id": "mine", "count": 1})

    assert (await queue.wait())[0][1] == "mine"
    assert queue.headers == {"x-request-id": "mine", "count": 1}


async def test_a_message_that_is_published_again_in_another_request_has_its_id(queue):
    await queue.amqp.consume(queue.see, no_ack=True)
    message = Message(b"x", headers={"kept": "1"}, correlation_id="c", content_type="text/plain")

    async def publish(tracking_id):
        with use_tracking_id(tracking_id):
            await queue.publish(message)

    await asyncio.gather(*map(publish, ["one", "two"]))
    assert sorted(tracking_id for _, tracking_id, _ in await queue.wait(2)) == ["one", "two"]
    assert message.headers == {"kept": "1"}


async def test_a_message_that_came_and_is_published_on_keeps_its_id(queue):
    with use_tracking_id("abc"):
        await queue.publish(b"x", reply_to="r", message_id="m")
    message = await queue.amqp.get(no_ack=True, timeout=5)
    with use_tracking_id("forwarder"):
        await queue.publish(message)
    again = await queue.amqp.get(no_ack=True, timeout=5)

    assert (again.headers, again.reply_to, again.message_id) == ({"X-Request-ID": "abc"}, "r", "m")


async def test_messages_that_wait_while_the_consumer_is_away_keep_their_ids(rabbitmq_url):
    for number in (1, 2):
        connection = await aio_pika.connect(rabbitmq_url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("waiting", durable=True)
            if number == 1:
                with use_tracking_id("waiting"):
                    await channel.default_exchange.publish(Message(b"x", delivery_mode=2), routing_key="waiting")
            else:
                message = await queue.get(timeout=5)
                async with message.process():
                    assert get_tracking_id() == "waiting"
                await queue.delete()


@pytest.mark.filterwarnings("ignore:Function .* returned a non awaitable:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:You probably registering the non-coroutine function:DeprecationWarning")
async def test_callbacks_of_all_kinds(queue, caplog):
    class Handler:
        async def __call__(self, message):
            await queue.see(message)

        async def method(self, message, extra=None):
            await queue.see(message)

    def plain(message):
        queue.seen.append((message.body, get_tracking_id(), None))
        queue.arrived.set()

    handler = Handler()
    for count, callback in enumerate([handler, handler.method, functools.partial(handler.method, extra=1), plain], 1):
        tag = await queue.amqp.consume(callback, no_ack=True)
        with use_tracking_id("abc"):
            await queue.publish(b"x")
        assert (await queue.wait(count))[-1][1] == "abc"
        await queue.amqp.cancel(tag)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "headers", [{"X-Request-ID": "not usable"}, {"X-Request-ID": 1, "traceparent": None}, {"X-Request-ID": ["a b"]}]
)
async def test_what_is_no_header_does_not_fail_the_message(queue, headers):
    await queue.amqp.consume(queue.see, no_ack=True)
    await queue.publish(b"x", headers=headers)

    [(_, tracking_id, _)] = await queue.wait()
    assert is_trace_id(tracking_id)


async def test_an_error_of_ours_fails_neither_the_publishing_nor_the_callback(queue, monkeypatch, caplog):
    def fails(*args, **kwargs):
        raise RuntimeError("ours")

    for name in ("inject", "extract"):
        monkeypatch.setattr(integration, name, fails)
    await queue.amqp.consume(queue.see, no_ack=True)
    await queue.publish(b"x")

    await queue.wait()
    assert caplog.messages == ["a message goes out without its tracking ID", "a message is handled without its tracking ID"]


def patched():
    return Exchange.publish, Queue.consume, ProcessContext.__aenter__, ProcessContext.__aexit__


def test_instrumenting_twice_is_once_and_uninstrument_gives_everything_back():
    once = patched()
    integration.instrument()
    assert patched() == once

    integration.uninstrument()
    assert not any(hasattr(function, "__wrapped__") for function in patched())


async def test_uninstrumented_callbacks_that_are_consuming_are_as_before(queue):
    await queue.amqp.consume(queue.see, no_ack=True)
    integration.uninstrument()
    with use_tracking_id("abc"):
        await queue.publish(b"x")

    assert (await queue.wait())[0][1] != "abc"
    assert queue.headers == {}


async def test_what_somebody_wraps_after_us_stays(queue, monkeypatch):
    calls, ours = [], Exchange.publish

    @functools.wraps(ours)
    async def theirs(*args, **kwargs):
        calls.append(args)
        return await ours(*args, **kwargs)

    monkeypatch.setattr(Exchange, "publish", theirs)
    integration.uninstrument()
    await queue.amqp.consume(queue.see, no_ack=True)
    with use_tracking_id("abc"):
        await queue.publish(b"x")
    await queue.wait()

    assert len(calls) == 1
    assert queue.headers == {}
    monkeypatch.undo()
    integration.uninstrument()


# Spans.


@pytest.fixture
def provider():
    provider = TracerProvider()
    provider.spans = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(provider.spans))
    return provider


async def test_a_span_inside_of_the_callback_is_a_child_of_the_publishers(queue, provider):
    tracer = provider.get_tracer("test")

    async def handle(message):
        with tracer.start_as_current_span("handle"):
            async with message.process():
                queue.current = trace.get_current_span()
        await queue.see(message)

    await queue.amqp.consume(handle)
    with extract(CAME), tracer.start_as_current_span("publish") as publisher:
        await queue.publish(b"x")
    await queue.wait()

    handle = next(span for span in provider.spans.get_finished_spans() if span.name == "handle")
    assert handle.parent.span_id == publisher.get_span_context().span_id
    assert queue.current.get_span_context().span_id == handle.context.span_id


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.instrumentation.aio_pika") is None,
    reason="opentelemetry-instrumentation-aio-pika is not installed",
)
@pytest.mark.parametrize("order", ["ours first", "theirs first"])
async def test_with_opentelemetry_too_nothing_is_sent_twice_and_the_consumer_span_is_the_parent(queue, provider, order):
    from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor

    tracer = provider.get_tracer("test")

    async def handle(message):
        async with message.process():
            with tracer.start_as_current_span("inner"):
                await queue.see(message)

    integration.uninstrument()
    steps = [integration.instrument, lambda: AioPikaInstrumentor().instrument(tracer_provider=provider)]
    for step in steps if order == "ours first" else steps[::-1]:
        step()
    try:
        await queue.amqp.consume(handle)
        with extract(CAME):
            await queue.publish(b"x")
        [first] = await queue.wait()
        spans = {span.kind.name: span for span in provider.spans.get_finished_spans()}
        headers = queue.headers
        await queue.publish(b"y")
        await queue.wait(2)
    finally:
        if order == "theirs first":
            integration.uninstrument()  # theirs does not find its wrapper below another
        AioPikaInstrumentor().uninstrument()

    assert sorted(headers) == ["X-Request-ID", "traceparent"]
    assert headers["traceparent"].split("-")[2] == f"{spans['PRODUCER'].context.span_id:016x}"
    assert first == (b"x", "abc", TRACE_ID)
    inner = next(span for span in provider.spans.get_finished_spans() if span.name == "inner")
    consumer = next(span for span in provider.spans.get_finished_spans() if span.kind.name == "CONSUMER")
    assert inner.parent.span_id == consumer.context.span_id
    assert consumer.parent.span_id == spans["PRODUCER"].context.span_id
    assert queue.seen[1][1] != "abc"
