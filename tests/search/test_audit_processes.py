"""The audit of what real processes have written: killed, forked, too fast for their queue, and at it while they are audited."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from trackline.search import audit, find_lines

PLAIN = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACKLINE_"))}


@pytest.fixture
def start(tmp_path):
    """Give a function that starts a script in a process of its own, which ends with the test."""
    processes = []

    def start(script):
        command = [sys.executable, "-c", "import logging, os, sys, time, trackline\n" + textwrap.dedent(script)]
        process = subprocess.Popen(command, cwd=tmp_path, env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def run(start, script):
    process = start(script)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_what_a_process_has_logged_is_proved(start, tmp_path, schema):
    run(
        start,
        f"""
        trackline.setup_logging("orders", schema={schema!r}, console=False)
        for number in range(100):
            logging.getLogger("shop").info("order", extra={{"event.id": "0123456789ab-7", "event.action": "log-close"}})
        """,
    )

    report = audit([tmp_path])

    assert report.is_proved
    (process,) = report.processes
    assert (process.lines, process.service, process.host) == (102, "orders", os.uname().nodename)


def test_flat_logs_have_no_numbers(start, tmp_path):
    run(start, 'trackline.setup_logging("orders", schema="flat", console=False); logging.getLogger("shop").info("order")')

    report = audit([tmp_path])

    assert (report.processes, report.uncounted) == ((), 3)


def test_killed_process_is_open_and_only_what_waited_can_be_missing(start, tmp_path):
    process = start(
        """
        handle = trackline.setup_logging("orders", console=False)
        number = 0
        while True:
            number += 1
            logging.getLogger("shop").info("order %d", number)
            if number == 5000:
                handle.flush()
                print("5000 lines are written", flush=True)
        """
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()

    report = audit([tmp_path])

    (process,) = report.processes
    assert not process.is_closed
    assert process.highest > 5000
    assert (process.lines, report.missing) == (process.highest, 0)


def test_lines_for_which_the_queue_had_no_room_are_declared(start, tmp_path):
    run(
        start,
        """
        sys.setswitchinterval(10)  # so the writer hardly ever runs
        trackline.setup_logging("orders", console=False, max_queue_bytes=2**20)
        for number in range(20_000):
            logging.getLogger("shop").info("order %d", number)
        """,
    )

    (process,) = audit([tmp_path]).processes

    assert process.dropped > 1000
    assert process.lines + process.dropped == process.highest
    assert process.missing == 0
    assert process.is_proved


def test_parent_and_forked_children_have_an_account_each(start, tmp_path):
    run(
        start,
        """
        trackline.setup_logging("orders", console=False)
        log = logging.getLogger("shop")
        log.info("before")
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                for number in range(100):
                    log.info("child %d", number)
                sys.exit()
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        log.info("after")
        """,
    )

    report = audit([tmp_path])

    assert report.is_proved
    assert sorted(process.lines for process in report.processes)[1:] == [102] * 3
    assert len({process.pid for process in report.processes}) == 4


def test_process_that_writes_rotates_and_compresses_meanwhile_has_nothing_missing(start, tmp_path):
    process = start(
        """
        import threading
        trackline.setup_logging("orders", console=False, max_file_bytes=100_000, compress="gzip", compress_after=0)
        threading.Thread(target=sys.stdin.read, daemon=True).start()
        log = logging.getLogger("shop")
        def work():
            for number in range(20_000):
                log.info("order %d", number)
                if number == 500:
                    print("some", flush=True)
                if number % 50 == 0:
                    time.sleep(0.005)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """
    )
    process.stdout.readline()
    audits = 0
    while process.poll() is None and audits < 8:
        report = audit([tmp_path])
        audits += process.poll() is None
        assert (report.missing, report.broken_count, report.processes[0].duplicated) == (0, 0, 0)

    process.communicate(timeout=60)
    assert audits
    assert audit([tmp_path]).is_proved


def test_line_with_an_event_id_of_the_users_is_found_once_each(start, tmp_path):
    run(
        start,
        """
        trackline.setup_logging("orders", schema="otel", console=False)
        with trackline.use_tracking_id("order-1742"):
            for number in range(3):
                logging.getLogger("shop").info("order %d", number, extra={"event.id": "theirs"})
        """,
    )

    assert [line.message for line in find_lines("order-1742", [tmp_path])] == ["order 0", "order 1", "order 2"]


def test_report_is_json_for_machines(start, tmp_path):
    run(start, 'trackline.setup_logging("orders", console=False); logging.getLogger("shop").info("order")')

    report = audit([tmp_path])

    assert json.loads(json.dumps([report.as_dict(), *(process.as_dict() for process in report.processes)]))[0]["lines"] == 3
