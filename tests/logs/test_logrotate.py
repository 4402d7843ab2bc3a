"""What an external logrotate does: rename with create and SIGHUP, rename alone, copytruncate."""

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from logs.reading import action, messages, read, run, wait_for
from trackline import setup_logging
from trackline.logs import hangup

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
RUNNING = """
import logging, os, signal, sys
import trackline
{before}
handle = trackline.setup_logging("orders", console=False)
log = logging.getLogger("app")
for line in sys.stdin:
    log.info(line.strip())
    handle.flush()
    print(handle.stats().path, flush=True)
"""


class Running:
    """A process that logs what it is told to."""

    def __init__(self, directory, before=""):
        self.path = directory / "logs" / "orders.log"
        # In a session of its own it has no terminal, as a daemon.
        self.process = run(RUNNING.format(before=before), cwd=directory, wait=False, stdin=subprocess.PIPE, start_new_session=True)

    def log(self, text):
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{self.path}\n"

    def end(self):
        out, err = self.process.communicate(timeout=20)
        return out, err, self.process.returncode


@pytest.fixture
def start(tmp_path):
    started = []

    def start(**options):
        started.append(Running(tmp_path, **options))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


def test_rename_and_create_and_hangup_open_the_new_file_at_once(start):
    running = start()
    running.log("before")
    running.path.rename(f"{running.path}.1")
    running.path.touch(0o600)
    os.kill(running.process.pid, signal.SIGHUP)
    wait_for(lambda: running.path.stat().st_size > 1024)
    running.log("after")
    assert running.end() == ("", "", 0)

    assert messages(f"{running.path}.1") == ["before"]
    assert messages(running.path) == ["after"]
    assert action(read(running.path)[0]) == "log-open"
    assert running.path.stat().st_mode & 0o777 == 0o600


def test_rename_alone_is_noticed_at_the_next_line(start):
    running = start()
    running.log("before")
    running.path.rename(f"{running.path}.1")
    running.log("after")
    running.end()

    assert messages(f"{running.path}.1") == ["before"]
    assert messages(running.path) == ["after"]


def test_hangup_with_nothing_renamed_changes_nothing(start):
    running = start()
    running.log("before")
    os.kill(running.process.pid, signal.SIGHUP)
    running.log("after")
    running.end()

    assert [action(line) for line in read(running.path)] == ["log-open", None, None, "log-close"]


def test_handler_that_is_there_is_called_too(start):
    running = start(before="signal.signal(signal.SIGHUP, lambda number, frame: print('hung up', number, flush=True))")
    running.log("before")
    os.kill(running.process.pid, signal.SIGHUP)

    assert running.process.stdout.readline() == f"hung up {int(signal.SIGHUP)}\n"


