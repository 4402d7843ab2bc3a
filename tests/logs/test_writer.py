"""The writer: what it does when the disk, the console or the process gives way, and what it counts."""

import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from logging import DEBUG, ERROR, INFO, WARNING
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from logs.reading import action, messages, parse, read, run
from trackline import setup_logging
from trackline.config import QUEUE_POLICIES, LogSettings
from trackline.logs import files
from trackline.logs import handler as handler_module
from trackline.logs import writer as writer_module
from trackline.logs.files import LogFile
from trackline.logs.handler import make_handler


@pytest.fixture
def make(tmp_path):
    """Give a logger with a handler of its own, and that handler."""
    made = []

    def make(*, console=False, file=True, max_queue_bytes=2**20, schema="ecs", policy="level-aware", timeout=1.0):
        bounds = {"max_queue_bytes": max_queue_bytes, "queue_policy": policy, "queue_timeout": timeout}
        settings = LogSettings("orders", "INFO", schema, tmp_path, console, file, 7, **bounds)
        handler = make_handler(settings)
        logger = logging.Logger("app")  # noqa: LOG001
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler

    yield make
    for handler in made:
        handler.writer.close()


def missing(lines):
    """Give how many numbers there are not, up to the last one."""
    numbers = [int(line["event.id"].split("-")[1]) for line in lines]
    assert len(set(numbers)) == len(numbers)
    return max(numbers) - len(numbers)


class Pipe:
    """A standard output that is a pipe: full as soon as 64 KiB are in it, until somebody reads."""

    def __init__(self):
        self.reader, writer = os.pipe()
        self.stream = open(writer, "w")  # noqa: SIM115, PTH123
        self.data = bytearray()

    def read(self, count):
        """Read until there are so many lines, or no more."""
        while self.data.count(b"\n") < count and (data := os.read(self.reader, 2**20)):
            self.data += data

    def lines(self):
        return [parse(line) for line in self.data.splitlines(keepends=True)]


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)  # who still writes is refused
    pipe.stream.close()


class Refusing:
    """Makes LogFile.write raise for as long as it is switched on, and says when it has."""

    def __init__(self, monkeypatch):
        self.is_on, self.has_refused, self.write = True, threading.Event(), LogFile.write
        monkeypatch.setattr(LogFile, "write", lambda file, lines: self(file, lines))  # noqa: PLW0108
        monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.01)

    def __call__(self, file, lines):
        if self.is_on:
            self.has_refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(file, lines)


@pytest.fixture
def refusing(monkeypatch):
    return Refusing(monkeypatch)


def test_lines_are_in_the_file_after_flush_in_order(make, tmp_path):
    logger, handler = make()
    for number in range(1000):
        logger.info("%d", number)

    assert handler.writer.flush()
    assert messages(tmp_path / "orders.log") == [str(number) for number in range(1000)]
    assert handler.writer.stats().written == 1000


def test_file_opens_with_more_than_a_kibibyte_about_the_process_and_closes_with_counts(make, tmp_path):
    logger, handler = make()
    for number in range(5):
        logger.info("%d", number)
    assert handler.writer.close() == 0

    opening, *between, closing = read(tmp_path / "orders.log")
    assert len((tmp_path / "orders.log").read_bytes().split(b"\n")[0]) >= 1024
    assert (action(opening), action(closing)) == ("log-open", "log-close")
    assert {key: opening["labels"][key] for key in ("service", "pid", "schema", "file", "file_number")} == {
        "service": "orders",
        "pid": os.getpid(),
        "schema": "ecs",
        "file": "orders.log",
        "file_number": 1,
    }
    assert opening["labels"]["nonce"] == opening["event.id"].split("-")[0]
    assert closing["labels"] == {"lines": 5, "dropped": 0}
    assert len(between) == 5


@pytest.mark.parametrize("schema", ["otel", "flat"])
def test_file_of_every_schema_opens_and_closes(schema, make, tmp_path):
    logger, handler = make(schema=schema)
    logger.info("one")
    handler.writer.close()

    opening, line, closing = (tmp_path / "orders.log").read_bytes().splitlines(keepends=True)
    assert len(opening) > 1024
    assert b"log-open" in opening
    assert b"log-close" in closing
    assert parse(line)


