"""arq: the ID goes with the job as it is stored, with any serializer; the job runs under it, and the next one does not."""

from __future__ import annotations

import asyncio
import functools
import pickle

import pytest

pytest.importorskip("arq", reason="arq wants redis<6, others want a later one: pip install --no-deps arq")

from arq import Worker as ArqWorker
from arq import connections, create_pool, cron, worker
from arq.connections import RedisSettings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from integrations.arq_app import say, to_json
from integrations.servers import Worker
from trackline import extract, get_tracking_id, use_tracking_id
from trackline.identity import is_trace_id
from trackline.integrations import arq as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}

# redis-py 8 has renamed what arq 0.28, which wants redis-py 5, calls.
pytestmark = pytest.mark.filterwarnings("ignore:Call to .* deprecated:DeprecationWarning")


def start(redis_url, directory, queue, instrument="1"):
    given = {"TEST_BROKER": f"{redis_url}/2", "TEST_QUEUE": queue, "TEST_INSTRUMENT": instrument}
    return Worker(["arq", "integrations.arq_app.WorkerSettings"], directory, ready="Starting worker for", **given)


@pytest.fixture(autouse=True)
def instrumented():
    integration.instrument()
    yield
    integration.uninstrument()


@pytest.fixture(scope="module")
def running(redis_url, tmp_path_factory):
    with start(redis_url, tmp_path_factory.mktemp("arq"), "main") as worker:
        yield worker


@pytest.fixture
async def pool(redis_url):
    """A pool whose jobs the worker runs."""
    pool = await create_pool(RedisSettings.from_dsn(f"{redis_url}/2"), default_queue_name="main")
    yield pool
    await pool.aclose()


@pytest.fixture
async def own_pool(redis_url):
    """A pool whose jobs stay where they are, until a test runs them."""
    pool = await create_pool(RedisSettings.from_dsn(f"{redis_url}/3"), default_queue_name="own")
    yield pool
    await pool.flushdb()
    await pool.aclose()


async def run_in_process(pool, *functions, **options):
    """Run what is queued in this process, in this task's context, until nothing is left."""
    options = {"queue_name": "own", "burst": True, "poll_delay": 0.01, "handle_signals": False, **options}
    worker = ArqWorker(functions=functions, redis_pool=pool, **options)
    await worker.async_run()
    return worker


async def lines(worker, mark, count=1):
    return await asyncio.to_thread(worker.wait_for_lines, mark, count)


async def test_the_job_runs_under_the_id_and_the_trace_of_who_enqueued_it(running, pool):
    with extract(CAME):
        await pool.enqueue_job("say", "one-job")

    [begin] = await lines(running, "begin one-job")
    [end] = await lines(running, "end one-job")
    assert begin["tracking_id"] == end["tracking_id"] == "abc"
    assert begin["trace.id"] == TRACE_ID


async def test_arqs_own_lines_about_the_job_have_the_id_too(running, pool):
    with use_tracking_id("own-lines"):
        job = await pool.enqueue_job("fail", "failing")

    [failed] = await lines(running, f"{job.job_id}:fail failed, ValueError")
    assert failed["tracking_id"] == "own-lines"


async def test_fifty_jobs_at_once_each_run_under_their_own_id(running, pool):
    async def enqueue(number):
        with use_tracking_id(f"fifty-{number}-"):
            await asyncio.sleep(0)
            await pool.enqueue_job("say", f"fifty-{number}-", 0.02)

    await asyncio.gather(*map(enqueue, range(50)))
    found = [*await lines(running, "begin fifty-", 50), *await lines(running, "end fifty-", 50)]
    assert len(found) == 100
    assert all(line["message"].split()[1] == line["tracking_id"] for line in found)


async def test_a_job_without_an_id_gets_a_new_one_and_nobody_warns(running, pool):
    with use_tracking_id("before"):
        await pool.enqueue_job("say", "with-an-id")
    for number in range(4):
        await pool.enqueue_job("say", f"without-an-id-{number}")

    new = {line["tracking_id"] for line in await lines(running, "end without-an-id-", 4)}
    assert len(new) == 4
    assert all(map(is_trace_id, new))
    assert [line for line in running.lines() if line["log.level"] == "warning"] == []


async def test_each_try_and_what_a_job_enqueues_have_the_same_id(running, pool):
    with use_tracking_id("retried"):
        await pool.enqueue_job("again", "tries")
    with use_tracking_id("nested"):
        await pool.enqueue_job("nest", "nesting", _defer_by=0.2)

    assert {line["tracking_id"] for number in (1, 2, 3) for line in await lines(running, f"try {number} tries")} == {"retried"}
    [inner] = await lines(running, "begin nesting")
    assert inner["tracking_id"] == "nested"


async def test_jobs_that_wait_while_the_worker_restarts_keep_their_ids(redis_url, pool, tmp_path):
    for number in (1, 2):
        with use_tracking_id(f"waiting-{number}"):
            await pool.enqueue_job("say", f"while-down-{number}", _queue_name="restarting")
        (tmp_path / str(number)).mkdir()
        with start(redis_url, tmp_path / str(number), "restarting") as worker:
            [line] = await lines(worker, "begin while-down-")
            assert (line["message"], line["tracking_id"]) == (f"begin while-down-{number}", f"waiting-{number}")
            while await pool.zcard("restarting"):  # arq 0.28 may hang if it is told to end just as a job does
                await asyncio.sleep(0.01)


