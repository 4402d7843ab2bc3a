"""Celery: the publisher's ID is what the task runs under, in every pool and through every canvas; afterwards it is gone."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest
from celery import chain, chord, group, signals
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from integrations.celery_app import make_app, make_publisher
from integrations.servers import Worker
from trackline import extract, get_tracking_id, use_tracking_id
from trackline.identity import is_trace_id
from trackline.integrations import celery as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
POOLS = {"prefork": ("prefork", "2"), "threads": ("threads", "4"), "solo": ("solo", "1")}


def start(redis_url, directory, queue, *, pool="solo", instrument="trackline", **environment):
    kind, processes = POOLS[pool]
    command = ["celery", "-A", "integrations.celery_app", "worker", "--pool", kind, "--concurrency", processes]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--hostname", f"{queue}@localhost"]
    given = {"TEST_BROKER": redis_url, "TEST_QUEUE": queue, "TEST_INSTRUMENT": instrument, **environment}
    return Worker([*command, *options], directory, ready=f"{queue}@localhost ready.", **given)


@pytest.fixture(autouse=True)
def instrumented():
    integration.instrument()
    yield
    integration.uninstrument()


@pytest.fixture(scope="module", params=POOLS)
def pool(request, redis_url, tmp_path_factory):
    with start(redis_url, tmp_path_factory.mktemp(request.param), request.param, pool=request.param) as worker:
        worker.app = make_publisher(redis_url, request.param)
        yield worker


@pytest.fixture(scope="module")
def worker(redis_url, tmp_path_factory):
    with start(redis_url, tmp_path_factory.mktemp("prefork"), "main", pool="prefork") as worker:
        worker.app = make_publisher(redis_url, "main")
        yield worker


def ids(lines):
    return {line["tracking_id"] for line in lines}


def send(worker, task, *args, **options):
    return worker.app.tasks[task].apply_async(args, **options)


def test_the_task_runs_under_the_id_and_the_trace_of_its_publisher(worker):
    with extract(CAME):
        result = send(worker, "say", "one-task")

    [begin, end] = worker.wait_for_lines("one-task", 3)[:2]
    assert begin["tracking_id"] == end["tracking_id"] == "abc"
    assert begin["trace.id"] == TRACE_ID
    assert begin["labels"] == {"celery_task_id": result.id, "celery_task_name": "say"}


def test_celerys_own_lines_about_the_task_have_the_id_too(worker):
    with use_tracking_id("own-lines"):
        send(worker, "fail", "failing")
        result = send(worker, "say", "succeeding")

    [failed] = worker.wait_for_lines("raised unexpected: ValueError('failing')")
    [succeeded] = worker.wait_for_lines(f"{result.id}] succeeded")
    assert failed["tracking_id"] == succeeded["tracking_id"] == "own-lines"


def test_fifty_tasks_at_once_each_run_under_their_own_id(pool):
    for number in range(50):
        with use_tracking_id(f"fifty-{number}-"):
            send(pool, "say", f"fifty-{number}-", 0.01)

    lines = [*pool.wait_for_lines("begin fifty-", 50), *pool.wait_for_lines("end fifty-", 50)]
    assert len(lines) == 100
    assert all(line["message"].split()[1] == line["tracking_id"] for line in lines)


def test_a_task_without_an_id_gets_a_new_one_and_nobody_warns(pool):
    with use_tracking_id("before"):
        send(pool, "say", "with-an-id")
    for number in range(8):
        send(pool, "say", f"without-an-id-{number}")

    lines = pool.wait_for_lines("end without-an-id-", 8)
    assert all(is_trace_id(line["tracking_id"]) for line in lines)
    assert len(ids(lines)) == 8
    # Celery itself warns of running as root.
    assert [line for line in pool.lines() if line["log.level"] == "warning" and line["log.logger"] != "py.warnings"] == []


def test_between_tasks_a_process_has_no_id(pool):
    with use_tracking_id("between"):
        send(pool, "say", "between")

    pool.wait_for_lines("end between")
    assert all(line.get("tracking_id") is None for line in pool.lines(" received"))


def test_each_try_of_a_task_has_the_same_id(worker):
    with use_tracking_id("retried"):
        send(worker, "again", "tries")

    assert ids(line for number in range(3) for line in worker.wait_for_lines(f"try {number} tries")) == {"retried"}


def test_a_task_that_a_task_publishes_has_the_id_and_its_parent(worker):
    with use_tracking_id("nested"):
        result = send(worker, "nest", "nesting")

    [line] = worker.wait_for_lines("begin nesting")
    assert line["tracking_id"] == "nested"
    assert line["labels"]["celery_parent_id"] == result.id


def test_a_chain_has_one_id_and_each_task_its_parent(worker):
    say = worker.app.tasks["say"]
    with use_tracking_id("chained"):
        result = chain(say.si("link-1"), say.si("link-2"), say.si("link-3")).apply_async()

    [last] = worker.wait_for_lines("begin link-3")
    assert ids(worker.wait_for_lines("begin link-", 3)) == {"chained"}
    assert last["labels"]["celery_parent_id"] == result.parent.id


def test_a_group_and_a_chord_with_its_callback_have_one_id(worker):
    say, join = worker.app.tasks["say"], worker.app.tasks["join"]
    with use_tracking_id("grouped"):
        group(say.s(f"member-{number}") for number in range(4)).apply_async()
    with use_tracking_id("chorded"):
        chord([say.s(f"voice-{number}") for number in range(4)], join.s("chord")).apply_async()

    assert ids(worker.wait_for_lines("begin member-", 4)) == {"grouped"}
    [joined] = worker.wait_for_lines("join 4 chord")
    assert ids([joined, *worker.wait_for_lines("begin voice-", 4)]) == {"chorded"}


def test_a_callback_of_a_failed_task_has_the_id(worker):
    with use_tracking_id("linked"):
        send(worker, "fail", "for-errback", link_error=worker.app.tasks["say"].si("errback"))

    [line] = worker.wait_for_lines("begin errback")
    assert line["tracking_id"] == "linked"


def test_a_task_for_later_keeps_the_id(worker):
    with use_tracking_id("later"):
        send(worker, "say", "countdown", countdown=0.5)
    with use_tracking_id("other"):
        send(worker, "say", "meanwhile")

    [line] = worker.wait_for_lines("begin countdown")
    assert line["tracking_id"] == "later"


def test_an_id_that_the_user_gives_in_the_headers_stays(worker):
    with use_tracking_id("ours"):
        send(worker, "headers", "given", headers={"x-request-id": "mine"})

    [line] = worker.wait_for_lines("headers given")
    assert line["tracking_id"] == "mine"
    assert "X-Request-ID" not in line["labels"]["headers"]


def test_tasks_that_wait_while_the_worker_restarts_keep_their_ids(redis_url, tmp_path):
    app = make_publisher(redis_url, "restarting")
    for number in (1, 2):
        with use_tracking_id(f"waiting-{number}"):
            app.tasks["say"].delay(f"while-down-{number}")
        (tmp_path / str(number)).mkdir()
        with start(redis_url, tmp_path / str(number), "restarting") as worker:
            [line] = worker.wait_for_lines("begin while-down-")
            assert (line["message"], line["tracking_id"]) == (f"begin while-down-{number}", f"waiting-{number}")
            if number == 1:
                worker.stop()


def test_with_the_worker_alone_all_that_a_task_starts_has_the_ids_new_one(worker):
    integration.uninstrument()
    say = worker.app.tasks["say"]
    with use_tracking_id("not-sent"):
        chain(say.si("alone-1"), say.si("alone-2")).apply_async()

    [new] = ids(worker.wait_for_lines("begin alone-", 2))
    assert is_trace_id(new)


def test_with_the_publisher_alone_the_task_finds_the_id_in_its_headers(redis_url, tmp_path):
    app = make_publisher(redis_url, "alone")
    with start(redis_url, tmp_path, "alone", instrument="") as worker, extract(CAME):
        app.tasks["headers"].delay("publisher")
        [line] = worker.wait_for_lines("headers publisher")

    assert json.loads(line["labels"]["headers"]) == CAME
    assert "tracking_id" not in line


# Eager: in the caller's own thread.


@pytest.fixture
def eager():
    app = make_app("memory://")
    app.conf.update(task_always_eager=True, task_eager_propagates=True, broker_url="memory://", result_backend="cache+memory://")
    seen = []

    @app.task(name="see", shared=False)
    def see():
        seen.append(get_tracking_id())

    @app.task(name="see-nested", shared=False)
    def nested():
        seen.append(get_tracking_id())
        see.delay()
        seen.append(get_tracking_id())

    app.seen = seen
    return app


def test_an_eager_task_runs_under_its_callers_id_which_is_there_afterwards(eager):
    with use_tracking_id("caller"):
        eager.tasks["see-nested"].delay()
        assert get_tracking_id() == "caller"

    assert eager.seen == ["caller"] * 3


def test_an_eager_task_with_an_id_of_its_own_gives_the_callers_back(eager):
    with use_tracking_id("caller"):
        eager.tasks["see-nested"].apply_async(headers={"X-Request-ID": "mine"})
        assert get_tracking_id() == "caller"

    assert eager.seen[0] == eager.seen[2] == "mine"


def test_an_eager_task_outside_of_a_request_gets_a_new_id_which_goes_with_it(eager):
    eager.tasks["see-nested"].delay()

    assert len(set(eager.seen)) == 1
    assert is_trace_id(eager.seen[0])
    assert get_tracking_id() is None


def test_an_eager_task_that_raises_gives_the_callers_id_back(eager):
    with use_tracking_id("caller"):
        with pytest.raises(ValueError, match="eager"):
            eager.tasks["fail"].apply_async(("eager",), headers={"X-Request-ID": "mine"})
        assert get_tracking_id() == "caller"
    assert get_tracking_id() is None


def test_the_span_of_an_eager_tasks_caller_stays_current(eager):
    seen = []

    @eager.task(name="span", shared=False)
    def span():
        seen.append(trace.get_current_span())

    with TracerProvider().get_tracer("test").start_as_current_span("request") as current:
        span.delay()
        span.apply_async(headers=CAME)

    assert seen == [current, current]


def test_an_error_of_ours_fails_neither_the_publishing_nor_the_task(eager, monkeypatch, caplog):
    def fails(*args, **kwargs):
        raise RuntimeError("ours")

    for name in ("inject", "extract"):
        monkeypatch.setattr(integration, name, fails)
    eager.tasks["see"].delay()
    assert eager.seen == [None]
    assert caplog.messages == ["a task runs without its tracking ID"]

    caplog.clear()
    eager.conf.task_always_eager = False
    eager.tasks["see"].delay()
    assert caplog.messages == ["a task goes out without its tracking ID"]


def test_instrumenting_twice_is_once_and_uninstrument_leaves_nothing():
    def connected():
        return [len(signal.receivers) for signal, _ in integration._RECEIVERS]

    once = connected()
    integration.instrument()
    assert connected() == once
    integration.uninstrument()
    assert connected() == [number - 1 for number in once]
    assert not signals.setup_logging.receivers


def test_the_filter_stamps_what_is_logged_in_a_task_and_leaves_what_a_record_has(eager):
    records = []

    @eager.task(name="stamp", shared=False)
    def stamp():
        for given in ({}, {"celery.task_id": "mine"}):
            records.append(logging.makeLogRecord(given))
            assert integration.TaskFilter().filter(records[-1])

    result = stamp.delay()
    stamp()  # called directly, it is no task
    [first, second, *direct] = [{name: value for name, value in vars(record).items() if "celery" in name} for record in records]

    assert first == {"celery.task_id": result.id, "celery.task_name": "stamp"}
    assert second == {"celery.task_id": "mine", "celery.task_name": "stamp"}
    assert direct == [{}, {"celery.task_id": "mine"}]


def test_trackline_itself_does_not_import_celery():
    code = "import sys, trackline; sys.exit('celery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Together with OpenTelemetry's own instrumentation.


@pytest.fixture
def provider():
    provider = TracerProvider()
    provider.spans = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(provider.spans))
    return provider


@pytest.fixture(scope="module", params=["trackline opentelemetry", "opentelemetry trackline"])
def traced_worker(request, redis_url, tmp_path_factory):
    queue = request.param.replace(" ", "-")
    with start(redis_url, tmp_path_factory.mktemp("traced"), queue, instrument=request.param, TEST_OTEL="1") as worker:
        worker.app = make_publisher(redis_url, queue)
        yield worker


def lines_of_traced(worker, mark):
    """Give the line of a task "trace", and those of the span inside of it and of the consumer's, which comes last."""
    [line] = worker.wait_for_lines(f"traced {mark}")
    [inner] = worker.wait_for_lines(f"span inner {mark}")
    found = worker.wait_for(lambda: [one for one in worker.lines("span run/trace") if one["@timestamp"] > inner["@timestamp"]])
    return line, inner, found[0]


