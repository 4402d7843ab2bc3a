"""The queue: its bounds, what is dropped and counted, and who may put."""

import gc
import signal
import threading
from logging import ERROR, INFO, WARNING

import pytest

from trackline.logs.queue import LineQueue

LINE = b"x" * 99 + b"\n"


def take_all(queue):
    taken = []
    while batch := queue.take():
        taken += batch
    return taken


def test_lines_come_out_in_the_order_they_went_in():
    queue = LineQueue()
    lines = [b"%d\n" % number for number in range(1000)]
    for line in lines:
        assert queue.put(line, INFO)

    assert take_all(queue) == lines


@pytest.mark.parametrize("bounds", [{"max_lines": 100}, {"max_bytes": 100 * len(LINE)}], ids=str)
def test_bound_holds_for_info_and_a_tenth_more_for_warnings(bounds):
    queue = LineQueue(**bounds)

    assert [queue.put(LINE, INFO) for _ in range(150)].count(True) == 100
    assert [queue.put(LINE, WARNING) for _ in range(5)] == [True] * 5
    assert [queue.put(LINE, INFO) for _ in range(5)] == [False] * 5
    assert [queue.put(LINE, ERROR) for _ in range(50)].count(True) == 5
    assert len(queue) == 110
    assert queue.bytes == 110 * len(LINE)
    assert queue.dropped == 50 + 5 + 45


def test_warnings_are_there_when_info_was_dropped():
    queue = LineQueue(max_lines=10)
    for number in range(20):
        queue.put(b"info %d\n" % number, INFO)
    queue.put(b"warning\n", WARNING)

    assert take_all(queue) == [b"info %d\n" % number for number in range(10)] + [b"warning\n"]


def test_room_that_is_made_is_used_again():
    queue = LineQueue(max_bytes=10 * len(LINE))
    for _ in range(3):
        assert [queue.put(LINE, INFO) for _ in range(11)].count(True) == 10
        assert len(take_all(queue)) == 10
        assert queue.bytes == 0


def test_batch_is_bounded():
    queue = LineQueue()
    for _ in range(10):
        queue.put(b"x" * 100_000, INFO)

    assert len(queue.take()) == 3
    assert queue.bytes == 700_000


def test_lines_that_are_put_back_come_first_again():
    queue = LineQueue()
    for number in range(5):
        queue.put(b"%d\n" % number, INFO)
    batch = queue.take()
    queue.put(b"5\n", INFO)
    queue.put_back(batch[2:])

    assert take_all(queue) == [b"2\n", b"3\n", b"4\n", b"5\n"]
    assert queue.bytes == 0


def test_what_was_dropped_is_said_once():
    queue = LineQueue(max_lines=1)
    for _ in range(5):
        queue.put(LINE, INFO)

    assert [queue.take_unsaid(), queue.take_unsaid()] == [4, 0]
    assert queue.dropped == 4


def test_eight_threads_lose_nothing_and_keep_their_own_order():
    queue, count = LineQueue(), 5_000
    taken, done = [], threading.Event()

    def put(name):
        for number in range(count):
            queue.put(b"%d %d\n" % (name, number), INFO)

    def take():
        while not done.is_set() or len(queue):
            queue.wait(0.01)
            taken.extend(take_all(queue))

    reader = threading.Thread(target=take)
    writers = [threading.Thread(target=put, args=(name,)) for name in range(8)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()

    for name in range(8):
        assert [line for line in taken if line.startswith(b"%d " % name)] == [b"%d %d\n" % (name, number) for number in range(count)]
    assert len(taken) == 8 * count
    assert queue.bytes == 0


def test_signal_handler_may_put_while_it_interrupts_a_put():
    queue, put_by_handler = LineQueue(), 0

    def handle(*_):
        nonlocal put_by_handler
        queue.put(b"signal\n", ERROR)
        put_by_handler += 1

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    count = 0
    try:
        while put_by_handler < 50 and count < 150_000:
            queue.put(b"main\n", WARNING)
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    taken = take_all(queue)

    assert taken.count(b"main\n") == count
    assert taken.count(b"signal\n") == put_by_handler
    assert queue.bytes == 0


def test_finalizer_may_put_while_it_interrupts_a_put():
    queue, finalized = LineQueue(max_lines=10), 0

    class Ends:
        def __init__(self):
            self.me = self

        def __del__(self):
            nonlocal finalized
            finalized += 1
            queue.put(b"end\n", INFO)

    before = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for _ in range(500):
            Ends()
            queue.put([b"main\n"][0], INFO)
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert finalized == 500
    assert len(queue) + queue.dropped == 1000


def test_error_wakes_the_writer_at_once_and_all_errors_wake_it_once():
    queue = LineQueue()
    for _ in range(100):
        queue.put(LINE, ERROR)
    queue.wait(60)
    take_all(queue)
    queue.put(LINE, INFO)

    assert queue._wake.qsize() == 1


def test_wait_ends_without_lines():
    LineQueue().wait(0.0)


def test_renewed_queue_is_empty():
    queue = LineQueue(max_lines=1)
    queue.put(LINE, INFO)
    queue.put(LINE, INFO)
    queue.renew()

    assert (len(queue), queue.bytes, queue.dropped, queue.take_unsaid()) == (0, 0, 0, 0)