def test_numbers_of_a_file_have_no_gaps(make, tmp_path):
    logger, handler = make()
    for _ in range(3):
        logger.info("one")
        handler.writer.close()

    numbers = [int(line["event.id"].split("-")[1]) for line in read(tmp_path / "orders.log")]
    assert sorted(numbers) == list(range(1, 3 * 3 + 1))


def test_close_without_a_line_leaves_no_file(make, tmp_path):
    make()[1].writer.close()

    assert list(tmp_path.iterdir()) == []


def test_line_after_close_starts_again(make, tmp_path):
    logger, handler = make()
    logger.info("one")
    handler.writer.close()
    logger.info("two")
    handler.writer.close()

    lines = read(tmp_path / "orders.log")
    assert messages(tmp_path / "orders.log") == ["one", "two"]
    assert lines[-1]["labels"]["lines"] == 2


def test_lines_wait_while_the_disk_is_full_and_arrive_once_with_one_warning(make, tmp_path, refusing, capsys):
    logger, handler = make()
    for number in range(10):
        logger.info("%d", number)
        refusing.has_refused.clear()
        assert refusing.has_refused.wait(10)
    assert handler.writer.stats().queued == 10
    assert handler.writer.stats().errors > 1
    refusing.is_on = False

    assert handler.writer.flush()
    assert messages(tmp_path / "orders.log") == [str(number) for number in range(10)]
    assert capsys.readouterr().err.count("trackline: cannot write") == 1


def test_what_is_dropped_while_the_disk_is_full_is_counted_and_said(make, tmp_path, refusing):
    logger, handler = make()
    logger.info("first")
    assert refusing.has_refused.wait(10)
    for _ in range(2000):
        logger.info("x" * 1000)
    logger.warning("important")
    dropped = handler.writer.stats().dropped
    refusing.is_on = False
    handler.writer.close()

    lines = read(tmp_path / "orders.log")
    assert dropped > 500
    assert messages(tmp_path / "orders.log")[0] == "first"
    assert messages(tmp_path / "orders.log")[-1] == "important"
    notice, closing = (line["labels"] for line in lines if action(line) in ("log-drop", "log-close"))
    assert notice == {"dropped": dropped, "dropped_total": dropped, "reason_level": dropped, "level_info": dropped}
    assert closing == {"lines": 2002 - dropped, "dropped": dropped, "reason_level": dropped, "level_info": dropped}
    assert missing(lines) == dropped


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_what_was_logged_is_written_dropped_or_waiting_under_every_policy(policy, make, tmp_path, refusing):
    """With lines of all levels from many threads, over stalls of the disk: the numbers that are missing are the dropped ones."""
    logger, handler = make(policy=policy, timeout=0.001)
    logger.setLevel(logging.DEBUG)

    def log():
        for number in range(300):
            logger.log((DEBUG, INFO, WARNING, ERROR)[number % 4], "x" * (20 * number))

    for _ in range(2):
        refusing.is_on = True
        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = handler.writer.stats()
        assert stats.queued_bytes <= 2**20
        refusing.is_on = False
        assert handler.writer.flush()
    assert handler.writer.close() == 0
    stats, lines = handler.writer.stats(), read(tmp_path / "orders.log")

    assert stats.written + stats.dropped == 2 * 4 * 300
    assert stats.written == len(messages(tmp_path / "orders.log"))
    assert missing(lines) == stats.dropped > 0
    assert sum(stats.dropped_by_reason.values()) == sum(stats.dropped_by_level.values()) == stats.dropped
    assert sum(line["labels"]["dropped"] for line in lines if action(line) == "log-drop") == stats.dropped
    assert lines[-1]["labels"]["lines"] == stats.written


