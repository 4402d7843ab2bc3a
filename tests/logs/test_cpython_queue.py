"""
CPython's own tests of queue handlers, from the installed ``test`` package, run against ours.

Our handler is both of theirs: `QueueHandler`, which takes a record, and `QueueListener`, which writes it in a thread; it has no queue
of the caller's between the two. So theirs cannot run as they are: each test here says which of theirs it is, does what that does, and
asks the same.

Those that do not apply:

- ``test_formatting``: a formatter that is set on the handler makes the record's message. Ours has a schema; a formatter of one's own is
  given to ``setup_logging``.
- ``test_handle_called_with_mp_queue`` and ``test_no_messages_in_queue_after_stop`` with a ``multiprocessing.Queue``: ours is of one
  process, and each process has its own file.
- ``test_calls_task_done_after_stop``: ``queue.Queue.join`` is not there. That a second end of the thread does not hang is.
- ``test_queue_listener_context_manager`` and ``test_queue_listener_multi_start`` (3.14): there is no listener to be started by hand.
- Those of ``ConfigDictTest`` with a queue (3.12 and later): a queue or a listener of one's own is no option of ours.
"""

import io
import logging
import threading

import pytest

from logs.reading import action, messages, read
from trackline.config import LogSettings
from trackline.logs.handler import make_handler

cpython = pytest.importorskip("test.test_logging", reason="this Python has no test package")


@pytest.fixture
def make(tmp_path):
    """Give a function that makes a logger with a handler of ours."""
    made = []

    def make(name="que", level=logging.WARNING):
        handler = make_handler(LogSettings(name, "DEBUG", "ecs", tmp_path, False, True, 7))
        logger = logging.Logger(name, level)  # noqa: LOG001
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler

    yield make
    for handler in made:
        handler.writer.close()


def test_theirs_are_those_that_this_was_written_from():
    """With another Python there may be others, which this module knows nothing of."""
    known = {
        "test_queue_handler",
        "test_formatting",
        "test_queue_listener",
        "test_queue_listener_context_manager",  # 3.14
        "test_queue_listener_multi_start",  # 3.14
        "test_queue_listener_with_StreamHandler",
        "test_queue_listener_with_multiple_handlers",
        "test_handle_called_with_queue_queue",
        "test_handle_called_with_mp_queue",
        "test_no_messages_in_queue_after_stop",
        "test_calls_task_done_after_stop",
    }
    theirs = {
        name for tests in (cpython.QueueHandlerTest, cpython.QueueListenerTest) for name in vars(tests) if name.startswith("test_")
    }

    assert theirs <= known


def test_levels_and_message(make, tmp_path):
    """That of ``QueueHandlerTest.test_queue_handler``."""
    logger, handler = make()
    logger.debug("1")
    assert len(handler._queue) == 0
    logger.info("2")
    assert len(handler._queue) == 0
    logger.warning("3")
    handler.writer.close()

    [line] = [line for line in read(tmp_path / "que.log") if action(line) is None]
    assert (line["log.logger"], line["log.level"], line["message"]) == ("que", "warning", "3")


def test_lines_of_all_levels_arrive_and_a_second_stop_is_no_error(make, tmp_path):
    """That of ``QueueHandlerTest.test_queue_listener``, with gh-114706: no crash if it is stopped twice."""
    logger, handler = make()
    logger.warning("1")
    logger.error("2")
    logger.critical("3")
    assert [handler.writer.close(), handler.writer.close()] == [0, 0]

    lines = [(line["log.level"], line["message"]) for line in read(tmp_path / "que.log") if action(line) is None]
    assert lines == [("warning", "1"), ("error", "2"), ("critical", "3")]


def test_level_of_the_handler_is_respected(make, tmp_path):
    """That of ``test_queue_listener`` with ``respect_handler_level=True``: the level of who writes counts."""
    logger, handler = make()
    handler.setLevel(logging.CRITICAL)
    logger.warning("4")
    logger.error("5")
    logger.critical("6")
    handler.writer.close()

    assert messages(tmp_path / "que.log") == ["6"]


def test_traceback_and_stack_are_there_once(make, tmp_path):
    """That of ``test_queue_listener_with_StreamHandler`` (bpo-34334, bpo-46755)."""
    logger, handler = make()
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        logger.exception("1", exc_info=error)
    logger.error("2", stack_info=True)
    handler.writer.close()

    text = (tmp_path / "que.log").read_text()
    assert (text.count("Traceback"), text.count("Stack (most")) == (1, 1)


def test_handlers_beside_ours_format_as_they_would_without_it(make, tmp_path):
    """That of ``test_queue_listener_with_multiple_handlers`` (bpo-35726)."""
    beside = logging.StreamHandler(io.StringIO())
    beside.setFormatter(logging.Formatter(cpython.BaseTest.log_format))
    logger, handler = make()
    logger.addHandler(beside)
    logger.error("error")
    handler.writer.close()

    assert beside.stream.getvalue().strip() == "que -> ERROR: error"
    assert messages(tmp_path / "que.log") == ["error"]


def test_every_line_is_written_however_often_it_is_started_and_stopped(make, tmp_path):
    """Those of ``QueueListenerTest`` (issue 27930): what is logged just before the end is written, and nothing is left in the queue."""
    for number in range(cpython.QueueListenerTest.repeat):
        logger, handler = make(f"que{number}", logging.DEBUG)
        for word in ("one", "two", "three", "four", "five"):
            logger.info(word)
        assert handler.writer.close() == 0
        assert len(handler._queue) == 0
        logger.removeHandler(handler)
        handler.close()

        assert messages(tmp_path / f"que{number}.log") == ["one", "two", "three", "four", "five"]


def test_second_end_of_a_thread_that_was_started_for_nothing_does_not_hang(make):
    """That of ``test_calls_task_done_after_stop`` (issue 36813)."""
    _, handler = make()
    before = threading.active_count()
    handler.writer.start()
    handler.writer.close()
    handler.writer.close()

    assert threading.active_count() == before
