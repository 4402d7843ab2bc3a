"""The queue: its bounds, its policies, what is dropped and counted, and who may put."""

import asyncio
import gc
import signal
import sys
import threading
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

import pytest

from trackline.config import QUEUE_POLICIES
from trackline.logs import queue as queue_module
from trackline.logs.queue import CALL_BYTES, OVERHEAD, LineQueue

LINE = b"x" * 99 + b"\n"
SIZE = len(LINE) + OVERHEAD


def write(queue):
    """Take a batch and write it."""
    batch = queue.take()
    taken = list(batch)
    batch.clear()
    queue.settle()
    return taken


def write_all(queue):
    taken = []
    while batch := write(queue):
        taken += batch
    return taken


def fill(queue, level=INFO, text=b"old"):
    """Put numbered lines until one is dropped; give how many were taken."""
    count = 0
    while queue.put(b"%b %d\n" % (text, count), level):
        count += 1
    return count


class Writer:
    """A thread that says that it is the writer, and writes one batch each time it is asked to."""

    def __init__(self, queue):
        self.queue, self.taken, self.turns = queue, [], threading.Semaphore(0)
        self.begun, self.is_over = threading.Event(), False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        self.queue.writer = threading.get_ident()
        self.begun.set()
        while self.turns.acquire() and not self.is_over:
            self.taken += write(self.queue)

    def __enter__(self):
        self.thread.start()
        self.begun.wait()
        return self

    def __exit__(self, *exc_info):
        self.is_over = True
        self.turns.release()
        self.thread.join()


@pytest.fixture(params=[True, False], ids=["GIL", "no GIL"])
def has_gil(request, monkeypatch):
    """Run a test both ways: with the GIL, and as it is where there is none."""
    monkeypatch.setattr(LineQueue, "_has_gil", request.param)


def test_lines_come_out_in_the_order_they_went_in(has_gil):
    queue = LineQueue()
    lines = [b"%d\n" % number for number in range(1000)]
    for number, line in enumerate(lines):
        assert queue.put(line, (DEBUG, INFO, 25, WARNING, ERROR, CRITICAL, 0, 60)[number % 8])

    assert write_all(queue) == lines
    assert (len(queue), queue.waiting_bytes) == (0, 0)


BOUNDS = pytest.mark.parametrize("bounds", [{"max_lines": 100}, {"max_bytes": 100 * SIZE}], ids=str)


@BOUNDS
def test_debug_has_four_fifths_of_the_bound_info_nine_tenths_and_warnings_all_of_it(bounds, has_gil):
    queue = LineQueue(**bounds)

    assert [queue.put(LINE, DEBUG) for _ in range(150)].count(True) == 80
    assert [queue.put(LINE, INFO) for _ in range(150)].count(True) == 10
    assert [queue.put(LINE, WARNING) for _ in range(10)].count(True) == 10
    assert (len(queue), queue.waiting_bytes) == (100, 100 * SIZE)
    assert queue.dropped_by_level() == {"debug": 70, "info": 140}
    assert queue.dropped_by_reason() == {"level": 210}


@BOUNDS
def test_warnings_displace_what_is_below_them_oldest_first_until_there_is_nothing_else(bounds, has_gil):
    queue = LineQueue(**bounds)
    for number in range(60):
        queue.put(b"%-99d\n" % number, (ERROR, INFO, DEBUG)[number % 3])
    expected = [b"%-99d\n" % number for number in range(60) if number % 3 == 0]

    for number in range(1000, 1060):
        assert queue.put(b"%-99d\n" % number, WARNING)
    assert queue.dropped_by_level() == {"debug": 10, "info": 10}
    assert write(queue)[:10] == [b"%-99d\n" % number for number in (0, 3, 6, 9, 12, 15, 18, 21, 24, 27)]

    for number in range(60):
        queue.put(b"%-99d\n" % number, (ERROR, INFO, DEBUG)[number % 3])
    taken = [queue.put(b"%-99d\n" % number, WARNING) for number in range(1000, 1100)]
    assert taken == [True] * 80 + [False] * 20
    assert queue.dropped_by_level() == {"debug": 30, "info": 30, "warning": 20}
    assert len(queue) == 100
    assert write_all(queue) == expected + [b"%-99d\n" % number for number in range(1000, 1080)]
    assert queue.waiting_bytes == 0


