"""dramatiq: the ID goes with the message, over Redis and RabbitMQ; the actor and what other middlewares enqueue have it."""

from __future__ import annotations

import contextlib
import json

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from integrations.dramatiq_app import declare, make_broker
from integrations.servers import Worker
from trackline import extract, get_tracking_id, use_tracking_id
from trackline.identity import is_trace_id
from trackline.integrations import dramatiq as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


def start(url, directory, instrument="1", processes=2):
    command = ["dramatiq", "integrations.dramatiq_app:broker", "--processes", str(processes), "--threads", "4"]
    return Worker(command, directory, ready="is ready for action", TEST_BROKER=url, TEST_INSTRUMENT=instrument)


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def worker(request, tmp_path_factory):
    url = f"{request.getfixturevalue('redis_url')}/5" if request.param == "redis" else request.getfixturevalue("rabbitmq_url")
    with start(url, tmp_path_factory.mktemp("dramatiq")) as worker:
        worker.url = url
        worker.broker = make_broker(url)
        yield worker
        worker.broker.close()


@pytest.fixture
def send(worker):
    """Send a message to the worker, with options of one's own."""
    integration.instrument(worker.broker)
    yield lambda name, *args, **options: worker.broker.get_actor(name).send_with_options(args=args, **options)
    integration.uninstrument(worker.broker)


@pytest.mark.parametrize("actor", ["say", "say-async"])
def test_the_actor_and_other_middlewares_run_under_the_id_of_the_sender(worker, send, actor):
    with extract(CAME):
        send(actor, f"one-{actor}")

    [begin], [other] = worker.wait_for_lines(f"begin one-{actor}"), worker.wait_for_lines(f"other one-{actor}")
    assert begin["tracking_id"] == other["tracking_id"] == "abc"
    assert begin["trace.id"] == TRACE_ID


@pytest.mark.parametrize("actor", ["say", "say-async"])
def test_fifty_messages_at_once_each_run_under_their_own_id(worker, send, actor):
    for number in range(50):
        with use_tracking_id(f"{actor}-{number}-"):
            send(actor, f"{actor}-{number}-")

    lines = [*worker.wait_for_lines(f"begin {actor}-", 50), *worker.wait_for_lines(f"end {actor}-", 50)]
    assert len(lines) == 100
    assert all(line["message"].split()[1] == line["tracking_id"] for line in lines)


def test_a_message_without_an_id_gets_a_new_one_and_nobody_warns(worker, send):
    with use_tracking_id("before"):
        send("say", "with-an-id")
    for number in range(8):
        send("say", f"without-an-id-{number}")

    new = {line["tracking_id"] for line in worker.wait_for_lines("end without-an-id-", 8)}
    assert len(new) == 8
    assert all(map(is_trace_id, new))
    assert [line for line in worker.lines() if line["log.logger"] == "trackline" and line["log.level"] != "info"] == []


def test_each_try_and_what_an_actor_sends_have_the_same_id(worker, send):
    with use_tracking_id("retried"):
        send("again", "tries")
    with use_tracking_id("nested"):
        send("nest", "nesting")
    with use_tracking_id("later"):
        send("say", "delayed", delay=100)

    assert {line["tracking_id"] for number in range(3) for line in worker.wait_for_lines(f"try {number} tries")} == {"retried"}
    assert {line["tracking_id"] for line in worker.wait_for_lines("begin nesting")} == {"nested"}
    assert {line["tracking_id"] for line in worker.wait_for_lines("begin delayed")} == {"later"}


def test_a_pipeline_has_one_id(worker, send):
    nest, say = worker.broker.get_actor("nest"), worker.broker.get_actor("say")
    with use_tracking_id("piped"):
        messages = nest.message("pipe-1"), say.message_with_options(args=("pipe-2",), pipe_ignore=True)
        dramatiq.pipeline(messages, broker=worker.broker).run()

    for number in (1, 2):
        [line] = worker.wait_for_lines(f"begin pipe-{number}")
        assert line["tracking_id"] == "piped"


def test_an_error_is_logged_under_the_id(worker, send):
    with use_tracking_id("failing"):
        send("again", "erring", max_retries=0)

    worker.wait_for_lines("try 0 erring")
    found = worker.wait_for(lambda: [line for line in worker.lines("Failed to process message") if "erring" in line["message"]])
    assert found[0]["tracking_id"] == "failing"