def test_notice_that_could_not_be_written_is_written_later_and_only_once(make, tmp_path, refusing, monkeypatch):
    logger, handler = make()
    logger.info("first")
    assert refusing.has_refused.wait(10)
    for _ in range(2000):
        logger.info("x" * 1000)
    dropped = handler.writer.stats().dropped
    say, tried = handler.writer._say_drops, threading.Event()

    def refuse_then_say():
        refusing.is_on = not tried.is_set()
        tried.set()
        try:
            say()
        finally:
            refusing.is_on = False

    monkeypatch.setattr(handler.writer, "_say_drops", refuse_then_say)
    refusing.is_on = False
    assert tried.wait(10)
    handler.writer.close()

    lines = read(tmp_path / "orders.log")
    assert [line["labels"]["dropped"] for line in lines if action(line) == "log-drop"] == [dropped]
    assert missing(lines) == dropped


def test_closing_line_that_could_not_be_written_is_no_missing_one(make, tmp_path, monkeypatch):
    logger, handler = make()
    logger.info("one")
    assert handler.writer.flush()
    write = LogFile.write

    def refuse(file, lines):
        monkeypatch.setattr(LogFile, "write", write)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LogFile, "write", refuse)
    handler.writer.close()
    logger.info("two")
    handler.writer.close()

    lines = read(tmp_path / "orders.log")
    assert messages(tmp_path / "orders.log") == ["one", "two"]
    assert [action(line) for line in lines].count("log-close") == 1
    assert missing(lines) == 0


def test_flush_and_close_keep_their_deadline_while_nobody_reads_and_say_what_waits(make, capsys, pipe, monkeypatch):
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    logger, handler = make(console=True, file=False, max_queue_bytes=2**20)
    for _ in range(2000):
        logger.info("x" * 1000)
    assert not handler.writer.flush(timeout=0.01)
    remaining = handler.writer.close(timeout=0.01)
    stats = handler.writer.stats()

    assert remaining == stats.queued > 500
    assert stats.written + stats.dropped + stats.queued == 2000
    assert f"trackline: {remaining} lines were not written within 0.01 s" in capsys.readouterr().err
    thread = handler.writer._thread
    pipe.read(2000 - stats.dropped)
    thread.join(10)
    assert handler.writer.stats().written == 2000 - stats.dropped
    while sum(said := [line["labels"]["dropped"] for line in pipe.lines() if action(line) == "log-drop"]) < stats.dropped:
        pipe.read(pipe.data.count(b"\n") + 1)
    assert sum(said) == stats.dropped
    assert missing(pipe.lines()) == stats.dropped


def test_block_makes_callers_wait_for_who_reads_and_loses_nothing(make, pipe, monkeypatch):
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    logger, handler = make(console=True, file=False, policy="block", timeout=60)

    def log():
        for _ in range(500):
            logger.info("x" * 1000)

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    pipe.read(2000)
    for thread in threads:
        thread.join()

    assert handler.writer.flush()
    assert (handler.writer.stats().written, handler.writer.stats().dropped) == (2000, 0)
    assert missing(pipe.lines()) == 0


def test_close_gives_up_in_time_and_says_what_was_not_written(make, tmp_path, refusing):
    logger, handler = make()
    logger.info("one")
    logger.info("two")
    assert handler.writer.close(timeout=5) == 2
    refusing.is_on = False
    logger.info("three")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["one", "two", "three"]


def test_close_of_a_writer_that_hangs_returns_and_later_lines_are_written(make, tmp_path, monkeypatch):
    hangs, goes_on, write = threading.Event(), threading.Event(), LogFile.write

    def hang(file, lines):
        hangs.set()
        goes_on.wait(10)
        write(file, lines)

    monkeypatch.setattr(LogFile, "write", hang)
    logger, handler = make()
    logger.error("one")
    assert hangs.wait(10)
    logger.info("two")
    assert handler.writer.close(timeout=0.01) == 2
    thread = handler.writer._thread
    goes_on.set()
    thread.join(10)
    logger.info("three")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["one", "two", "three"]


