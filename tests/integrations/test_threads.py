"""Threads and pools: the ID and the span go along, also beside OTel's own instrumentation."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_current_span

from trackline import TRACKING_ID, get_tracking_id, use_tracking_id
from trackline.context import current_span_ids
from trackline.integrations import threads as integration
from trackline.otel.propagator import TrackingPropagator

tracer = TracerProvider().get_tracer("test")
START, RUN, SUBMIT = threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit


@pytest.fixture(autouse=True)
def undone():
    yield
    integration.uninstrument()
    assert (threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit) == (START, RUN, SUBMIT)


def in_thread(function, cls=threading.Thread):
    """Give what a function returns in a thread that is started here."""
    found = []
    thread = cls(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_without_it_a_thread_has_no_id():
    with use_tracking_id("abc"):
        assert in_thread(get_tracking_id) is None


def test_a_thread_has_the_id_and_the_span_of_who_started_it():
    integration.instrument()
    with use_tracking_id("abc"), tracer.start_as_current_span("work"):
        assert in_thread(get_tracking_id) == "abc"
        assert in_thread(current_span_ids) == current_span_ids()
        assert in_thread(get_current_span) is get_current_span()
    assert in_thread(get_tracking_id) is None


def test_it_is_that_of_the_start_and_not_of_the_making():
    integration.instrument()
    found = []
    thread = threading.Thread(target=lambda: found.append(get_tracking_id()))
    with use_tracking_id("abc"):
        thread.start()
    thread.join()

    assert found == ["abc"]


def test_what_a_thread_sets_is_not_seen_outside():
    integration.instrument()
    variable = ContextVar("of_user", default="none")
    variable.set("outside")

    def change():
        before = variable.get()
        variable.set("inside")
        TRACKING_ID.set("other")
        return before

    with use_tracking_id("abc"):
        assert in_thread(change) == "outside"
        assert (variable.get(), get_tracking_id()) == ("outside", "abc")


def test_a_class_with_a_run_of_its_own_and_a_timer():
    found = []

    class Own(threading.Thread):
        def run(self):
            found.append(get_tracking_id())

    integration.instrument()
    with use_tracking_id("abc"):
        for thread in (Own(), threading.Timer(0.001, lambda: found.append(get_tracking_id()))):
            thread.start()
            thread.join()
            assert "run" not in vars(thread)

    assert found == ["abc", "abc"]


def test_a_thread_that_raises_says_so_under_the_id(monkeypatch):
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append((get_tracking_id(), args.exc_type)))
    integration.instrument()
    with use_tracking_id("abc"):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    assert seen == [("abc", ZeroDivisionError)]


def test_a_thread_that_cannot_start_is_as_before(monkeypatch):
    integration.instrument()
    thread = threading.Thread(target=print)
    monkeypatch.setattr(threading, "_start_new_thread", refuse, raising=False)
    monkeypatch.setattr(threading, "_start_joinable_thread", refuse, raising=False)
    with pytest.raises(RuntimeError, match="no more"):
        thread.start()

    assert "run" not in vars(thread)


def refuse(*args, **kwargs):
    raise RuntimeError("no more")


def test_a_thread_is_started_once():
    integration.instrument()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="once"):
        thread.start()

    assert "run" not in vars(thread)


def test_a_pools_calls_have_each_the_id_of_who_submitted_them():
    integration.instrument()
    with ThreadPoolExecutor(1) as pool:
        with use_tracking_id("one"):
            one = pool.submit(get_tracking_id)
        with use_tracking_id("two"):
            two, mapped = pool.submit(get_tracking_id), pool.map(lambda _: get_tracking_id(), [1, 2])
        assert (one.result(), two.result(), list(mapped)) == ("one", "two", ["two", "two"])
        assert pool.submit(get_tracking_id).result() is None


def test_a_pools_threads_are_nobodys():
    integration.instrument()
    with ThreadPoolExecutor(1) as pool:
        with use_tracking_id("abc"):
            assert pool.submit(get_tracking_id).result() == "abc"
        integration.uninstrument()
        assert pool.submit(get_tracking_id).result() is None


def test_arguments_and_errors_of_a_call_are_as_before():
    integration.instrument()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(dict, [("a", 1)], b=2).result() == {"a": 1, "b": 2}
        assert pool.submit(lambda **kwargs: kwargs, fn=1, self=2).result() == {"fn": 1, "self": 2}
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        with pytest.raises(TypeError):
            pool.submit()


async def test_an_event_loops_executor_too():
    integration.instrument()
    with use_tracking_id("abc"):
        assert await asyncio.get_running_loop().run_in_executor(None, get_tracking_id) == "abc"
        assert await asyncio.to_thread(get_tracking_id) == "abc"


def test_threads_that_a_library_keeps_are_nobodys(tmp_path):
    from trackline import setup_logging

    integration.instrument()
    made = []
    start = threading.Thread._bootstrap_inner

    def watch(thread):
        made.append((thread.name, "run" in vars(thread)))
        start(thread)

    with setup_logging(log_dir=tmp_path, console=False) as handle, pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "_bootstrap_inner", watch)
        with use_tracking_id("abc"):
            logging.getLogger("app").warning("the first line starts the writer")
            in_thread(get_tracking_id)
        handle.flush()

    assert dict(made)["trackline-writer"] is False
    assert True in dict(made).values()


def test_instrumented_twice_is_undone_at_once():
    integration.instrument()
    integration.instrument()
    integration.uninstrument()
    with use_tracking_id("abc"):
        assert in_thread(get_tracking_id) is None


@pytest.fixture
def otel():
    instrumentor = ThreadingInstrumentor()
    yield instrumentor
    instrumentor.uninstrument()
    integration.uninstrument()  # what could not be put back under OTel's


@pytest.mark.parametrize("ours_first", [True, False])
def test_together_with_otels_instrumentation(otel, ours_first):
    if ours_first:
        integration.instrument()
    otel.instrument()
    integration.instrument()
    with use_tracking_id("abc"), tracer.start_as_current_span("work"), ThreadPoolExecutor(1) as pool:
        assert in_thread(get_tracking_id) == pool.submit(get_tracking_id).result() == "abc"
        assert in_thread(current_span_ids) == pool.submit(current_span_ids).result() == current_span_ids()
    if ours_first:  # OTel's is outside: ours does nothing any more, and OTel's goes on
        integration.uninstrument()
        with use_tracking_id("abc"), tracer.start_as_current_span("work"):
            assert in_thread(get_tracking_id) is None
            assert in_thread(current_span_ids) == current_span_ids()
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(get_tracking_id).result() is None
    else:
        integration.uninstrument()


def test_otels_instrumentation_alone_brings_the_id_that_the_propagator_found(otel):
    otel.instrument()
    token = attach(TrackingPropagator().extract({"X-Request-ID": "abc"}))
    try:
        assert in_thread(get_tracking_id) == "abc"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(get_tracking_id).result() == "abc"
    finally:
        detach(token)


def test_otels_instrumentation_alone_does_not_bring_the_middlewares_id_but_the_trace(otel):
    otel.instrument()
    with use_tracking_id("abc"), tracer.start_as_current_span("work"):
        assert in_thread(get_tracking_id) is None
        assert in_thread(current_span_ids)[0] == current_span_ids()[0]


def test_importing_trackline_imports_no_integration():
    code = "import sys, trackline; print(sorted(name for name in sys.modules if name.startswith('trackline.integrations')))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"
