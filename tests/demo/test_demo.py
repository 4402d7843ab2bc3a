"""The command, run as people run it: what it shows, how it ends, and that it leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from trackline.demo import run as demo_run
from trackline.demo.scenes import ten_scenes
from trackline.search.line import Line
from trackline.terminal import columns

PLAIN = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}} | {"COLUMNS": "80"}
URL = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Demo:
    """A running `trackline demo`, read line by line; knows every process that it has started, by the folder they run in."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        command = [sys.executable, "-m", "trackline", "demo", "--dir", str(folder), *arguments]
        self.process = subprocess.Popen(command, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        self.output = ""

    def read_until(self, text):
        for row in self.process.stdout:
            self.output += row
            if text in row:
                return
        pytest.fail(f"{text!r} did not come:\n{self.output}\n{self.process.stderr.read()}")

    def finish(self, seconds=30):
        # Not communicate(): it does not have what has been read ahead.
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        self.output += self.process.stdout.read()
        self.errors = self.process.stderr.read()
        timer.cancel()
        return self.process.wait()

    @property
    def ports(self):
        return [int(port) for port in URL.findall(self.output.partition("log files")[0])]

    def processes(self):
        """Give the IDs of the processes that run in the folder: services, workers and their helpers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self.folder:
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def clean_up(self):
        """Kill what a failed test has left."""
        if self.process.poll() is None:
            self.process.kill()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()

    def left(self, seconds=0.0):
        """Give what is still there after some time: processes and open ports."""
        deadline = time.monotonic() + seconds
        while (left := [*self.processes(), *filter(is_open, self.ports)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left


def is_open(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Give a demo that has run to its end."""
    demo = Demo(tmp_path_factory.mktemp("finished") / "demo")
    demo.finish()
    yield demo
    demo.clean_up()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*arguments):
        started.append(Demo(tmp_path / "demo", *arguments))
        return started[-1]

    yield start
    for demo in started:
        demo.clean_up()


pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="counts processes in /proc")


def test_demo_tells_every_story_and_leaves_nothing_behind(finished):
    demo = finished

    assert demo.process.returncode == 0, demo.output + demo.errors
    assert demo.left() == []
    assert len(demo.ports) == 3
    for number, scene in enumerate(ten_scenes(), 1):
        assert f"── {number}/10  {scene.title} ──" in demo.output
    assert demo.output.count("\n✓ ") == 11
    assert "✗" not in demo.output
    assert "\x1b" not in demo.output
    assert str(demo.folder) in demo.output


def test_demo_fits_into_80_columns_save_for_what_is_copied(finished):
    rows = finished.output.splitlines()

    wide = [row for row in rows if columns(row) > 80 and str(finished.folder) not in row and "less /" not in row]
    assert wide == []


def test_failing_line_stands_out_with_its_exception(finished):
    story = finished.output.partition("A failure in the third service")[2].partition("7/10")[0]
    marked = [row for row in story.splitlines() if row.startswith("!!")]
    assert len(marked) == 1
    assert "payments" in marked[0]
    assert "BankError" in story
    assert "ask_bank" in story


def test_find_command_that_is_printed_finds_the_story_again(finished):
    command = re.search(r"^  \S*trackline (find case-\S+ \S+)$", finished.output, re.MULTILINE)[1].split()
    found = subprocess.run([sys.executable, "-m", "trackline", *command], env=PLAIN, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    assert found.stdout in finished.output


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["SIGINT", "SIGTERM", "SIGHUP"]
)
@pytest.mark.parametrize("moment", ["log files", "Up after"])
def test_signal_in_the_middle_ends_everything(start, moment, number, status):
    demo = start()
    demo.read_until(moment)
    assert demo.processes() != []

    demo.process.send_signal(number)

    assert demo.finish(15) == status, demo.output + demo.errors
    assert demo.left() == []
    assert demo.errors == ""
    assert str(demo.folder) in demo.output


def test_impatient_ctrl_c_ends_everything_too(start):
    demo = start()
    demo.read_until("Up after")

    for _ in range(20):
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.02)

    assert demo.finish(15) == 130
    assert demo.left() == []


def test_killed_demo_takes_its_services_along(start):
    demo = start()
    demo.read_until("Up after")
    assert len(demo.processes()) >= 5

    demo.process.kill()

    demo.finish()
    assert demo.left(15) == []


def test_closed_pipe_ends_everything(start):
    demo = start()
    demo.read_until("log files")

    demo.process.stdout.close()

    assert demo.process.wait(15) == 141
    assert demo.left() == []


def test_serve_goes_on_until_ctrl_c(start):
    demo = start("--serve")
    demo.read_until("go on running")
    url = URL.search(demo.output)[0]

    response = httpx.post(f"{url}/checkout", json={}, headers={"X-Request-ID": "mine-1"})
    demo.process.send_signal(signal.SIGINT)

    assert response.headers["X-Request-ID"] == "mine-1"
    assert demo.finish(15) == 0, demo.errors
    assert "curl" in demo.output
    assert demo.left() == []


def test_service_that_dies_is_said(start):
    demo = start("--serve")
    demo.read_until("go on running")
    leaders = [pid for pid in demo.processes() if os.getsid(pid) == pid]

    os.kill(leaders[0], signal.SIGKILL)

    assert demo.finish(15) == 1
    assert "has ended by itself" in demo.errors
    assert demo.left() == []


def test_folder_with_files_in_it_is_refused(start, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").touch()
    demo = start()

    assert demo.finish() == 2
    assert "expected a folder that is empty or not there yet" in demo.errors


def test_colour_is_for_terminals_that_want_it(tmp_path):
    def run(*arguments, **env):
        command = [sys.executable, "-m", "trackline", "demo", *arguments]
        return subprocess.run(command, env={**PLAIN, **env}, capture_output=True, text=True, check=False, timeout=60).stdout

    assert "\x1b[1;31m" in run("--dir", str(tmp_path / "1"), FORCE_COLOR="1")
    assert "\x1b" not in run("--dir", str(tmp_path / "2"), "--no-color", FORCE_COLOR="1")


def test_missing_package_is_said(tmp_path):
    code = "import sys; sys.modules['uvicorn'] = None; from trackline.cli import main; sys.exit(main(['demo']))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert result.stderr == "trackline: the demo needs uvicorn: pip install 'trackline[demo]'\n"


def test_line_that_search_does_not_find_gives_status_1_and_its_name(tmp_path, capsys, monkeypatch):
    def find_all_but_one(tracking_id: str, paths) -> list[Line]:
        return [line for line in find_lines(tracking_id, paths) if line.message != "charged" or tracking_id.startswith("order-")]

    find_lines = demo_run.find_lines
    monkeypatch.setattr(demo_run, "find_lines", find_all_but_one)

    assert demo_run.run_demo(tmp_path / "demo") == 1
    output = capsys.readouterr().out
    assert "✗ request 1: missing: payments: 'charged'" in output
    assert "request 3" not in output