def test_idle_log_starts_a_new_file_at_midnight(make, tmp_path, monkeypatch):
    logger, handler = make()
    logger.info("before")
    handler.writer.flush()
    tomorrow = datetime.now() + timedelta(days=1)
    monkeypatch.setattr(files, "time", SimpleNamespace(time=tomorrow.timestamp))
    handler.writer.flush()

    rotated = tmp_path / f"orders.log.{tomorrow - timedelta(days=1):%Y-%m-%d}"
    assert messages(rotated) == ["before"]
    assert [action(line) for line in read(tmp_path / "orders.log")] == ["log-open"]


def test_directory_that_is_deleted_while_running_comes_back(tmp_path, make):
    logger, handler = make()
    logger.info("one")
    handler.writer.flush()
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    logger.info("two")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["two"]
    assert action(read(tmp_path / "orders.log")[0]) == "log-open"


class Stream:
    """A standard output that is no file."""

    def __init__(self, error=None):
        self.text, self.error = "", error

    def write(self, text):
        if self.error:
            raise self.error
        self.text += text

    def flush(self):
        pass


def test_console_has_the_same_lines_as_the_file_without_opening_and_closing(make, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream := Stream())
    logger, handler = make(console=True)
    for number in range(100):
        logger.info("ü %d", number)
    handler.writer.close()

    assert stream.text.encode() == b"".join((tmp_path / "orders.log").read_bytes().splitlines(keepends=True)[1:-1])