@pytest.mark.parametrize("order", ["first", "second"])
def test_with_opentelemetry_too_the_consumer_span_is_the_parent_of_what_the_task_does(traced_worker, provider, order):
    if order == "second":
        integration.uninstrument()
    CeleryInstrumentor().instrument(tracer_provider=provider)
    integration.instrument()
    try:
        with extract(CAME):
            traced_worker.app.tasks["trace"].delay(order)
    finally:
        CeleryInstrumentor().uninstrument()

    line, inner, consumer = lines_of_traced(traced_worker, order)
    [producer] = provider.spans.get_finished_spans()
    assert inner["labels"]["parent"] == consumer["labels"]["span"]
    assert consumer["labels"]["parent"] == f"{producer.context.span_id:016x}"
    assert line["trace.id"] == inner["labels"]["trace"] == f"{producer.context.trace_id:032x}" == TRACE_ID
    assert line["tracking_id"] == "abc"


def test_with_opentelemetry_too_the_next_task_has_nothing_of_the_one_before(traced_worker):
    with extract(CAME):
        traced_worker.app.tasks["trace"].delay("joined")
    traced_worker.wait_for_lines("span inner joined")
    integration.uninstrument()
    traced_worker.app.tasks["trace"].delay("root")

    line, inner, consumer = lines_of_traced(traced_worker, "root")
    assert consumer["labels"]["parent"] is None
    assert inner["labels"]["parent"] == consumer["labels"]["span"]
    assert line["trace.id"] == consumer["labels"]["trace"] != TRACE_ID
    assert re.fullmatch("[0-9a-f]{32}", line["tracking_id"])  # the SDK's own trace ID, or a new one: which of us comes first decides


def test_with_opentelemetry_too_nothing_is_sent_twice(provider):
    sent = []

    def look(headers=None, **_):
        sent.append(headers)

    app = make_app("memory://")
    app.conf.update(broker_url="memory://", result_backend="cache+memory://")
    CeleryInstrumentor().instrument(tracer_provider=provider)
    signals.before_task_publish.connect(look)
    try:
        with extract(CAME):
            app.tasks["say"].apply_async(("x",))
    finally:
        signals.before_task_publish.disconnect(look)
        CeleryInstrumentor().uninstrument()

    [headers] = sent
    assert sorted(name.lower() for name in headers if name.lower() in integration._NAMES) == ["traceparent", "x-request-id"]
    [producer] = provider.spans.get_finished_spans()
    assert headers["traceparent"].split("-")[2] == f"{producer.context.span_id:016x}"
