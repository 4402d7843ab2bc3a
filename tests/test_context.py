"""Where the ID of now comes from, and how it goes along."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from trackline import TRACKING_ID, carry, get_tracking_id, use_tracking_id
from trackline import context as context_module
from trackline.context import IDENTITY, OTEL_KEY, current_span_ids, get_identity
from trackline.identity import Identity, derive_trace_id, is_trace_id

tracer = TracerProvider().get_tracer("test")


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(context_module, "_warned", set())


def test_there_is_no_id_outside_of_a_request():
    assert get_tracking_id() is None
    assert get_identity() is None
    assert current_span_ids() == (None, None, None)


def test_the_origins_way_of_setting_it_works():
    token = TRACKING_ID.set("abc")
    assert (TRACKING_ID.get(), get_tracking_id()) == ("abc", "abc")
    TRACKING_ID.reset(token)
    assert TRACKING_ID.get() is None


def test_otels_context_is_asked_where_the_variable_is_empty():
    token = otel_context.attach(otel_context.set_value(OTEL_KEY, "from-the-worker"))
    try:
        assert get_tracking_id() == "from-the-worker"
        with use_tracking_id("mine"):
            assert get_tracking_id() == "mine"
    finally:
        otel_context.detach(token)


def test_an_id_set_by_hand_does_not_have_the_trace_of_the_request():
    IDENTITY.set(Identity("request", "1" * 32))
    TRACKING_ID.set("by-hand")

    assert get_identity().tracking_id == "by-hand"
    assert current_span_ids() == (derive_trace_id("by-hand"), None, None)


def test_use_gives_the_id_and_takes_it_back():
    with use_tracking_id("abc") as tracking_id:
        assert tracking_id == get_tracking_id() == "abc"
        with use_tracking_id("inner"):
            assert get_tracking_id() == "inner"
        assert get_tracking_id() == "abc"
    assert get_tracking_id() is None


def test_use_takes_it_back_when_the_block_raises():
    with pytest.raises(ZeroDivisionError), use_tracking_id("abc"):
        _ = 1 / 0
    assert get_tracking_id() is None


def test_use_without_an_id_makes_one_and_says_nothing(caplog):
    with use_tracking_id() as tracking_id:
        assert is_trace_id(tracking_id)
    assert caplog.records == []


def test_a_lost_id_is_said_once_for_each_place_with_the_new_one(caplog):
    def background_task(passed_on):
        with use_tracking_id(passed_on) as tracking_id:
            return tracking_id

    first, second = background_task(None), background_task(None)

    assert first != second
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert first in caplog.messages[0]
    assert "test_context.py" in caplog.messages[0]


def test_an_unusable_id_is_replaced_and_not_logged(caplog):
    with use_tracking_id("evil\nline") as tracking_id:
        assert is_trace_id(tracking_id)
    assert "not usable" in caplog.messages[0]
    assert "evil" not in caplog.text


def test_use_decorates_functions_and_async_functions_with_one_id_for_each_call():
    @use_tracking_id()
    def work(value: int) -> tuple[int, str | None]:
        return value, get_tracking_id()

    @use_tracking_id("fixed")
    async def work_async() -> str | None:
        await asyncio.sleep(0)
        return get_tracking_id()

    assert work(1)[0] == 1
    assert work(1)[1] != work(2)[1]
    assert asyncio.run(work_async()) == "fixed"
    assert work.__name__ == "work"


def test_the_decorator_may_run_many_times_at_once():
    seen = []

    @use_tracking_id()
    async def work():
        before = get_tracking_id()
        await asyncio.sleep(0)
        seen.append((before, get_tracking_id()))

    async def main():
        await asyncio.gather(*(work() for _ in range(50)))

    asyncio.run(main())
    assert all(before == after for before, after in seen)
    assert len({before for before, _ in seen}) == 50


def test_a_generator_cannot_be_decorated_and_says_so():
    with pytest.raises(TypeError, match=r"'.*steps': expected a function or an async function, not a generator"):

        @use_tracking_id()
        def steps():
            yield


def test_carry_takes_the_context_into_threads_and_executors():
    seen = []
    with use_tracking_id("abc"), ThreadPoolExecutor(2) as executor:
        carried = carry(get_tracking_id)
        seen += [executor.submit(carried).result() for _ in range(2)]
        thread = threading.Thread(target=carry(lambda: seen.append(get_tracking_id())))
        thread.start()
        thread.join()
    assert seen == ["abc", "abc", "abc"]


def test_what_carried_code_sets_stays_there():
    def set_another():
        TRACKING_ID.set("inner")

    with use_tracking_id("abc"):
        carried = carry(set_another)
        carried()
        assert get_tracking_id() == "abc"


async def test_carry_takes_the_context_into_async_functions():
    async def work(value):
        await asyncio.sleep(0)
        return value, get_tracking_id()

    with use_tracking_id("abc"):
        carried = carry(work)

    assert await asyncio.gather(carried(1), carried(2)) == [(1, "abc"), (2, "abc")]
    assert get_tracking_id() is None


async def test_carried_async_function_is_cancelled_and_raises_like_any():
    started = asyncio.Event()
    cleaned = []

    async def work():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(get_tracking_id())

    async def fails():
        await asyncio.sleep(0)
        raise KeyError("x")

    with use_tracking_id("abc"):
        carried, failing = carry(work), carry(fails)
    task = asyncio.create_task(carried())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["abc"]
    with pytest.raises(KeyError):
        await failing()


def test_trace_and_span_are_the_current_spans():
    with use_tracking_id("abc"), tracer.start_as_current_span("work") as span:
        context = span.get_span_context()
        assert current_span_ids() == (f"{context.trace_id:032x}", f"{context.span_id:016x}", 1 | (context.trace_flags & 2))


def test_a_callers_span_gives_the_trace_but_no_span():
    remote = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))
    with trace.use_span(remote):
        assert current_span_ids() == ("0" * 31 + "1", None, None)


def test_the_trace_stays_after_the_span_has_ended():
    with tracer.start_as_current_span("request") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        TRACKING_ID.set("abc")
        IDENTITY.set(Identity("abc", trace_id))

    assert current_span_ids() == (trace_id, None, None)