async def test_a_worker_that_is_not_instrumented_runs_the_job_all_the_same(redis_url, pool, tmp_path):
    with start(redis_url, tmp_path, "alone", instrument="") as worker, use_tracking_id("not-read"):
        await pool.enqueue_job("say", "not-read", _queue_name="alone")
        [line] = await lines(worker, "begin not-read")

    assert "tracking_id" not in line


async def test_with_the_worker_alone_the_job_has_a_new_id(running, pool):
    integration.uninstrument()
    with use_tracking_id("not-sent"):
        await pool.enqueue_job("say", "alone")

    [line] = await lines(running, "begin alone")
    assert is_trace_id(line["tracking_id"])


async def test_a_worker_in_this_process_leaves_its_caller_as_it_was(own_pool):
    seen = []

    async def see(ctx):
        seen.append((get_tracking_id(), trace.get_current_span().get_span_context().span_id))

    with extract(CAME):
        await own_pool.enqueue_job("see")
    with TracerProvider().get_tracer("test").start_as_current_span("startup") as span, use_tracking_id("mine"):
        await run_in_process(own_pool, worker.func(see, name="see"))
        assert get_tracking_id() == "mine"
        assert trace.get_current_span() is span

    assert seen == [("abc", 0xB7AD6B7169203331)]


async def test_a_job_that_is_run_by_hand_leaves_nothing_behind(own_pool):
    with use_tracking_id("abc"):
        job = await own_pool.enqueue_job("say", "by-hand")
    await ArqWorker(functions=[say], redis_pool=own_pool, handle_signals=False).run_job(job.job_id, 0)

    assert get_tracking_id() is None


async def test_the_users_own_serializer_is_used(own_pool):
    own_pool.job_serializer = to_json
    with use_tracking_id("abc"):
        job = await own_pool.enqueue_job("say", "json")

    stored = await own_pool.get(f"arq:job:{job.job_id}")
    assert b'"trackline": {"X-Request-ID": "abc"}' in stored


async def test_a_serializer_that_refuses_the_headers_stores_the_job_without(own_pool):
    def strict(job):
        if set(job) != {"t", "f", "a", "k", "et"}:
            raise TypeError(job)
        return pickle.dumps(job)

    own_pool.job_serializer = strict
    with use_tracking_id("abc"):
        job = await own_pool.enqueue_job("say", "strict")

    assert pickle.loads(await own_pool.get(f"arq:job:{job.job_id}"))["a"] == ("strict",)


async def test_a_job_that_cannot_be_stored_fails_as_ever(own_pool):
    with use_tracking_id("abc"), pytest.raises(worker.SerializationError):
        await own_pool.enqueue_job("say", lambda: None)


async def test_a_cron_job_has_a_new_id_each_time(own_pool):
    seen = []

    async def tick(ctx):
        seen.append(get_tracking_id())

    await run_in_process(own_pool, cron_jobs=[cron(tick, run_at_startup=True, unique=False)])
    await run_in_process(own_pool, cron_jobs=[cron(tick, run_at_startup=True, unique=False)])

    assert len(set(seen)) == len(seen) >= 2
    assert all(map(is_trace_id, seen))


@pytest.mark.parametrize("stored", [None, 1, ["X-Request-ID"], {"X-Request-ID": 1, 2: b"\xff"}, {"X-Request-ID": "not usable"}])
async def test_what_is_no_header_in_a_stored_job_does_not_fail_it(own_pool, stored):
    seen = []

    async def see(ctx):
        seen.append(get_tracking_id())

    integration.uninstrument()
    own_pool.job_serializer = lambda job: pickle.dumps({**job, "trackline": stored})
    await own_pool.enqueue_job("see")
    integration.instrument()
    await run_in_process(own_pool, worker.func(see, name="see"))

    [new] = seen
    assert is_trace_id(new)


async def test_an_error_of_ours_fails_neither_the_enqueuing_nor_the_job(own_pool, monkeypatch, caplog):
    seen = []

    async def see(ctx):
        seen.append(get_tracking_id())

    def fails(*args, **kwargs):
        raise RuntimeError("ours")

    for name in ("inject", "extract"):
        monkeypatch.setattr(integration, name, fails)
    await own_pool.enqueue_job("see")
    await run_in_process(own_pool, worker.func(see, name="see"))

    assert seen == [None]
    ours = [record.getMessage() for record in caplog.records if record.name == "trackline"]
    assert ours == ["a job goes out without its tracking ID", "a job runs without its tracking ID"]


def patched():
    return connections.serialize_job, worker.deserialize_job_raw, ArqWorker.run_job


def test_instrumenting_twice_is_once_and_uninstrument_gives_everything_back():
    once = patched()
    integration.instrument()
    assert patched() == once

    integration.uninstrument()
    assert not any(hasattr(function, "__wrapped__") for function in patched())


async def test_what_somebody_wraps_after_us_stays_and_ours_does_nothing_more(own_pool, monkeypatch):
    calls = []
    ours = connections.serialize_job

    @functools.wraps(ours)
    def theirs(*args, **kwargs):
        calls.append(args)
        return ours(*args, **kwargs)

    monkeypatch.setattr(connections, "serialize_job", theirs)
    integration.uninstrument()
    with use_tracking_id("abc"):
        job = await own_pool.enqueue_job("say", "theirs")
    assert len(calls) == 1
    assert "trackline" not in pickle.loads(await own_pool.get(f"arq:job:{job.job_id}"))

    integration.instrument()
    assert connections.serialize_job is theirs
    integration.uninstrument()
    monkeypatch.undo()
    integration.uninstrument()
