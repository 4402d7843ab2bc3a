"""Files that have been closed for a while are compressed: once, by one process, with no moment at which a line is lost or doubled."""

import gzip
import io
import itertools
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import zstandard

from logs.reading import ENVIRONMENT, run, wait_for
from trackline import setup_logging
from trackline.config import LogSettings
from trackline.logs import compression
from trackline.logs.compression import Compression
from trackline.logs.files import LogFile
from trackline.search.files import find_lines

LINES = b"".join(b'{"tracking_id":"abc","message":"%d"}\n' % number for number in range(200))


def read(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


def make(directory, *names, content=LINES):
    for name in names:
        (directory / name).write_bytes(content)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def compress(tmp_path):
    """Compress what is due; gives when to look again."""
    return lambda kind="gzip", after=0, **options: Compression(tmp_path, "app", kind, after).run_once(**options)


@pytest.mark.parametrize(("kind", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_rotated_files_are_compressed_and_are_the_same(kind, suffix, compress, tmp_path):
    rotated = ["app.log.2026-11-21", "app.log.2026-11-21_000001", "app-7.log.2026-11-21T10-00-00", "app-sp1.log.2026-11-21"]
    make(tmp_path, "app.log", "app-8.log", *rotated)
    compress(kind)

    assert names(tmp_path) == sorted(["app.log", "app-8.log", *(name + suffix for name in rotated)])
    assert all(read(tmp_path / (name + suffix)) == LINES for name in rotated)


def test_what_is_not_ours_is_left_as_it_is(compress, tmp_path):
    others = [
        "app.log",
        "app2.log.2026-11-21",
        "app.log.1",
        "app.log.2026-11-21.txt",
        "application.log.2026-11-21",
        "app-7.log.2026-11-21",
    ]
    make(tmp_path, *others)
    (tmp_path / ".app-7.lock").write_text("app-7\n")
    (tmp_path / "app.log.2026-11-20").mkdir()
    (tmp_path / "app.log.2026-11-19").symlink_to(tmp_path / "app.log.1")
    before = names(tmp_path)
    compress()

    assert names(tmp_path) == before
    assert (tmp_path / "app.log.1").read_bytes() == LINES


def test_file_waits_after_it_was_closed_however_old_its_last_line_is(compress, tmp_path, monkeypatch):
    make(tmp_path, "app.log")
    os.utime(tmp_path / "app.log", (10**9, 10**9))
    (tmp_path / "app.log").rename(tmp_path / "app.log.2001-09-09")

    assert compress(after=3600) == 600
    assert 95 < compress(after=100) <= 100
    assert names(tmp_path) == ["app.log.2001-09-09"]
    now = time.time()
    monkeypatch.setattr(compression.time, "time", lambda: now + 101)
    compress(after=100)
    assert names(tmp_path) == ["app.log.2001-09-09.gz"]


def test_mode_and_time_stay_so_that_retention_finds_its_age(compress, tmp_path):
    make(tmp_path, "app.log.2026-11-21")
    (tmp_path / "app.log.2026-11-21").chmod(0o604)
    os.utime(tmp_path / "app.log.2026-11-21", (10**9, 10**9 + 0.5))
    compress()
    status = (tmp_path / "app.log.2026-11-21.gz").stat()

    assert (status.st_mode & 0o777, status.st_mtime) == (0o604, 10**9 + 0.5)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_owner_stays(compress, tmp_path):
    make(tmp_path, "app.log.2026-11-21")
    os.chown(tmp_path / "app.log.2026-11-21", 65534, 65534)
    compress()

    assert (tmp_path / "app.log.2026-11-21.gz").stat().st_uid == 65534


STEPS = ["write", "fsync", "rename", "unlink"]
CRASH = """
import os, sys
from pathlib import Path
from trackline.logs.compression import Compression
wanted, number = sys.argv[1], int(sys.argv[2])
seen = 0
def crash(original):
    def step(*args, **options):
        global seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), 9)
        return original(*args, **options)
    return step
setattr(os, wanted, crash(getattr(os, wanted)))
Compression(Path("."), "app", "gzip", 0).run_once()
print("whole")
"""


@pytest.mark.parametrize("step", STEPS)
def test_kill_at_any_step_loses_no_line_and_doubles_none(step, compress, tmp_path):
    for number in itertools.count(1):
        for path in tmp_path.iterdir():
            path.unlink()
        make(tmp_path, "app.log.2026-11-21")
        done = subprocess.run(
            [sys.executable, "-c", CRASH, step, str(number)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False
        )
        found = find_lines("abc", [tmp_path])
        assert len(found) == 200
        assert len({line.message for line in found}) == 200
        compress()
        assert names(tmp_path) == ["app.log.2026-11-21.gz"]
        assert read(tmp_path / "app.log.2026-11-21.gz") == LINES
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert number > 1


def test_draft_whose_file_was_deleted_is_deleted(compress, tmp_path):
    make(tmp_path, ".app-7~2026-11-21_000001.draft", ".app-7~2026-11-22.draft", ".other~2026-11-21.draft", ".app.draft")
    make(tmp_path, "app-7.log.2026-11-22")
    compress()

    assert names(tmp_path) == [".app.draft", ".other~2026-11-21.draft", "app-7.log.2026-11-22.gz"]


@pytest.mark.parametrize(("suffix", "whole"), [(".gz", gzip.compress(LINES)), (".zst", zstandard.compress(LINES))])
def test_file_that_is_there_twice_after_a_crash_is_read_once_and_mended(suffix, whole, compress, tmp_path):
    make(tmp_path, "app.log.2026-11-21")
    (tmp_path / f"app.log.2026-11-21{suffix}").write_bytes(whole)
    assert len(find_lines("abc", [tmp_path])) == 200
    compress("gzip")

    assert names(tmp_path) == [f"app.log.2026-11-21{suffix}"]
    assert read(tmp_path / f"app.log.2026-11-21{suffix}") == LINES


def test_file_that_retention_deletes_meanwhile_does_not_come_back(compress, tmp_path):
    make(tmp_path, "app.log.2026-11-21")

    def delete():
        if (tmp_path / ".app~2026-11-21.draft").exists():
            (tmp_path / "app.log.2026-11-21").unlink(missing_ok=True)
        return False

    compress(is_stopped=delete)

    assert names(tmp_path) == []


def test_compressed_file_is_on_the_disk_before_it_has_its_name(compress, tmp_path, monkeypatch):
    make(tmp_path, "app.log.2026-11-21")
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append((os.fstat(descriptor).st_ino, names(tmp_path))))
    compress()

    [(first, before), (second, after)] = flushed
    assert first == (tmp_path / "app.log.2026-11-21.gz").stat().st_ino
    assert before == [".app~2026-11-21.draft", "app.log.2026-11-21"]
    assert second == tmp_path.stat().st_ino
    assert after == ["app.log.2026-11-21", "app.log.2026-11-21.gz"]


def test_one_process_alone_compresses_a_file(tmp_path):
    make(tmp_path, *(f"app.log.2026-11-{day}" for day in range(10, 20)))
    script = (
        "from pathlib import Path; from trackline.logs import compression as c; made = []\n"
        "take_over = c._take_over\n"
        "c._take_over = lambda *args: made.append(1) or take_over(*args)\n"
        "complaints = []; work = c.Compression(Path('.'), 'app', 'gzip', 0); work.complain = complaints.append\n"
        "input(); work.run_once(); print(len(made), complaints)"
    )
    command = [sys.executable, "-c", script]
    options = {"cwd": tmp_path, "env": ENVIRONMENT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **options) for _ in range(3)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0].split(maxsplit=1) for process in processes]

    assert sum(int(count) for count, _ in said) == 10
    assert {complaints for _, complaints in said} == {"[]\n"}
    assert names(tmp_path) == [f"app.log.2026-11-{day}.gz" for day in range(10, 20)]
    assert all(read(path) == LINES for path in tmp_path.iterdir())


def test_disk_that_has_no_room_leaves_the_plain_file_and_says_so(tmp_path, monkeypatch):
    make(tmp_path, "app.log.2026-11-21", "app.log.2026-11-22")
    work = Compression(tmp_path, "app", "gzip", 0)
    said = []
    work.complain = said.append
    refuse = iter([True])

    def write(descriptor, data):
        if next(refuse, False):
            raise OSError(28, "No space left on device")
        while data:
            data = data[os.write(descriptor, data) :]

    monkeypatch.setattr(compression, "_write", write)
    work.run_once()

    assert names(tmp_path) == ["app.log.2026-11-21", "app.log.2026-11-22.gz"]
    assert len(said) == 1
    assert "No space left" in said[0]
    work.run_once()
    assert names(tmp_path) == ["app.log.2026-11-21.gz", "app.log.2026-11-22.gz"]


@pytest.fixture
def open_file(tmp_path):
    opened = []

    def make(**options):
        settings = LogSettings("app", "INFO", "ecs", tmp_path, console=False, file=True, retention_days=7, compress="gzip", **options)
        opened.append(LogFile(settings, lambda path: b"opening\n"))
        return opened[-1]

    yield make
    for file in opened:
        file.close()


def test_writing_goes_on_while_what_is_full_is_compressed(open_file, tmp_path):
    file = open_file(max_file_bytes=5000, compress_after=0)
    lines = [b"%04d " % number + b"x" * 94 + b"\n" for number in range(500)]
    for line in lines:
        file.write([line])
    wait_for(lambda: len(list(tmp_path.glob("*.gz"))) == 10)
    found = [read(path) for path in sorted(tmp_path.glob("*.gz"))]

    assert b"".join([*found, file.path.read_bytes()]).replace(b"opening\n", b"") == b"".join(lines)


def test_close_stops_it_in_the_midst_of_a_file_which_stays(open_file, tmp_path, monkeypatch):
    make(tmp_path, "app.log.2026-11-21", content=random.Random(1).randbytes(2**20))
    resting, go = threading.Event(), threading.Event()
    monkeypatch.setattr(compression.time, "sleep", lambda seconds: resting.set() or go.wait(20))
    file = open_file(compress_after=0)
    file.write([b"one\n"])
    resting.wait(20)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "trackline-compression"]
    file.close()
    go.set()
    thread.join(20)

    assert names(tmp_path) == [".app.lock", "app.log", "app.log.2026-11-21"]