def test_lines_between_which_room_was_made_keep_their_order():
    queue = LineQueue(max_lines=10)
    for number in range(5):
        queue.put(b"info %d\n" % number, INFO)
        queue.put(b"error %d\n" % number, ERROR)
    queue.put(b"warning 0\n", WARNING)
    queue.put(b"warning 1\n", WARNING)

    said = " ".join(line.decode().strip() for line in write_all(queue))
    assert said == "error 0 error 1 info 2 error 2 info 3 error 3 info 4 error 4 warning 0 warning 1"


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest", "block"])
@BOUNDS
def test_other_policies_use_the_whole_bound_for_every_level(policy, bounds, has_gil):
    queue = LineQueue(**bounds, policy=policy, timeout=0.0001)
    for _ in range(150):
        queue.put(LINE, DEBUG)

    assert (len(queue), queue.waiting_bytes, queue.dropped) == (100, 100 * SIZE, 50)


@BOUNDS
def test_drop_newest_keeps_what_waits(bounds, has_gil):
    queue = LineQueue(**bounds, policy="drop-newest")
    for number in range(150):
        queue.put(b"%-99d\n" % number, CRITICAL)

    assert write_all(queue) == [b"%-99d\n" % number for number in range(100)]
    assert (queue.dropped_by_reason(), queue.dropped_by_level()) == ({"newest": 50}, {"critical": 50})


@BOUNDS
def test_drop_oldest_keeps_what_comes(bounds, has_gil):
    queue = LineQueue(**bounds, policy="drop-oldest")
    for number in range(150):
        queue.put(b"%-99d\n" % number, INFO if number % 2 else ERROR)

    assert write_all(queue) == [b"%-99d\n" % number for number in range(50, 150)]
    assert (queue.dropped_by_reason(), queue.dropped_by_level()) == ({"oldest": 50}, {"info": 25, "error": 25})


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_line_that_is_larger_than_the_bound_is_dropped(policy, has_gil):
    queue = LineQueue(max_bytes=100, policy=policy, timeout=1e6)

    assert not queue.put(LINE, CRITICAL)
    assert (len(queue), queue.waiting_bytes, queue.dropped) == (0, 0, 1)


def test_drop_oldest_leaves_lines_that_are_under_way(has_gil):
    queue = LineQueue(max_lines=2, policy="drop-oldest")
    queue.put(b"1\n", INFO)
    queue.put(b"2\n", INFO)
    assert queue.take() == [b"1\n", b"2\n"]

    assert not queue.put(b"3\n", INFO)
    assert write_all(queue) == [b"1\n", b"2\n"]
    assert queue.dropped_by_reason() == {"newest": 1}


def test_block_waits_for_room(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=60)
    with Writer(queue) as writer:
        blocked = threading.Thread(target=lambda: [queue.put(b"%d\n" % number, INFO) for number in range(25)])
        blocked.start()
        while blocked.is_alive():
            writer.turns.release()
            blocked.join(0.001)
    write_all(queue)

    assert queue.dropped == 0
    assert writer.taken[:10] == [b"%d\n" % number for number in range(10)]


def test_block_drops_when_its_time_is_over(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=0.001)
    with Writer(queue):
        assert fill(queue) == 10
        assert not queue.put(LINE, ERROR)

    assert (queue.dropped_by_reason(), queue.dropped_by_level()) == ({"timeout": 2}, {"info": 1, "error": 1})
    assert not queue._gates


