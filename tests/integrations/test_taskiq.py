"""taskiq: the ID goes with the task among its labels; the task and the other middlewares run under it, the next task does not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from taskiq import InMemoryBroker, ScheduleSource, TaskiqMiddleware
from taskiq.middlewares.opentelemetry_middleware import OpenTelemetryMiddleware

from integrations.servers import Worker
from integrations.taskiq_app import make_broker
from trackline import extract, get_tracking_id, inject, use_tracking_id
from trackline.identity import is_trace_id
from trackline.integrations import taskiq as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


def start(redis_url, directory, queue, instrument="1", workers=2):
    command = ["taskiq", "worker", "--workers", str(workers), "--no-configure-logging", "integrations.taskiq_app:broker"]
    given = {"TEST_BROKER": redis_url, "TEST_QUEUE": queue, "TEST_INSTRUMENT": instrument}
    return Worker(command, directory, ready="Listening started.", **given)


@pytest.fixture(scope="module")
def worker(redis_url, tmp_path_factory):
    with start(redis_url, tmp_path_factory.mktemp("taskiq"), "main") as worker:
        yield worker


@pytest.fixture
async def broker_of(redis_url):
    """Give a sender's broker of a queue, instrumented."""
    brokers = []

    def make(queue):
        broker = make_broker(redis_url, queue)
        integration.instrument(broker)
        brokers.append(broker)
        return broker

    yield make
    for broker in brokers:
        await broker.connection_pool.disconnect()


@pytest.fixture
def send(broker_of):
    """Send a task to the worker, with labels of one's own."""
    broker = broker_of("main")

    async def send(name, *args, **labels):
        return await broker.find_task(name).kicker().with_labels(**labels).kiq(*args)

    send.broker = broker
    return send


async def lines(worker, mark, count=1):
    return await asyncio.to_thread(worker.wait_for_lines, mark, count)


@pytest.mark.parametrize("task", ["say", "say-sync"])
async def test_the_task_and_other_middlewares_run_under_the_id_of_the_sender(worker, send, task):
    with extract(CAME):
        await send(task, f"one-{task}")

    [begin] = await lines(worker, f"begin one-{task}")
    [other] = await lines(worker, f"other one-{task}")
    assert begin["tracking_id"] == other["tracking_id"] == "abc"
    assert begin["trace.id"] == TRACE_ID


@pytest.mark.parametrize("task", ["say", "say-sync"])
async def test_fifty_tasks_at_once_each_run_under_their_own_id(worker, send, task):
    async def one(number):
        with use_tracking_id(f"{task}-{number}-"):
            await asyncio.sleep(0)
            await send(task, f"{task}-{number}-", 0.02)

    await asyncio.gather(*map(one, range(50)))
    found = [*await lines(worker, f"begin {task}-", 50), *await lines(worker, f"end {task}-", 50)]
    assert len(found) == 100
    assert all(line["message"].split()[1] == line["tracking_id"] for line in found)


async def test_a_task_without_an_id_gets_a_new_one_and_nobody_warns(worker, send):
    with use_tracking_id("before"):
        await send("say", "with-an-id")
    for number in range(4):
        await send("say", f"without-an-id-{number}")

    new = {line["tracking_id"] for line in await lines(worker, "end without-an-id-", 4)}
    assert len(new) == 4
    assert all(map(is_trace_id, new))
    assert [line for line in worker.lines() if line["log.logger"] == "trackline" and line["log.level"] != "info"] == []


async def test_each_try_and_what_a_task_sends_have_the_same_id(worker, send):
    with use_tracking_id("retried"):
        await send("again", "tries")
    with use_tracking_id("nested"):
        await send("nest", "nesting")

    assert {line["tracking_id"] for number in range(3) for line in await lines(worker, f"try {number} tries")} == {"retried"}
    [inner] = await lines(worker, "begin nesting")
    assert inner["tracking_id"] == "nested"


async def test_a_label_that_the_user_sets_stays(worker, send):
    with use_tracking_id("ours"):
        await send("labels", "given", **{"x-request-id": "mine"})

    [line] = await lines(worker, "labels given")
    assert line["tracking_id"] == "mine"
    assert "X-Request-ID" not in line["labels"]["sent"]


async def test_tasks_that_wait_while_the_worker_restarts_keep_their_ids(redis_url, broker_of, tmp_path):
    broker = broker_of("restarting")
    for number in (1, 2):
        with use_tracking_id(f"waiting-{number}"):
            await broker.find_task("say").kiq(f"while-down-{number}")
        (tmp_path / str(number)).mkdir()
        with start(redis_url, tmp_path / str(number), "restarting", workers=1) as worker:
            [line] = await lines(worker, "begin while-down-")
            assert (line["message"], line["tracking_id"]) == (f"begin while-down-{number}", f"waiting-{number}")
            if number == 1:
                await asyncio.to_thread(worker.stop)


