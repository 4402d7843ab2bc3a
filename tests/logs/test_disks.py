"""Disks that stand still, stall, fail, or have no room for one thing more: real ones, small, mounted for a test."""

import asyncio
import logging
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from logs.mounts import Disk, Mounted, needs_root, run_or_skip, until_refused
from logs.reading import action, numbers, read, run, wait_for
from trackline.config import LogSettings
from trackline.logs import compression
from trackline.logs.compression import Compression
from trackline.logs.files import LogFile

pytestmark = needs_root
log = logging.getLogger("app")


@pytest.fixture
def mount(tmp_path):
    """Give a function that mounts a file system, in memory where options for that are given."""
    mounted = []

    def mount(options=None, name="disk"):
        mounted.append(Mounted(tmp_path / name, options) if options else Disk(tmp_path / name))
        return mounted[-1]

    yield mount
    for one in reversed(mounted):
        one.unmount()


def say(start, stop, width=1000):
    for number in range(start, stop):
        log.info("%d %s", number, "x" * width)


def check_counted(path, said, dropped):
    """Check that of what was said all is there but for what the log says it has dropped; every other number is there."""
    lines = read(path)
    ids = {int(line["event.id"].split("-")[1]) for line in lines}
    assert len(numbers(path)) == said - dropped
    assert max(ids) - len(ids) == dropped
    assert [line["labels"]["dropped"] for line in lines if action(line) == "log-close"] == [dropped]


@pytest.mark.parametrize("policy", ["level-aware", "drop-newest", "drop-oldest"])
def test_disk_that_stands_still_stops_no_caller_and_loses_what_is_counted(policy, mount, log_to):
    disk = mount()
    handle = log_to(disk.path, max_queue_bytes=2**20, queue_policy=policy)
    say(0, 10)
    assert handle.flush()
    with disk.standing_still():
        say(10, 5000)  # or else it would not end
        stats = handle.stats()
        assert not handle.flush(timeout=0.01)
        assert handle.close(timeout=0.01) == stats.queued
    handle.close()

    assert stats.queued_bytes <= 2**20
    assert stats.written + stats.queued + stats.dropped == 5000
    assert stats.dropped > 3000
    check_counted(disk.path / "orders.log", 5000, stats.dropped)


@pytest.mark.parametrize("policy", ["level-aware", "block"])
def test_event_loop_goes_on_while_the_disk_stands_still(policy, mount, log_to):
    async def work():
        for number in range(3000):
            log.info("%d %s", number, "x" * 1000)
            await asyncio.sleep(0)

    disk = mount()
    handle = log_to(disk.path, max_queue_bytes=2**20, queue_policy=policy, queue_timeout=60)
    with disk.standing_still():
        asyncio.run(work())  # or else it would not end
        dropped = handle.stats().dropped
    handle.close()

    assert dropped > 1000
    check_counted(disk.path / "orders.log", 3000, dropped)


def test_disk_that_stalls_again_and_again_loses_nothing(mount, log_to):
    disk = mount()
    handle = log_to(disk.path, max_file_bytes=2**20, compress="gzip", compress_after=0)
    said, is_over = 0, threading.Event()

    def work():
        nonlocal said
        while not is_over.is_set():
            say(said, said + 10, width=200)
            said += 10
            is_over.wait(0.001)

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(10):
        before = said
        with disk.standing_still():
            wait_for(lambda before=before: said > before + 100)
        wait_for(lambda: handle.stats().queued < 100)
    is_over.set()
    worker.join()
    handle.close()

    assert handle.stats().dropped == handle.stats().errors == 0
    assert handle.stats().written == said > 1000


def test_file_system_that_fails_while_the_file_is_open_delays_everything_until_there_is_another(mount, log_to, capsys):
    disk = mount()
    handle = log_to(disk.path)
    say(0, 10)
    assert handle.flush()
    disk.fail()
    say(10, 20)
    wait_for(lambda: handle.stats().errors > 1)
    before = numbers(disk.path / "orders.log")
    mount("size=1m")
    assert handle.flush()
    handle.close()

    assert (before, numbers(disk.path / "orders.log")) == (list(range(10)), list(range(10, 20)))
    ids = [int(line["event.id"].split("-")[1]) for line in read(disk.path / "orders.log")]
    assert sorted(ids) == list(range(12, 24))  # what is before them was in the other: ten lines, and one about it
    assert capsys.readouterr().err.count("Read-only file system") == 1


