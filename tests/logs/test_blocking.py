"""Who may be made to wait, and who not."""

import asyncio
import contextvars
import signal
import sys
import threading
from types import SimpleNamespace

import pytest

from trackline.logs.blocking import may_wait


class Ends:
    """Asks when it is finalized."""

    def __init__(self, answers):
        self.answers = answers

    def __del__(self):
        self.ask()

    def ask(self):
        self.answers.append(may_wait())


def test_thread_may_wait():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(may_wait()))
    thread.start()
    thread.join()

    assert [may_wait(), *answers] == [True, True]


async def test_event_loop_may_not():
    async def task():
        return contextvars.copy_context().run(may_wait)

    assert not may_wait()
    assert not await asyncio.create_task(task())


async def test_thread_beside_an_event_loop_may():
    assert await asyncio.to_thread(may_wait)


@pytest.mark.parametrize("runs", [True, False])
def test_trio_may_not(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "trio", SimpleNamespace(lowlevel=SimpleNamespace(in_trio_run=lambda: runs)))

    assert may_wait() is not runs


def test_finalizer_may_not():
    answers = []
    Ends(answers)

    assert answers == [False]


class Handler:
    def __init__(self):
        self.answers = []

    def function(self):
        def handle(number, frame):
            self.answers.append(may_wait())

        return handle

    def method(self, *_):
        self.answers.append(may_wait())

    def __call__(self, number, frame):
        self.method()


@pytest.mark.parametrize("kind", ["function", "lambda", "method", "object"])
def test_signal_handler_may_not(kind):
    handler = Handler()
    handle = {"function": handler.function(), "lambda": lambda *_: handler.answers.append(may_wait()), "object": handler}
    before = signal.signal(signal.SIGUSR1, handle.get(kind, handler.method))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert handler.answers == [False]
    assert may_wait()