def test_child_that_is_forked_meanwhile_has_a_thread_of_its_own_and_holds_no_file(tmp_path):
    (tmp_path / "logs").mkdir()
    make(tmp_path / "logs", "app.log.2026-11-20", content=random.Random(1).randbytes(2**20))
    done = run(
        """
        import logging, os, threading, time, warnings
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        import trackline
        from trackline.logs import compression
        resting, go = threading.Event(), threading.Event()
        sleep, compression.time = time.sleep, type("Time", (), {"sleep": lambda seconds: resting.set() or go.wait(20),
            "time": time.time, "monotonic": time.monotonic})
        handle = trackline.setup_logging("app", console=False, compress="gzip", compress_after=0)
        logging.info("parent")
        resting.wait(20)
        if not (child := os.fork()):
            compression.time = time
            held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
            print([path for path in held if "2026-11" in path], flush=True)
            with open("logs/app-7.log.2026-11-21", "w") as file:
                file.write("x\\n")
            logging.info("child")
            handle.flush()
            while not os.path.exists("logs/app-7.log.2026-11-21.gz"):
                sleep(0.01)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        go.set()
        while not os.path.exists("logs/app.log.2026-11-20.gz"):
            sleep(0.01)
        """,
        cwd=tmp_path,
    )
    assert (done.out, done.err) == ("[]\n0\n", "")


def test_settings_of_the_process_reach_it(tmp_path):
    make(tmp_path, "orders.log.2026-11-21")
    with setup_logging("orders", log_dir=tmp_path, console=False, compress="zstd", compress_after=0) as handle:
        logging.getLogger("app").info("one")
        handle.flush()
        wait_for((tmp_path / "orders.log.2026-11-21.zst").exists)


def test_nothing_is_compressed_unless_told(tmp_path):
    make(tmp_path, "orders.log.2026-11-21")
    with setup_logging("orders", log_dir=tmp_path, console=False) as handle:
        logging.getLogger("app").info("one")
        handle.flush()
        assert "trackline-compression" not in {thread.name for thread in threading.enumerate()}


def test_missing_library_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("trackline.config.find_spec", lambda name: None)
    if sys.version_info < (3, 14):
        with pytest.raises(ValueError, match=r"compress='zstd': .*trackline\[zstd\]"):
            setup_logging("orders", log_dir=tmp_path / "logs", compress="zstd")
        assert not (tmp_path / "logs").exists()