def test_hangup_that_is_ignored_is_ignored_for_children_too(start):
    running = start(before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    running.log("before")
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t") for line in lines if ":\t" in line)

    assert int(status["SigIgn"], 16) & 1 << signal.SIGHUP - 1
    assert not int(status["SigCgt"], 16) & 1 << signal.SIGHUP - 1


def test_loss_of_its_terminal_ends_a_process_as_ever(tmp_path):
    ours, its = os.openpty()
    script = """
    import fcntl, sys, termios, time
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    import trackline
    trackline.setup_logging("orders", console=False)
    print("ready", flush=True)
    time.sleep(60)
    """
    process = run(script, cwd=tmp_path, wait=False, stdin=its, start_new_session=True)
    try:
        assert process.stdout.readline() == "ready\n"
    finally:
        os.close(its)
        os.close(ours)  # the kernel sends SIGHUP
    try:
        process.communicate(timeout=20)
    finally:
        process.kill()

    assert process.returncode == -signal.SIGHUP


@pytest.fixture
def nobody_watches(monkeypatch):
    """As in a process of its own: `setup_logger` of another test watches for as long as its process lives."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    monkeypatch.setattr(hangup, "_watching", 0)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("nobody_watches")
def test_close_puts_back_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(hangup, "_has_terminal", lambda: False)
    before = signal.getsignal(signal.SIGHUP)
    with setup_logging("orders", log_dir=tmp_path, console=False):
        ours = signal.getsignal(signal.SIGHUP)
        with setup_logging("billing", log_dir=tmp_path, console=False):
            assert signal.getsignal(signal.SIGHUP) is ours

    assert ours is not before
    assert signal.getsignal(signal.SIGHUP) is before


@pytest.mark.usefixtures("nobody_watches")
def test_handler_that_was_set_since_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(hangup, "_has_terminal", lambda: False)
    before = signal.getsignal(signal.SIGHUP)

    def theirs(number, frame):
        pass

    with setup_logging("orders", log_dir=tmp_path, console=False):
        signal.signal(signal.SIGHUP, theirs)
    try:
        assert signal.getsignal(signal.SIGHUP) is theirs
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_signal_is_taken_in_another_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(hangup, "_has_terminal", lambda: False)
    before = signal.getsignal(signal.SIGHUP)
    handles = []
    thread = threading.Thread(target=lambda: handles.append(setup_logging("orders", log_dir=tmp_path, console=False)))
    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGHUP) is before
    handles[0].close()


def test_copytruncate_leaves_no_hole_and_an_opening_line_again(start):
    running = start()
    for number in range(20):
        running.log(f"before {number}")
    shutil.copy(running.path, f"{running.path}.1")
    os.truncate(running.path, 0)
    running.log("after")
    running.end()
    opening, after, closing = read(running.path)

    assert b"\0" not in running.path.read_bytes()
    assert (action(opening), after["message"], action(closing)) == ("log-open", "after", "log-close")
    assert messages(f"{running.path}.1") == [f"before {number}" for number in range(20)]
    assert closing["labels"]["lines"] == 21


def test_file_that_was_emptied_in_place_has_an_opening_line_again(start):
    running = start()
    running.log("before")
    os.truncate(running.path, 0)
    running.log("between")
    os.truncate(running.path, 100)
    running.log("after")

    lines = running.path.read_bytes().splitlines()
    assert len(lines) == 3  # half of an opening, an opening, and the line
    assert len(lines[0]) == 100
    assert len(lines[1]) > 1024


@pytest.mark.skipif(LOGROTATE is None, reason="there is no logrotate here")
@pytest.mark.parametrize("way", ["create 0640", "nocreate", "copytruncate"])
def test_logrotate_itself_loses_no_line(way, start, tmp_path):
    running = start()
    config = tmp_path / "logrotate.conf"
    hangup = f"postrotate\nkill -HUP {running.process.pid}\nendscript" if way != "copytruncate" else ""
    config.write_text(f"{running.path} {{\nsu root root\nrotate 9\n{way}\n{hangup}\n}}\n")
    config.chmod(0o644)
    for number in range(3):
        running.log(f"line {number}")
        subprocess.run([LOGROTATE, "--force", "--state", tmp_path / "state", config], check=True)
    running.log("line 3")
    running.end()

    assert [messages(f"{running.path}{end}") for end in (".3", ".2", ".1", "")] == [[f"line {number}"] for number in range(4)]


LOGGING_ALL_THE_TIME = """
import logging, sys, threading
import trackline
handle = trackline.setup_logging("orders", console=False)
log, over, number = logging.getLogger("app"), threading.Event(), 0
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
while not over.is_set():
    log.info("%d", number)
    number += 1
    if number % 100 == 0:
        over.wait(0.001)
print(number, flush=True)
"""


@pytest.mark.skipif(LOGROTATE is None, reason="there is no logrotate here")
@pytest.mark.parametrize("way", ["create 0640", "nocreate", "copytruncate"])
def test_logrotate_while_lines_come_loses_none_but_for_what_copytruncate_says(way, tmp_path):
    process = run(LOGGING_ALL_THE_TIME, cwd=tmp_path, wait=False, stdin=subprocess.PIPE)
    path, config = tmp_path / "logs" / "orders.log", tmp_path / "logrotate.conf"
    hangup = f"postrotate\nkill -HUP {process.pid}\nendscript" if way != "copytruncate" else ""
    config.write_text(f"{path} {{\nsu root root\nrotate 9\n{way}\n{hangup}\n}}\n")
    config.chmod(0o644)
    for _ in range(5):
        wait_for(lambda: path.exists() and path.stat().st_size > 50_000)
        subprocess.run([LOGROTATE, "--force", "--state", tmp_path / "state", config], check=True)
    out, err = process.communicate()
    if way == "copytruncate":  # a copy that is made in the midst of a write ends in half a line
        for copy in path.parent.glob("orders.log.*"):
            copy.write_bytes(copy.read_bytes()[: copy.read_bytes().rfind(b"\n") + 1])
    found = sorted(int(message) for one in path.parent.glob("orders.log*") for message in messages(one))

    assert err == ""
    assert len(list(path.parent.glob("orders.log*"))) == 6
    assert found == sorted(set(found))
    if way != "copytruncate":
        assert found == list(range(int(out)))
