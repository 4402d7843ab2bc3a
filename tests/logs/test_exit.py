"""However the process ends, short of SIGKILL: every line is in the file, and the closing line is the last."""

import re
import signal
import subprocess

import pytest

from logs.reading import action, messages, parse, read, run, wait_for
from trackline.config import QUEUE_POLICIES

SET_UP = """
import atexit, logging, os, signal, sys, threading
import trackline
handle = trackline.setup_logging("orders", console=False)
log = logging.getLogger("app")
for number in range(1000):
    log.info("%d", number)
"""
INTERRUPT = "signal.signal(signal.SIGINT, signal.default_int_handler)  # which the background jobs of a shell ignore"
THOUSAND = [str(number) for number in range(1000)]


def check(path, expected):
    lines = read(path)
    assert messages(path) == expected
    assert (action(lines[0]), action(lines[-1])) == ("log-open", "log-close")
    assert lines[-1]["labels"] == {"lines": len(expected), "dropped": 0}
    assert sorted(int(line["event.id"].split("-")[1]) for line in lines) == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(
    ("end", "status", "stderr"),
    [
        ("", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise ValueError('unhandled')", 1, "ValueError: unhandled"),
        ("os.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()", -signal.SIGTERM, ""),
        (INTERRUPT + "\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()", -signal.SIGINT, "KeyboardInterrupt"),
        ("threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGTERM)).start()\nsignal.pause()", -signal.SIGTERM, ""),
    ],
    ids=["end", "exit", "exception", "SIGTERM", "SIGINT", "SIGTERM from a thread"],
)
def test_all_lines_are_there_when_the_process_ends(end, status, stderr, tmp_path):
    done = run(SET_UP + end, cwd=tmp_path)

    assert done.returncode == status
    assert done.err.strip().splitlines()[-1:] == ([stderr] if stderr else [])
    said = ["uncaught exception: ValueError"] if "ValueError" in stderr else []
    check(tmp_path / "logs" / "orders.log", THOUSAND + said)


def test_lines_of_a_process_that_is_terminated_while_it_logs_are_whole_and_without_gaps(tmp_path):
    process = run(
        SET_UP + "print('ready', flush=True)\nwhile True:\n    number += 1\n    log.info('%d', number)", cwd=tmp_path, wait=False
    )
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    _, err = process.communicate(timeout=30)
    lines = read(tmp_path / "logs" / "orders.log")
    said = messages(tmp_path / "logs" / "orders.log")

    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert said == [str(number) for number in range(len(said))]
    assert lines[-1]["labels"]["lines"] == len(said)


def test_handler_of_sigterm_that_came_later_has_its_way(tmp_path):
    done = run(
        SET_UP + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()",
        cwd=tmp_path,
    )

    assert (done.returncode, done.err) == (7, "")
    check(tmp_path / "logs" / "orders.log", THOUSAND)


@pytest.mark.parametrize("when", ["before", "after"])
def test_line_of_an_exit_handler_is_there_whether_it_was_registered_before_or_after_us(when, tmp_path):
    register = "import atexit, logging\natexit.register(lambda: logging.getLogger('app').info('last'))\n"
    done = run(register + SET_UP if when == "before" else SET_UP + register, cwd=tmp_path)
    lines = read(tmp_path / "logs" / "orders.log")

    assert (done.returncode, done.err) == (0, "")
    assert messages(tmp_path / "logs" / "orders.log") == [*THOUSAND, "last"]
    assert action(lines[-1]) == "log-close"
    assert lines[-1]["labels"]["lines"] == 1001


def test_lines_of_exit_handlers_that_come_after_loggings_own_are_there(tmp_path):
    done = run("import atexit\natexit.register(lambda: [log.info('last %d', number) for number in range(10)])\n" + SET_UP, cwd=tmp_path)

    assert (done.returncode, done.err) == (0, "")
    assert messages(tmp_path / "logs" / "orders.log") == [*THOUSAND, *(f"last {number}" for number in range(10))]


def test_line_after_close_is_there(tmp_path):
    script = """
        import trackline
        logger = trackline.setup_logger("orders", enable_console=False, schema="ecs")
        logger.info("one")
        trackline.close_log_queue()
        logger.info("two")
    """
    done = run(script, cwd=tmp_path)

    assert done.err == ""
    assert [action(line) for line in read(tmp_path / "logs" / "orders.log")] == ["log-open", None, "log-close"] * 2
    assert messages(tmp_path / "logs" / "orders.log") == ["one", "two"]


def test_all_loggers_are_written_at_exit(tmp_path):
    script = """
        import trackline
        for name in ("a", "b", "c"):
            trackline.setup_logger(name, enable_console=False, schema="ecs").info("of %s", name)
    """
    run(script, cwd=tmp_path)

    for name in ("a", "b", "c"):
        check(tmp_path / "logs" / f"{name}.log", [f"of {name}"])


def test_threads_that_log_until_the_end_lose_nothing_that_was_logged_before_it(tmp_path):
    done = run(
        SET_UP
        + """
def work():
    while True:
        log.info("daemon")
threading.Thread(target=work, daemon=True).start()
log.info("end")
""",
        cwd=tmp_path,
    )

    assert (done.returncode, done.err) == (0, "")
    assert [line for line in messages(tmp_path / "logs" / "orders.log") if line != "daemon"] == [*THOUSAND, "end"]


def test_console_has_all_lines_at_exit_each_once(tmp_path):
    done = run(SET_UP.replace("console=False", "file=False"), cwd=tmp_path)

    assert [line for line in THOUSAND if done.out.count(f'"message":"{line}"') != 1] == []


def test_reader_of_the_console_that_is_gone_costs_the_file_nothing(tmp_path):
    waits = "import sys\nsys.stdin.read()\n"
    process = run(waits + SET_UP.replace("console=False", "console=True"), cwd=tmp_path, wait=False, stdin=subprocess.PIPE)
    process.stdout.close()
    process.stdin.close()
    process.wait(timeout=30)
    process.stderr.close()

    check(tmp_path / "logs" / "orders.log", THOUSAND)


def test_disk_that_stays_full_ends_the_process_all_the_same_and_says_what_is_lost(tmp_path):
    done = run(
        "import os, errno\nfrom trackline.logs import files\n"
        "def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "files.LogFile._append = full\n" + SET_UP,
        cwd=tmp_path,
    )

    assert done.returncode == 0
    [cannot, lost] = done.err.splitlines()
    assert cannot.startswith("trackline: cannot write")
    assert "No space left on device" in cannot
    assert lost == "trackline: 1000 lines could not be written"


STUCK = """
import logging, os, pathlib, sys
import trackline
from trackline.logs import exit
exit._SECONDS = 0.1
{set_up}
log = logging.getLogger("app")
for number in range(3000):
    log.info("%d", number)
"""


def test_process_whose_console_and_stderr_nobody_reads_ends_all_the_same(tmp_path):
    script = STUCK.format(set_up='os.dup2(1, 2)\nhandle = trackline.setup_logging("orders", console="json", file=False)')
    process = run(script, cwd=tmp_path, wait=False)  # nobody reads its pipe, which holds 64 KiB
    try:
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()


def test_process_whose_console_nobody_reads_says_how_many_lines_were_not_written(tmp_path):
    script = STUCK.format(set_up='handle = trackline.setup_logging("orders", console="json", file=False)')
    process = run(script, cwd=tmp_path, wait=False)
    try:
        assert process.wait(timeout=30) == 0
        err = process.stderr.read()
    finally:
        process.kill()
        process.communicate()

    [said] = re.findall(r"^trackline: (\d+) lines were not written within 0\.[01][0-9]* s$", err, re.MULTILINE)
    assert 2000 < int(said) <= 3000
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("policy", QUEUE_POLICIES[:3])
def test_memory_stays_within_the_bound_while_nobody_reads(policy, tmp_path):
    """That of the whole process, as the system counts it, over 10 times as many lines as there is room for."""
    script = (
        STUCK.replace("3000", "20_000")
        .replace('"%d", number', '"%d %s", number, "x" * 1000')
        .format(
            set_up=f"""
handle = trackline.setup_logging("orders", console="json", file=False, max_queue_bytes=2**21, queue_policy={policy!r})
def memory():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
logging.getLogger("app").info("first")
before = memory()
"""
        )
    )
    script += """
stats = handle.stats()
print(memory() - before, stats.written, stats.dropped, stats.queued, stats.queued_bytes, file=sys.stderr)
os._exit(0)
"""
    process = run(script, cwd=tmp_path, wait=False)
    try:
        assert process.wait(timeout=60) == 0
        grown, written, dropped, queued, queued_bytes = map(int, process.stderr.read().split())
    finally:
        process.kill()
        process.communicate()

    assert written + dropped + queued == 20_001
    assert dropped > 15_000
    assert queued_bytes <= 2**21
    assert grown < 2**21 + 2**20  # what is joined for the file, and what the first calls have left


def test_sigterm_that_interrupts_a_log_call_which_holds_the_queue_loses_nothing(tmp_path):
    script = (
        SET_UP
        + """
handle.flush()
log.info("last")
with handle._handler.writer._queue._lock:
    signal.raise_signal(signal.SIGTERM)
"""
    )
    process = run(script, cwd=tmp_path, wait=False)
    _, err = process.communicate()
    path = tmp_path / "logs" / "orders.log"

    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert messages(path) == [*THOUSAND, "last"]
    assert action(read(path)[-1]) == "log-close"


def test_process_that_was_killed_leaves_whole_lines_and_no_closing_line(tmp_path):
    process = run(SET_UP + "handle.flush()\nprint('ready', flush=True)\nsignal.pause()", cwd=tmp_path, wait=False)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    lines = read(tmp_path / "logs" / "orders.log")

    assert messages(tmp_path / "logs" / "orders.log") == THOUSAND
    assert action(lines[-1]) is None


def test_process_that_is_killed_while_it_logs_leaves_lines_without_a_gap_and_half_a_line_at_the_most(tmp_path):
    process = run(SET_UP + "while True:\n    number += 1\n    log.info('%d', number)", cwd=tmp_path, wait=False)
    path = tmp_path / "logs" / "orders.log"
    wait_for(lambda: path.exists() and path.stat().st_size > 2**20)
    process.kill()
    process.communicate()
    *whole, end = path.read_bytes().split(b"\n")
    lines = [parse(line + b"\n") for line in whole]
    run(SET_UP, cwd=tmp_path)

    assert [line["message"] for line in lines[1:]] == [str(number) for number in range(len(lines) - 1)]
    # The opening line's number is the next one when the writer comes to open the file: it may be above all that were written.
    opening, *ids = [int(line["event.id"].split("-")[1]) for line in lines]
    assert ids == [number for number in range(1, len(lines) + 1) if number != opening][: len(ids)]
    after = path.read_bytes().split(b"\n")[len(whole) + bool(end) :]
    assert action(parse(after[0] + b"\n")) == "log-open"