def test_console_has_a_line_once_however_often_the_file_refuses_it(make, refusing, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream := Stream())
    logger, handler = make(console=True)
    logger.info("one")
    assert refusing.has_refused.wait(10)
    refusing.has_refused.clear()
    assert refusing.has_refused.wait(10)
    refusing.is_on = False
    handler.writer.close()

    assert stream.text.count("one") == 1


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed"), TypeError("odd"), RuntimeError("odder")], ids=repr)
def test_console_that_raises_does_not_stop_the_file(error, make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Stream(error))
    logger, handler = make(console=True)
    logger.info("one")
    handler.writer.flush()
    logger.info("two")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["one", "two"]
    assert (handler.writer.stats().errors, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("stdout", [None, object()], ids=repr)
def test_no_console_is_no_error(stdout, make, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stdout)
    logger, handler = make(console=True)
    logger.info("one")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["one"]


def test_console_alone_makes_no_file(make, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream := Stream())
    logger, handler = make(console=True, file=False)
    logger.info("one")
    handler.writer.close()

    assert '"message":"one"' in stream.text
    assert list(tmp_path.iterdir()) == []
    assert handler.writer.stats().written == 1


def test_eight_threads_lose_nothing_through_the_handler(make, tmp_path):
    logger, handler = make(max_queue_bytes=2**26)

    def log(name):
        for number in range(1000):
            logger.info("%d %d", name, number)

    threads = [threading.Thread(target=log, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.writer.close()

    lines = messages(tmp_path / "orders.log")
    for name in range(8):
        assert [line for line in lines if line.startswith(f"{name} ")] == [f"{name} {number}" for number in range(1000)]
    numbers = sorted(int(line["event.id"].split("-")[1]) for line in read(tmp_path / "orders.log"))
    assert numbers == list(range(1, 8002 + 1))


def test_logging_while_the_log_is_closed_again_and_again_loses_nothing(make, tmp_path):
    logger, handler = make(max_queue_bytes=2**26)

    def log(name):
        for number in range(500):
            logger.info("%d %d", name, number)

    threads = [threading.Thread(target=log, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        handler.writer.close()
    for thread in threads:
        thread.join()
    handler.writer.close()

    assert sorted(messages(tmp_path / "orders.log")) == sorted(f"{name} {number}" for name in range(4) for number in range(500))


def test_text_that_logs_is_logged_from_inside_the_handler(make, tmp_path):
    logger, handler = make()

    class Logs:
        def __str__(self):
            logger.error("inner")
            return "outer"

    logger.info("%s", Logs())
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["inner", "outer"]


def test_console_that_logs_and_flushes_does_not_hang(make, tmp_path, monkeypatch):
    logger, handler = make(console=True)
    logged = threading.Event()

    class Logs(Stream):
        def write(self, text):
            if not logged.is_set():
                logger.info("inner")
                handler.writer.flush(timeout=60)
                logged.set()

    monkeypatch.setattr(sys, "stdout", Logs())
    logger.info("outer")
    assert logged.wait(10)
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["outer", "inner"]


def test_where_no_thread_can_be_started_who_logs_writes(make, tmp_path, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    logger, handler = make()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    logger.info("one")

    assert messages(tmp_path / "orders.log") == ["one"]
    handler.writer.close()
    assert action(read(tmp_path / "orders.log")[-1]) == "log-close"


def test_what_interrupts_a_write_and_logs_and_flushes_waits_for_its_end(make, tmp_path, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    def interrupted(descriptor, data):
        monkeypatch.setattr(os, "write", write)
        logger.info("inner")
        assert not handler.writer.flush()
        return write(descriptor, data)

    logger, handler = make()
    logger.info("before")
    handler.writer.flush()
    handler.writer.close()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    write = os.write
    monkeypatch.setattr(os, "write", interrupted)
    logger.info("outer")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["before", "outer", "inner"]


def test_line_that_comes_while_the_thread_ends_starts_it_again(make, tmp_path, monkeypatch):
    logger, handler = make()
    writer, finish = handler.writer, handler.writer._finish

    def log_after(**options):
        monkeypatch.setattr(writer, "_finish", finish)
        finish(**options)
        logger.info("two")  # as another thread does, which sees that there is a thread

    monkeypatch.setattr(writer, "_finish", log_after)
    logger.info("one")
    thread = writer._thread
    writer._stop.put(None)
    writer._queue.wake()
    thread.join(10)

    assert writer.is_running
    writer.close()
    assert messages(tmp_path / "orders.log") == ["one", "two"]


def test_signal_handler_may_log_and_flush_while_it_interrupts_logging(tmp_path):
    script = """
        import logging, signal, trackline
        log_of_all = trackline.setup_logging("orders", console=False)
        log, count = logging.getLogger("app"), 0
        def handle(*_):
            global count
            count += 1
            log.warning("signal %d", count)
            if count % 10 == 0:
                log_of_all.flush()
            signal.setitimer(signal.ITIMER_REAL, 0.002)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        number = 0
        while count < 60:
            number += 1
            log.info("main %d", number)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        print(number, count)
    """
    done = run(script, cwd=tmp_path)
    number, count = map(int, done.out.split())
    lines = messages(tmp_path / "logs" / "orders.log")

    assert done.err == ""
    assert [line for line in lines if line.startswith("main")] == [f"main {one + 1}" for one in range(number)]
    assert [line for line in lines if line.startswith("signal")] == [f"signal {one + 1}" for one in range(count)]


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_signal_handler_may_log_flush_and_close_while_it_interrupts_a_start_a_flush_or_a_close(policy, make, tmp_path):
    logger, handler = make(policy=policy)
    writer, handled, depth, number = handler.writer, 0, 0, 0

    def handle(*_):
        nonlocal handled, depth
        if depth == 3:  # on a busy machine each is interrupted by the next
            return
        depth += 1
        handled = mine = handled + 1
        logger.error("signal %d", mine)
        (writer.flush, writer.close, writer.start, writer.stats)[mine % 4]()
        depth -= 1

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.002)
    try:
        while handled < 60:
            number += 1
            logger.info("main %d", number)
            if number % 3 == 0:
                (writer.flush, writer.close)[number % 2]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handler.writer.close() == 0

    lines = messages(tmp_path / "orders.log")
    assert [line for line in lines if line.startswith("main")] == [f"main {one + 1}" for one in range(number)]
    # One handler may interrupt another.
    assert sorted(line for line in lines if line.startswith("signal")) == sorted(f"signal {one + 1}" for one in range(handled))
    assert missing(read(tmp_path / "orders.log")) == 0
    assert handler.writer.stats().dropped == 0


@pytest.mark.parametrize("call", ["flush", "close"])
def test_signal_handler_that_interrupts_a_log_call_does_not_wait_for_what_cannot_come(call, make, tmp_path):
    logger, handler = make()
    logger.info("first")
    assert handler.writer.flush()
    waited = []

    def handle(*_):
        before = time.monotonic()
        logger.info("second")
        getattr(handler.writer, call)(timeout=30)
        waited.append(time.monotonic() - before)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with handler.writer._queue._lock:
            signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert waited[0] < 30
    assert handler.writer.close() == 0
    assert messages(tmp_path / "orders.log") == ["first", "second"]


def test_finalizers_may_log_whatever_they_interrupt(make, tmp_path):
    """With a collection at every other allocation, they run inside of the handler, the queue and the writer."""
    logger, handler = make()
    ended = 0

    class Ends:
        def __init__(self):
            self.me = self

        def __del__(self):
            nonlocal ended
            ended += 1
            logger.info("end %d", ended)

    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for number in range(100):
            Ends()
            logger.info("main %d", number)
            if number % 20 == 0:
                handler.writer.flush()
        handler.writer.close()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    handler.writer.close()

    lines = messages(tmp_path / "orders.log")
    assert [line for line in lines if line.startswith("main")] == [f"main {number}" for number in range(100)]
    assert sorted(line for line in lines if line.startswith("end")) == sorted(f"end {number + 1}" for number in range(100))
    assert missing(read(tmp_path / "orders.log")) == 0


def test_idle_writer_is_not_woken_but_once_a_minute(make):
    waits, rests = [], threading.Event()

    class Wake(SimpleQueue):
        def get(self, block=True, timeout=None):
            waits.append(timeout)
            if timeout is not None and timeout > 1:
                rests.set()
            return super().get(block, timeout)

    logger, handler = make(console=True, file=False)  # a file would be looked after at midnight
    handler._queue._wake = Wake()
    logger.info("one")
    assert rests.wait(10)

    assert waits[-1] == 60
    handler.writer.close()


def test_finalizer_may_log(make, tmp_path):
    logger, handler = make()

    class Ends:
        def __del__(self):
            logger.info("end")

    for _ in range(100):
        Ends()
        logger.info("main")
    handler.writer.close()

    assert sorted(messages(tmp_path / "orders.log")) == ["end"] * 100 + ["main"] * 100


def test_stats_say_what_waits(make, tmp_path, refusing):
    logger, handler = make()
    logger.info("one")
    assert refusing.has_refused.wait(10)
    stats = handler.writer.stats()

    assert (stats.written, stats.dropped, stats.path) == (0, 0, None)
    refusing.is_on = False
    assert handler.writer.flush()
    stats = handler.writer.stats()
    assert (stats.written, stats.queued, stats.queued_bytes, stats.path) == (1, 0, 0, tmp_path / "orders.log")


def test_handler_has_no_lock_to_be_held_by_another_thread(make):
    assert make()[1].lock is None


def test_filter_that_gives_another_record_is_obeyed(make, tmp_path):
    logger, handler = make()
    handler.addFilter(lambda record: record.msg != "secret")
    if sys.version_info >= (3, 12):
        handler.addFilter(lambda record: logging.makeLogRecord({**vars(record), "msg": "replaced"}) if record.msg == "old" else True)
    logger.info("secret")
    logger.info("old")
    handler.writer.close()

    assert messages(tmp_path / "orders.log") == ["replaced" if sys.version_info >= (3, 12) else "old"]


def test_settings_reach_the_queue(tmp_path):
    settings = LogSettings("orders", "INFO", "ecs", tmp_path, False, True, 7, 2**21, 1000, "block", 2.5)
    queue = make_handler(settings)._queue

    assert (queue.max_bytes, queue.max_lines, queue.policy, queue.timeout) == (2**21, 1000, "block", 2.5)
    assert handler_module._OPENING_WIDTH > 1024


def test_dict_config_does_not_close_the_log(tmp_path):
    """It calls close() of every handler there is, ours too, which goes on."""
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    logging.getLogger("app").info("one")
    logging.shutdown(list(logging._handlerList))
    logging.getLogger("app").info("two")
    handle.close()

    assert [action(line) for line in read(tmp_path / "orders.log")] == ["log-open", None, None, "log-close"]