def test_what_the_user_gives_in_the_options_stays(worker, send):
    with use_tracking_id("ours"):
        send("options", "given", trackline={"x-request-id": "mine"})

    [line] = worker.wait_for_lines("options given")
    assert line["tracking_id"] == "mine"
    assert json.loads(line["labels"]["sent"]) == {"x-request-id": "mine"}


def test_with_the_worker_alone_all_that_an_actor_starts_has_the_ids_new_one(worker, send):
    integration.uninstrument(worker.broker)
    with use_tracking_id("not-sent"):
        send("nest", "alone")

    [outer], [inner] = worker.wait_for_lines("outer alone"), worker.wait_for_lines("begin alone")
    assert is_trace_id(outer["tracking_id"])
    assert inner["tracking_id"] == outer["tracking_id"]


def test_messages_that_wait_while_the_worker_restarts_keep_their_ids(redis_url, tmp_path):
    url = f"{redis_url}/6"
    broker = make_broker(url)
    integration.instrument(broker)
    for number, instrument in ((1, "1"), (2, "1"), (3, "")):
        with use_tracking_id(f"waiting-{number}"):
            broker.get_actor("options").send(f"while-down-{number}")
        (tmp_path / str(number)).mkdir()
        with start(url, tmp_path / str(number), instrument, processes=1) as worker:
            [line] = worker.wait_for_lines("options while-down-")
            assert line["message"] == f"options while-down-{number}"
            assert line.get("tracking_id") == (f"waiting-{number}" if instrument else None)
            assert json.loads(line["labels"]["sent"]) == {"X-Request-ID": f"waiting-{number}"}
            worker.wait_for(lambda: not broker.client.hlen("dramatiq:default.msgs"))
    broker.close()


# In this process: a broker in memory, with a worker's threads.


@pytest.fixture
def stub():
    broker = declare(StubBroker())
    broker.seen = []
    integration.instrument(broker)

    @dramatiq.actor(broker=broker, actor_name="see", max_retries=0)
    def see(mark):
        broker.seen.append(get_tracking_id())

    yield broker
    broker.close()


@contextlib.contextmanager
def working(broker):
    """Run a worker of one thread, until its queue is empty."""
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    try:
        yield
        broker.join("default")
        worker.join()
    finally:
        worker.stop()


def test_a_message_that_is_enqueued_again_in_another_request_has_its_id(stub):
    message = stub.get_actor("see").message("x")
    with working(stub):
        for number in (1, 2):
            with use_tracking_id(f"request-{number}"):
                stub.enqueue(message)

    assert sorted(stub.seen) == ["request-1", "request-2"]
    assert "trackline" not in message.options


def test_a_skipped_message_leaves_nothing_behind(stub):
    after = []

    class After(dramatiq.Middleware):
        def after_ack(self, broker, message):
            after.append(get_tracking_id())

    stub.add_middleware(After())
    with working(stub):
        for mark in ("skipped", "x"):
            with use_tracking_id(mark):
                stub.get_actor("see").send(mark)

    assert after == [None, None]
    assert stub.seen == ["x"]


@pytest.mark.parametrize("sent", [None, 1, "X-Request-ID", ["X-Request-ID"], {"X-Request-ID": 1}, {"X-Request-ID": "not usable"}])
def test_what_is_no_header_in_the_options_does_not_fail_the_message(stub, sent):
    with working(stub):
        stub.get_actor("see").send_with_options(args=("x",), trackline=sent)

    [new] = stub.seen
    assert is_trace_id(new)


def test_an_error_of_ours_fails_neither_the_sending_nor_the_actor(stub, monkeypatch, caplog):
    def fails(*args, **kwargs):
        raise RuntimeError("ours")

    for name in ("inject", "extract"):
        monkeypatch.setattr(integration, name, fails)
    with working(stub):
        stub.get_actor("see").send("x")

    assert stub.seen == [None]
    ours = [record.getMessage() for record in caplog.records if record.name == "trackline"]
    assert ours == ["a message goes out without its tracking ID", "a message is processed without its tracking ID"]


def test_instrumenting_twice_is_once_and_uninstrument_leaves_the_others(stub):
    integration.instrument(stub)
    assert [type(one) for one in stub.middleware].index(integration.TrackingMiddleware) == 0

    others = stub.middleware[1:]
    assert not any(isinstance(one, integration.TrackingMiddleware) for one in others)
    integration.uninstrument(stub)
    assert stub.middleware == others