def test_block_of_many_threads_loses_nothing_that_it_does_not_count(has_gil):
    queue, taken = LineQueue(max_lines=10, policy="block", timeout=60), []
    with Writer(queue) as writer:
        threads = [threading.Thread(target=lambda: [queue.put(LINE, INFO) for _ in range(50)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                writer.turns.release()
                thread.join(0.0005)
    taken = writer.taken + write_all(queue)

    assert (len(taken), queue.dropped, queue.waiting_bytes) == (400, 0, 0)


def test_block_does_not_wait_in_an_event_loop(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=1e6)

    async def main():
        assert fill(queue) == 10
        assert queue.put(b"warning\n", WARNING)

    with Writer(queue):
        asyncio.run(main())
    assert (queue.dropped_by_reason(), queue.dropped_by_level()) == ({"newest": 1, "level": 1}, {"info": 2})


def test_block_does_not_wait_where_nobody_will_write(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=1e6)
    queue.is_served = False

    assert fill(queue) == 10


def test_block_does_not_wait_in_the_writer(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=1e6)
    queue.writer = threading.get_ident()

    assert fill(queue) == 10


def test_block_does_not_wait_where_it_has_interrupted_who_holds_the_lock(has_gil):
    queue = LineQueue(max_lines=10, policy="block", timeout=1e6)
    with Writer(queue), queue._lock:
        assert fill(queue) == 10


def test_block_does_not_wait_in_a_signal_handler_or_a_finalizer_that_interrupts_a_wait():
    queue = LineQueue(max_lines=10, policy="block", timeout=0.1)
    put = []

    class Ends:
        def __del__(self):
            put.append(queue.put(b"end\n", INFO))

    def handle(*_):
        queue.timeout = 1e6  # who waited now would wait for ever
        put.append(queue.put(b"signal\n", INFO))
        Ends()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with Writer(queue):
            for number in range(10):
                queue.put(b"%d\n" % number, INFO)
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            assert not queue.put(b"waits\n", INFO)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert put == [False, False]
    assert queue.dropped_by_reason() == {"newest": 2, "timeout": 1}


def test_exception_out_of_a_signal_handler_ends_a_wait_and_the_line_is_counted():
    queue = LineQueue(max_lines=10, policy="block", timeout=1e6)

    def handle(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with Writer(queue):
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            with pytest.raises(KeyboardInterrupt):
                fill(queue)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert (len(queue), queue.dropped, list(queue._gates)) == (10, 1, [])


def test_room_that_is_made_is_used_again(has_gil):
    queue = LineQueue(max_bytes=10 * SIZE, policy="drop-newest")
    for _ in range(3):
        assert [queue.put(LINE, INFO) for _ in range(11)].count(True) == 10
        assert len(write_all(queue)) == 10
        assert queue.waiting_bytes == 0


def test_bound_in_bytes_is_one_of_memory():
    queue = LineQueue(max_bytes=2**20)
    fill(queue)
    lines = [*queue._lines]

    assert sum(map(sys.getsizeof, lines)) + 8 * len(lines) <= 2**20
    assert sum(map(sys.getsizeof, lines)) + 8 * len(lines) > 0.5 * 2**20


def test_batch_is_bounded_and_waits_until_it_is_settled():
    queue = LineQueue()
    for _ in range(10):
        queue.put(b"x" * 100_000, INFO)
    batch = queue.take()

    assert (len(batch), len(queue), queue.waiting_bytes) == (3, 10, 10 * (100_000 + OVERHEAD))
    batch.clear()
    queue.settle()
    assert (len(queue), queue.waiting_bytes) == (7, 7 * (100_000 + OVERHEAD))


def test_batches_of_short_lines_are_a_quarter_of_a_mebibyte():
    queue = LineQueue()
    for _ in range(10_000):
        queue.put(LINE, INFO)

    assert 256 * 1024 <= sum(map(len, queue.take())) < 260 * 1024


def test_levels_between_the_five_count_as_the_one_below():
    queue = LineQueue(max_lines=0)
    for level in (0, 9, 19, 20, 25.5, 29, 35, 45, 60, 10**6):
        queue.put(LINE, level)

    assert queue.dropped_by_level() == {"debug": 3, "info": 3, "warning": 1, "error": 1, "critical": 2}


def finish(entries):
    """Make lines of calls, which are here a number and a width."""
    for position, entry in enumerate(entries):
        if type(entry) is tuple:
            entries[position] = b"%-*d\n" % (entry[1], entry[0])


def test_calls_become_lines_between_the_others_in_their_order(has_gil):
    queue = LineQueue()
    queue.finish = finish
    for number in range(1000):
        assert queue.put_call((number, 9)) if number % 3 else queue.put(b"%-9d\n" % number, (INFO, ERROR)[number % 2])

    assert write_all(queue) == [b"%-9d\n" % number for number in range(1000)]
    assert (len(queue), queue.waiting_bytes) == (0, 0)


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
@pytest.mark.parametrize("bounds", [{"max_lines": 100}, {"max_bytes": 2**20}], ids=str)
def test_calls_are_kept_within_the_bounds_dropped_and_counted_like_lines(policy, bounds, has_gil):
    queue, taken = LineQueue(**bounds, policy=policy), []
    queue.finish, queue.is_served = finish, False  # nobody waits
    for number in range(6000):
        queue.put_call((number, 900)) if number % 5 else queue.put(b"%-900d\n" % number, (INFO, WARNING)[number % 2])
        assert queue.waiting_bytes <= queue.max_bytes
        if number % 2000 == 1999:
            assert queue.dropped
            taken += write(queue)
    taken += write_all(queue)

    numbers = [int(line) for line in taken]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + queue.dropped == 6000
    assert sum(queue.dropped_by_level().values()) == queue.dropped
    assert queue.waiting_bytes == 0


def test_what_calls_and_their_lines_take_is_known_to_the_byte():
    queue = LineQueue()
    queue.finish = finish
    for number in range(2000):
        queue.put_call((number, 90)) if number % 2 else queue.put(b"%-90d\n" % number, INFO)
    assert queue.waiting_bytes == 1000 * CALL_BYTES + 1000 * (91 + OVERHEAD)

    batch = queue.take()

    # Half of them calls, as those that wait on are.
    waiting = 2000 - len(batch)
    assert waiting > 0
    assert queue.waiting_bytes == len(batch) * (91 + OVERHEAD) + waiting // 2 * (CALL_BYTES + 91 + OVERHEAD)


def test_calls_that_are_dropped_give_back_what_they_took():
    queue = LineQueue(max_lines=10, policy="drop-oldest")
    queue.finish = finish
    for number in range(10):
        queue.put_call((number, 90))
    for number in range(5):
        queue.put(b"%-90d\n" % number, INFO)

    assert queue.waiting_bytes == 5 * (CALL_BYTES + 91 + OVERHEAD)


def test_call_that_there_is_no_room_for_is_made_no_line_of():
    queue = LineQueue(max_lines=10)
    queue.finish = finish
    assert [queue.put_call((number, 9)) for number in range(10)].count(True) == 9
    queue.finish = None

    assert not queue.put_call((10, 9))
    assert queue.dropped_by_reason() == {"level": 2}


def test_lines_that_are_not_written_are_given_again_first_and_count_as_waiting():
    queue = LineQueue(max_lines=10, policy="drop-newest")
    for number in range(5):
        queue.put(b"%d\n" % number, INFO)
    batch = queue.take()
    assert fill(queue, text=b"more") == 5
    del batch[:2]
    queue.settle()

    assert fill(queue, text=b"later") == 2
    assert len(queue) == 10
    assert write(queue) == [b"2\n", b"3\n", b"4\n"]
    assert queue.waiting_bytes == sum(len(line) + OVERHEAD for line in write_all(queue))


def test_what_was_dropped_is_said_once_with_reasons_levels_and_the_sum_so_far():
    queue = LineQueue(max_lines=0)
    for level in (INFO, INFO, ERROR):
        queue.put(LINE, level)
    first, second = queue.take_unsaid(), queue.take_unsaid()
    queue.put(LINE, DEBUG)

    assert first == {"dropped": 3, "dropped_total": 3, "reason_level": 3, "level_info": 2, "level_error": 1}
    assert second == {}
    assert queue.take_unsaid() == {"dropped": 1, "dropped_total": 4, "reason_level": 1, "level_debug": 1}
    assert queue.totals() == {"dropped": 4, "reason_level": 4, "level_debug": 1, "level_info": 2, "level_error": 1}


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_eight_threads_lose_nothing_that_is_not_counted_and_keep_their_own_order(policy, has_gil):
    queue, count = LineQueue(max_lines=500, policy=policy), 2_000
    taken, done = [], threading.Event()

    def put(name):
        for number in range(count):
            queue.put(b"%d %d\n" % (name, number), (INFO, DEBUG, WARNING)[number % 3])

    def take():
        queue.writer = threading.get_ident()
        while not done.is_set() or len(queue):
            queue.wait(0.001)
            taken.extend(write_all(queue))

    reader = threading.Thread(target=take)
    writers = [threading.Thread(target=put, args=(name,)) for name in range(8)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()

    for name in range(8):
        numbers = [int(line.split()[1]) for line in taken if line.startswith(b"%d " % name)]
        assert numbers == sorted(set(numbers))
    assert len(taken) + queue.dropped == 8 * count
    assert queue.waiting_bytes == 0


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
@pytest.mark.parametrize("max_lines", [20, 200_000])
def test_signal_handler_may_put_while_it_interrupts_a_put_or_a_take(max_lines, policy, has_gil):
    queue, put_by_handler = LineQueue(max_lines=max_lines, policy=policy, timeout=0.0001), 0

    def handle(*_):
        nonlocal put_by_handler
        queue.put(b"signal\n", ERROR)
        put_by_handler += 1
        # Once each: a timer that goes on by itself interrupts a handler in a handler, on a busy machine without end.
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    count, taken = 0, []
    try:
        while put_by_handler < 30 and count < 150_000:
            queue.put(b"main\n", (INFO, WARNING)[count % 2])
            count += 1
            if count % 100 == 0:
                taken += write(queue)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    taken += write_all(queue)

    assert len(taken) + queue.dropped == count + put_by_handler
    assert (queue.waiting_bytes, len(queue)) == (0, 0)
    if max_lines > 100_000:
        assert queue.dropped == 0


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_finalizer_may_put_while_it_interrupts_a_put_or_a_take(policy, has_gil):
    queue, finalized = LineQueue(max_lines=10, policy=policy, timeout=0.0001), 0

    class Ends:
        def __init__(self):
            self.me = self

        def __del__(self):
            nonlocal finalized
            finalized += 1
            queue.put(b"end\n", (INFO, WARNING)[finalized % 2])

    before, taken = gc.get_threshold(), 0
    gc.set_threshold(1, 1, 1)
    try:
        for number in range(500):
            Ends()
            queue.put([b"main\n"][0], (DEBUG, ERROR)[number % 2])
            if number % 50 == 0:
                taken += len(write(queue))
    finally:
        gc.set_threshold(*before)
    gc.collect()
    taken += len(write_all(queue))

    assert finalized == 500
    assert taken + queue.dropped == 1000
    assert queue.waiting_bytes == 0


def wakes(queue):
    return queue._wake.qsize()


def test_writer_is_woken_once_for_many_lines_and_not_at_all_while_they_keep_coming():
    queue = LineQueue()
    for _ in range(100):
        queue.put(LINE, INFO)
    assert wakes(queue) == 1
    for _ in range(3):
        queue.wait(60)
        write_all(queue)
        for _ in range(100):
            queue.put(LINE, INFO)
        assert wakes(queue) == 0


def test_writer_that_found_nothing_for_a_while_is_woken_by_the_next_line():
    queue = LineQueue()
    queue.put(LINE, INFO)
    for _ in range(2):
        queue.wait(60)
        write_all(queue)
    queue.wait(0)  # rests
    queue.put(LINE, INFO)

    assert wakes(queue) == 1


def test_error_wakes_the_writer_at_once_and_all_errors_wake_it_once():
    queue = LineQueue()
    for _ in range(100):
        queue.put(LINE, INFO)
    queue.wait(60)
    write_all(queue)
    for _ in range(100):
        queue.put(LINE, ERROR)

    assert wakes(queue) == 1
    queue.wait(60)
    assert not queue._is_urgent


def test_wait_ends_at_once_for_an_error(monkeypatch):
    monkeypatch.setattr(queue_module, "_TICK", 60)
    queue = LineQueue()
    queue.put(LINE, INFO)
    queue.put(LINE, ERROR)
    queue.wait(60)
    queue.wake()
    queue.wait(60)

    assert write_all(queue) == [LINE, LINE]


def test_tick_is_a_tenth_of_a_second_at_most():
    assert queue_module._TICK <= 0.1


def test_wait_ends_without_lines():
    LineQueue().wait(0.0)


def test_renewed_queue_is_empty():
    queue = LineQueue(max_lines=2)
    queue.put(LINE, INFO)
    queue.take()
    queue.put(LINE, INFO)
    queue.put(LINE, INFO)
    queue.renew()

    assert (len(queue), queue.waiting_bytes, queue.dropped, queue.take_unsaid(), queue.take()) == (0, 0, 0, {}, [])