async def test_a_worker_that_is_not_instrumented_runs_the_task_and_finds_the_labels(redis_url, broker_of, tmp_path):
    with start(redis_url, tmp_path, "alone", instrument="", workers=1) as worker, extract(CAME):
        await broker_of("alone").find_task("labels").kiq("not-read")
        [line] = await lines(worker, "labels not-read")

    assert "tracking_id" not in line
    assert all(name in line["labels"]["sent"] for name in CAME)


async def test_with_the_worker_alone_the_task_has_a_new_id(worker, send):
    integration.uninstrument(send.broker)
    with use_tracking_id("not-sent"):
        await send("nest", "alone")

    [outer], [inner] = await lines(worker, "outer alone"), await lines(worker, "begin alone")
    assert is_trace_id(outer["tracking_id"])
    assert inner["tracking_id"] == outer["tracking_id"]


# In this process: the broker runs the task where it is sent, in place, in the sender's own context.


@pytest.fixture
def here():
    broker = InMemoryBroker(await_inplace=True)
    broker.seen = []
    integration.instrument(broker)

    @broker.task("see")
    async def see() -> None:
        broker.seen.append(get_tracking_id())

    @broker.task("see-nested")
    async def nested(fails: bool = False) -> None:
        broker.seen.append(get_tracking_id())
        await see.kicker().with_labels(**{"X-Request-ID": "inner"}).kiq()
        broker.seen.append(get_tracking_id())
        if fails:
            raise ValueError

    return broker


@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_that_runs_in_place_gives_its_callers_id_back(here, fails):
    with use_tracking_id("caller"):
        await here.find_task("see-nested").kicker().with_labels(**{"X-Request-ID": "outer"}).kiq(fails)
        assert get_tracking_id() == "caller"

    assert here.seen == ["outer", "inner", "outer"]


async def test_a_scheduled_task_has_the_id_that_was_put_into_its_labels(here):
    class Source(ScheduleSource):
        async def get_schedules(self):
            return scheduled

        async def add_schedule(self, schedule):
            scheduled.append(schedule)

    scheduled = []
    with use_tracking_id("abc"):
        labels = {}
        inject(labels)
        await here.find_task("see").kicker().with_labels(**labels).schedule_by_time(Source(), datetime.now(UTC))
    [task] = scheduled
    await here.find_task("see").kicker().with_labels(**task.labels).kiq()

    assert here.seen == ["abc"]


async def test_an_error_of_ours_fails_neither_the_sending_nor_the_task(here, monkeypatch, caplog):
    def fails(*args, **kwargs):
        raise RuntimeError("ours")

    for name in ("inject", "extract"):
        monkeypatch.setattr(integration, name, fails)
    await here.find_task("see").kiq()

    assert here.seen == [None]
    ours = [record.getMessage() for record in caplog.records if record.name == "trackline"]
    assert ours == ["a task goes out without its tracking ID", "a task runs without its tracking ID"]


def test_instrumenting_twice_is_once_and_uninstrument_leaves_the_others(here):
    class Theirs(TaskiqMiddleware):
        pass

    here.add_middlewares(Theirs())
    integration.instrument(here)
    assert [type(one) for one in here.middlewares] == [integration.TrackingMiddleware, Theirs]

    integration.uninstrument(here)
    assert [type(one) for one in here.middlewares] == [Theirs]


@pytest.mark.parametrize("order", ["ours first", "theirs first", "instrument"])
async def test_with_taskiqs_opentelemetry_the_consumer_span_is_the_parent_of_what_the_task_does(order):
    provider, exporter, broker = TracerProvider(), InMemorySpanExporter(), InMemoryBroker(await_inplace=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer, seen, sent = provider.get_tracer("test"), [], []
    both = [integration.TrackingMiddleware(), OpenTelemetryMiddleware(tracer_provider=provider)]
    broker.add_middlewares(*(both if order == "ours first" else both[::-1] if order == "theirs first" else both[1:]))
    if order == "instrument":
        integration.instrument(broker)

    @broker.task("see")
    async def see() -> None:
        seen.append((get_tracking_id(), f"{trace.get_current_span().get_span_context().trace_id:032x}"))
        with tracer.start_as_current_span("inner"):
            pass

    class Look(TaskiqMiddleware):
        def pre_execute(self, message):
            sent.append(dict(message.labels))
            return message

    broker.add_middlewares(Look())
    with extract(CAME):
        await see.kiq()
    inner, consumer, producer = exporter.get_finished_spans()
    assert (inner.parent.span_id, consumer.parent.span_id) == (consumer.context.span_id, producer.context.span_id)
    assert seen == [("abc", TRACE_ID)]
    assert sorted(name for name in sent[0] if not name.startswith("_")) == ["X-Request-ID", "traceparent"]
    assert sent[0]["traceparent"].split("-")[2] == f"{producer.context.span_id:016x}"

    exporter.clear()
    await see.kiq()
    inner, consumer, producer = exporter.get_finished_spans()
    assert producer.parent is None
    assert inner.parent.span_id == consumer.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid
    assert get_tracking_id() is None
    if order != "ours first":
        assert seen[1][0] == seen[1][1]
