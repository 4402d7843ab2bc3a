"""Levels changed while the process runs: at once, for as long as it was said, and back to what they were."""

import logging
import os
import signal
import threading
import time

import pytest

from logs.reading import messages, run
from trackline import set_level, setup_logging
from trackline.logs.levels import get_levels, go_back


@pytest.fixture
def logger():
    """Give a logger with a level of its own, and levels as they were afterwards."""
    logger = logging.getLogger("orders.levels")
    logger.setLevel(logging.WARNING)
    yield logger
    go_back()
    logger.setLevel(logging.NOTSET)


def wait_until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    return what()


def test_level_is_set_at_once(logger):
    assert not logger.isEnabledFor(logging.DEBUG)
    set_level("orders.levels", "debug")

    assert logger.isEnabledFor(logging.DEBUG)
    assert "trackline-levels" not in [thread.name for thread in threading.enumerate()]


def test_level_goes_back_by_itself(logger):
    set_level("orders.levels", "DEBUG", for_seconds=0.05)
    assert logger.level == logging.DEBUG

    assert wait_until(lambda: logger.level == logging.WARNING)
    assert wait_until(lambda: "trackline-levels" not in [thread.name for thread in threading.enumerate()])


def test_second_change_goes_back_to_what_was_before_both(logger):
    set_level("orders.levels", "DEBUG", for_seconds=600)
    set_level("orders.levels", "ERROR", for_seconds=0.05)

    assert wait_until(lambda: logger.level == logging.WARNING)


def test_change_for_good_ends_one_for_some_time(logger):
    set_level("orders.levels", "DEBUG", for_seconds=600)
    set_level("orders.levels", "ERROR")
    go_back()

    assert logger.level == logging.ERROR


def test_level_that_somebody_else_has_set_since_stays(logger):
    set_level("orders.levels", "DEBUG", for_seconds=600)
    logger.setLevel(logging.CRITICAL)
    go_back()

    assert logger.level == logging.CRITICAL


def test_level_of_none_follows_the_logger_above(logger):
    set_level("orders.levels", None)

    assert logger.level == logging.NOTSET


def test_levels_are_listed_with_the_time_that_is_left(logger):
    set_level("orders.levels", "DEBUG", for_seconds=600)
    listed = get_levels()

    assert next(iter(listed)) == "root"
    assert listed["orders.levels"][0] == "DEBUG"
    assert 590 < listed["orders.levels"][1] <= 600
    assert "orders.unset" not in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "INFO"), "logger_name=''"),
        ((None, "INFO"), "logger_name=None"),
        (("app", "LOUD"), "level='LOUD'"),
        (("root", None), "level=None"),
        (("app", "INFO", 0), "for_seconds=0: expected"),
        (("app", "INFO", -1), "for_seconds=-1: expected"),
        (("app", "INFO", float("nan")), "for_seconds=nan: expected"),
        (("app", "INFO", float("inf")), "for_seconds=inf: expected"),
        (("app", "INFO", True), "for_seconds=True: expected"),
        (("app", "INFO", "10"), "for_seconds='10': expected"),
    ],
    ids=str,
)
def test_wrong_value_is_refused_and_changes_nothing(arguments, message):
    before = get_levels()
    with pytest.raises(ValueError, match=message):
        set_level(*arguments)

    assert get_levels() == before


def test_change_and_its_end_are_in_the_log(tmp_path):
    with setup_logging("orders", log_dir=tmp_path, console=False) as handle:
        set_level("root", "DEBUG", for_seconds=600)
        logging.getLogger("app").debug("seen")
        go_back()
        logging.getLogger("app").debug("not seen")
        assert handle.flush()

    there, back = "level of root: INFO, then DEBUG for 600 s", "level of root: DEBUG, then INFO again"
    assert messages(tmp_path / "orders.log") == [there, "seen", back]


def test_closing_takes_back_what_was_set_for_some_time(tmp_path, logger):
    before = logging.getLogger().level
    with setup_logging("orders", log_dir=tmp_path, console=False):
        set_level("root", "DEBUG", for_seconds=600)
        set_level("orders.levels", "DEBUG", for_seconds=600)

    assert (logging.getLogger().level, logger.level) == (before, logging.WARNING)


SIGNALS = """
import logging, os, signal, sys, time
import trackline
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append("theirs"))
before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)]
handle = trackline.setup_logging("orders", console=False, log_dir=".", level_signals=True)
root = logging.getLogger()
def wait(level):
    until = time.monotonic() + 20
    while root.level != level and time.monotonic() < until:
        time.sleep(0.005)
    return root.level == level
"""


def test_signals_set_debug_and_take_it_back_and_call_who_was_there(tmp_path):
    script = """
os.kill(os.getpid(), signal.SIGUSR1)
print(wait(logging.DEBUG), seen, round(trackline.logs.levels.get_levels()["root"][1], -2))
os.kill(os.getpid(), signal.SIGUSR2)
print(wait(logging.INFO))
handle.close()
print([signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)] == before)
"""
    done = run(SIGNALS + script, cwd=tmp_path)

    assert (done.out, done.err) == ("True ['theirs'] 600.0\nTrue\nTrue\n", "")
    assert [message.partition(":")[0] for message in messages(tmp_path / "orders.log")] == ["level of root"] * 2


def test_signals_reach_a_forked_child_too(tmp_path):
    script = """
pid = os.fork()
if not pid:
    os.kill(os.getpid(), signal.SIGUSR1)
    os._exit(0 if wait(logging.DEBUG) else 1)
print(os.waitpid(pid, 0)[1], root.level)
"""
    assert run(SIGNALS + script, cwd=tmp_path).out == "0 20\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_level_goes_back_in_a_forked_child_too(tmp_path):
    script = """
trackline.set_level("root", "DEBUG", for_seconds=0.2)
pid = os.fork()
if not pid:
    os._exit(0 if root.level == logging.DEBUG and wait(logging.INFO) else 1)
print(os.waitpid(pid, 0)[1], wait(logging.INFO))
"""
    assert run(SIGNALS + script, cwd=tmp_path).out == "0 True\n"


def test_signals_are_left_alone_where_nobody_asks_for_them(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    with setup_logging("orders", log_dir=tmp_path, console=False):
        assert signal.getsignal(signal.SIGUSR1) is before


def test_signals_are_refused_outside_of_the_main_thread(tmp_path):
    caught = []

    def work():
        try:
            setup_logging("orders", log_dir=tmp_path, console=False, level_signals=True)
        except ValueError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert caught == ["level_signals=True: expected the main thread, on a system with SIGUSR1"]