def test_disk_that_is_full_of_what_is_not_to_be_kept_has_room_again(mount, log_to, capsys):
    disk = mount("size=256k")
    old = disk.path / "orders.log.2026-01-01"
    old.write_bytes(b"x" * 100_000)
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    disk.fill()
    handle = log_to(disk.path)
    say(0, 10)
    assert handle.flush()

    assert numbers(disk.path / "orders.log") == list(range(10))
    assert (old.exists(), capsys.readouterr().err) == (False, "")


def test_no_inode_left_at_a_rollover_delays_everything_until_there_is_one(mount, log_to, tmp_path, capsys):
    disk = mount("size=1m,nr_inodes=20")
    handle = log_to(disk.path, max_file_bytes=20_000)
    say(0, 10)
    assert handle.flush()
    fillers = iter(range(100))
    until_refused("No space left", lambda: (disk.path / f"filler{next(fillers)}").touch(exist_ok=False))
    say(10, 50)
    wait_for(lambda: handle.stats().errors > 1)
    for filler in disk.path.glob("filler*"):
        filler.unlink()
    assert handle.flush()
    handle.close()
    paths = list(disk.path.glob("orders.log*"))

    assert len(paths) > 1
    assert sorted(numbers(*paths)) == list(range(50))
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_full_disk_leaves_what_was_to_be_compressed_as_it_is_until_there_is_room(mount):
    disk = mount("size=256k")
    plain = disk.path / "app.log.2026-11-21"
    plain.write_bytes(Path(compression.__file__).read_bytes())
    disk.fill()
    work = Compression(disk.path, "app", "gzip", 0)
    said = []
    work.complain = said.append
    work.run_once()
    left = sorted(path.name for path in disk.path.iterdir())
    (disk.path / "filler").unlink()
    work.run_once()

    assert left == [plain.name, "filler"]
    assert len(said) == 1
    assert "No space left" in said[0]
    assert [path.name for path in disk.path.iterdir()] == [f"{plain.name}.gz"]


def test_disk_that_is_full_until_the_end_does_not_keep_the_process_which_says_how_many_lines_are_lost(mount):
    disk = mount("size=256k")
    disk.fill()
    done = run(
        """
        import logging, trackline
        trackline.setup_logging("orders", log_dir=".", console=False)
        for number in range(1000):
            logging.getLogger("app").info("%d", number)
        """,
        cwd=disk.path,
    )

    assert done.returncode == 0
    assert "No space left on device" in done.err
    assert done.err.endswith("trackline: 1000 lines could not be written\n")


def test_process_that_ends_while_the_disk_stands_still_says_how_many_lines_are_not_written(mount):
    disk = mount()
    process = run(
        """
        import logging, trackline
        from trackline.logs import exit
        exit._SECONDS = 0.1
        handle = trackline.setup_logging("orders", log_dir=".", console=False, capture=False)
        logging.getLogger("app").info("first")
        handle.flush()
        print("ready", flush=True)
        input()
        for number in range(1000):
            logging.getLogger("app").info("%d", number)
        """,
        cwd=disk.path,
        wait=False,
        stdin=subprocess.PIPE,
    )
    assert process.stdout.readline() == "ready\n"
    with disk.standing_still():
        process.stdin.write("\n")
        process.stdin.flush()
        said = process.stderr.readline()  # the system itself holds the process, until its thread comes back from the disk
    process.communicate()

    assert said.startswith("trackline: 1000 lines were not written within 0.")
    assert process.returncode == 0


def test_log_whose_last_line_there_was_no_room_for_does_not_say_that_it_is_complete(mount, log_to):
    disk = mount("size=256k")
    handle = log_to(disk.path)
    said, path = 0, disk.path / "orders.log"
    while not said or path.stat().st_size % 4096 > 2048:  # so that the closing line would find room, in the last page
        say(said, said + 1)
        said += 1
        assert handle.flush()
    disk.fill()
    say(said, said + 1, width=20_000)
    assert handle.close(timeout=20) == 1

    assert numbers(path) == list(range(said))
    assert "log-close" not in [action(line) for line in read(path)]


def test_file_that_may_not_be_deleted_stays_and_the_others_go(mount):
    disk = mount()
    settings = LogSettings("app", "INFO", "ecs", disk.path, console=False, file=True, retention_days=7, retention_files=2)
    kept, gone = disk.path / "app.log.2026-11-20", disk.path / "app.log.2026-11-21"
    kept.touch()
    gone.touch()
    (disk.path / ".app.lock").write_text("app\n")
    run_or_skip("chattr", "+i", kept)
    file = LogFile(settings, lambda path: b"opening\n")
    file.write([b"one\n"])
    file.close()

    assert {path.name for path in disk.path.glob("app*")} == {kept.name, "app.log"}
