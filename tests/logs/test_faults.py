"""Whatever happens to the disk, the directory or the descriptors: lines wait, the application does not, and all goes on by itself."""

import gc
import logging
import os
import resource
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from logs.mounts import Mounted, needs_root, until_refused
from logs.reading import action, numbers, read, run

NOBODY = 65534


@pytest.fixture
def mounted(tmp_path):
    mounted = Mounted(tmp_path / "disk", "size=256k")
    yield mounted
    mounted.unmount()


log = logging.getLogger("app")


def say(start, stop, width=1000):
    for number in range(start, stop):
        log.info("%d %s", number, "x" * width)


def wait_for_errors(handle, count=2):
    waiting = threading.Event()
    for _ in range(2000):
        if handle.stats().errors >= count:
            return
        waiting.wait(0.01)
    raise AssertionError(handle.stats())


def check_no_gap(*paths):
    """Check that every number of the process is there: no line is missing, not even one of ours."""
    ids = sorted(int(line["event.id"].split("-")[1]) for path in paths for line in read(path))
    assert ids == list(range(1, len(ids) + 1))


@needs_root
def test_full_disk_loses_nothing_and_says_so_once(mounted, log_to, capsys):
    handle = log_to(mounted.path)
    say(0, 20)
    assert handle.flush()
    mounted.fill()
    say(20, 100)
    wait_for_errors(handle)
    assert handle.stats().queued > 0
    (mounted.path / "filler").unlink()
    assert handle.flush()
    assert handle.stats().written_bytes == (mounted.path / "orders.log").stat().st_size
    handle.close()

    assert numbers(mounted.path / "orders.log") == list(range(100))
    check_no_gap(mounted.path / "orders.log")
    assert capsys.readouterr().err.count("trackline: ") == 1


@needs_root
def test_full_disk_for_longer_than_the_queue_lasts_loses_what_is_counted(mounted, log_to):
    mounted.fill()
    handle = log_to(mounted.path, max_queue_bytes=1024 * 1024)
    say(0, 100, width=20_000)
    wait_for_errors(handle)
    stats = handle.stats()
    (mounted.path / "filler").unlink()
    mounted.remount("size=8m")
    assert handle.flush()
    handle.close()
    lines = read(mounted.path / "orders.log")

    assert stats.dropped > 0
    assert len([line for line in lines if action(line) is None]) == 100 - stats.dropped
    assert [line["labels"]["dropped"] for line in lines if action(line) == "log-close"] == [stats.dropped]


@needs_root
def test_read_only_file_system_has_everything_when_it_can_be_written_to(mounted, log_to, capsys):
    mounted.remount("ro")
    handle = log_to(mounted.path)
    say(0, 10)
    wait_for_errors(handle)
    mounted.remount("rw")
    assert handle.flush()
    handle.close()

    assert numbers(mounted.path / "orders.log") == list(range(10))
    check_no_gap(mounted.path / "orders.log")
    assert "Read-only file system" in capsys.readouterr().err


AS_NOBODY = f"""
import logging, os, sys
import trackline
from trackline.logs import files, writer
writer._RETRY_SECONDS, files._AGAIN_SECONDS = 0.01, 0.0
handle = trackline.setup_logging("orders", log_dir="logs", console=False, max_file_bytes=5000)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
log = logging.getLogger("app")
number = 0
for line in sys.stdin:
    if line == "say\\n":
        for number in range(number, number + 10):
            log.info("%d %s", number, "x" * 500)
        number += 1
    elif line == "refused\\n":
        while handle.stats().errors < 2:
            pass
    else:
        handle.flush()
    print("done", flush=True)
"""


class Nobody:
    """A process of another user, which logs ten lines, or flushes, or waits until it was refused, when it is told to."""

    def __init__(self, directory):
        (directory / "logs").mkdir()
        os.chown(directory / "logs", NOBODY, NOBODY)
        self.process = run(AS_NOBODY, cwd=directory, wait=False, stdin=subprocess.PIPE)

    def do(self, *what):
        for one in what:
            self.process.stdin.write(f"{one}\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"

    def end(self):
        out, err = self.process.communicate(timeout=20)
        assert (out, self.process.returncode) == ("", 0)
        return err


@pytest.fixture
def public():
    """Give a directory that every user may search, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def nobody(public):
    nobody = Nobody(public)
    yield nobody
    if nobody.process.poll() is None:
        nobody.process.kill()
        nobody.process.communicate()


@needs_root
def test_permission_that_is_taken_away_before_the_first_line_delays_it(nobody, public):
    (public / "logs").chmod(0o500)
    nobody.do("say", "refused")
    (public / "logs").chmod(0o700)
    nobody.do("say", "flush")
    err = nobody.end()
    paths = list((public / "logs").iterdir())

    assert sorted(numbers(*(path for path in paths if ".log" in path.name))) == list(range(20))
    assert err.count("trackline: ") == 1
    assert "Permission denied" in err


@needs_root
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_permission_that_is_taken_away_later_delays_nothing_but_the_renaming(mode, nobody, public):
    nobody.do("say", "flush")
    before = len(list((public / "logs").iterdir()))
    (public / "logs").chmod(mode)
    for _ in range(3):
        nobody.do("say", "flush")
    assert len(list((public / "logs").iterdir())) == before
    assert max(numbers(public / "logs" / "orders.log")) == 39
    (public / "logs").chmod(0o700)
    for _ in range(2):
        nobody.do("say", "flush")
    err = nobody.end()
    paths = [path for path in (public / "logs").iterdir() if ".log" in path.name]

    assert len(paths) > before
    assert sorted(numbers(*paths)) == list(range(60))
    check_no_gap(*paths)
    assert err.count("trackline: ") == 1


@needs_root
def test_file_that_may_only_be_appended_to_is_not_renamed_and_has_everything(log_to, tmp_path, capsys):
    handle = log_to(tmp_path / "logs", max_file_bytes=20_000)
    say(0, 10)
    handle.flush()
    path = tmp_path / "logs" / "orders.log"
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+a", path], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no such attribute")
    try:
        say(10, 50)
        assert handle.flush()
        assert numbers(path) == list(range(50))
    finally:
        subprocess.run(["chattr", "-a", path], check=True)
    say(50, 60)
    handle.close()
    paths = [path for path in (tmp_path / "logs").iterdir() if ".log" in path.name]

    assert len(paths) > 1
    assert sorted(numbers(*paths)) == list(range(60))
    assert "cannot rename" in capsys.readouterr().err


@needs_root
def test_file_that_is_immutable_has_everything_when_it_is_not_any_more(log_to, tmp_path):
    handle = log_to(tmp_path / "logs")
    say(0, 10)
    handle.flush()
    path = tmp_path / "logs" / "orders.log"
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no such attribute")
    try:
        say(10, 20)
        handle.flush(timeout=0.05)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    handle.close()

    assert numbers(path) == list(range(20))
    check_no_gap(path)


def test_directory_that_is_deleted_again_and_again_comes_back(log_to, tmp_path, capsys):
    handle = log_to(tmp_path / "logs")
    for turn in range(5):
        say(turn * 10, turn * 10 + 10)
        assert handle.flush()
        assert numbers(tmp_path / "logs" / "orders.log") == list(range(turn * 10, turn * 10 + 10))
        shutil.rmtree(tmp_path / "logs")

    assert (handle.stats().errors, capsys.readouterr().err) == (0, "")


def test_file_in_the_place_of_the_directory_delays_everything(log_to, tmp_path, capsys):
    handle = log_to(tmp_path / "logs")
    shutil.rmtree(tmp_path / "logs")
    (tmp_path / "logs").write_bytes(b"")
    say(0, 10)
    wait_for_errors(handle)
    (tmp_path / "logs").unlink()
    assert handle.flush()

    assert numbers(tmp_path / "logs" / "orders.log") == list(range(10))
    assert capsys.readouterr().err.count("trackline: ") == 1


@pytest.fixture
def descriptors():
    """Give functions that use up all descriptors of the process, and free them again."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []

    def use_up():
        gc.collect()  # what would be closed in between
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limit[0]), limit[1]))
        until_refused("Too many open files", lambda: held.append(os.dup(0)))

    def free():
        while held:
            os.close(held.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)

    yield use_up, free
    free()


def test_no_descriptor_left_delays_the_first_line_and_takes_no_other_name(log_to, tmp_path, descriptors, capsys):
    use_up, free = descriptors
    log_to(tmp_path / "logs").close()
    (tmp_path / "logs" / ".orders.lock").touch()
    handle = log_to(tmp_path / "logs")
    use_up()
    say(0, 10)
    wait_for_errors(handle)
    free()
    assert handle.flush()

    assert numbers(tmp_path / "logs" / "orders.log") == list(range(10))
    assert "Too many open files" in capsys.readouterr().err


def test_no_descriptor_left_at_a_rollover_puts_it_off(log_to, tmp_path, descriptors, capsys):
    use_up, free = descriptors
    handle = log_to(tmp_path / "logs", max_file_bytes=20_000)
    say(0, 10)
    handle.flush()
    use_up()
    say(10, 50)
    assert handle.flush()
    free()
    stats = handle.stats()
    assert stats.rotation_errors + stats.errors > 0
    say(50, 60)
    handle.close()
    paths = list((tmp_path / "logs").glob("orders.log*"))

    assert len(paths) > 1
    assert sorted(numbers(*paths)) == list(range(60))
    check_no_gap(*paths)
    assert "Too many open files" in capsys.readouterr().err


def test_limit_on_the_size_of_files_starts_a_new_one(tmp_path):
    done = run(
        """
        import logging, resource
        import trackline
        from trackline.logs import writer
        writer._RETRY_SECONDS = 0.01
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        handle = trackline.setup_logging("orders", console=False)
        for number in range(100):
            logging.getLogger("app").info("%d %s", number, "x" * 1000)
        print(handle.flush(), handle.close())
        """,
        cwd=tmp_path,
    )
    paths = sorted((tmp_path / "logs").glob("orders.log*"))

    assert done.out == "True 0\n"
    assert sorted(numbers(*paths)) == list(range(100))
    check_no_gap(*paths)


def test_descriptor_that_somebody_has_closed_and_got_for_another_file_is_not_written_to(log_to, tmp_path):
    handle = log_to(tmp_path / "logs")
    say(0, 10)
    handle.flush()
    taken = handle._handler.writer._file._descriptor
    with (tmp_path / "precious").open("wb") as precious:
        os.dup2(precious.fileno(), taken)
        say(10, 20)
        handle.close()
        assert os.fstat(taken).st_ino == os.fstat(precious.fileno()).st_ino
        os.close(taken)

    assert (tmp_path / "precious").read_bytes() == b""
    assert numbers(tmp_path / "logs" / "orders.log") == list(range(20))


def test_stderr_that_is_closed_does_not_matter(tmp_path):
    done = run(
        """
        import logging, os, shutil
        import trackline
        from trackline.logs import writer
        writer._RETRY_SECONDS = 0.01
        os.close(2)
        handle = trackline.setup_logging("orders", console=False)
        shutil.rmtree("logs")
        open("logs", "w").close()
        logging.getLogger("app").info("1 one")
        while handle.stats().errors < 2:
            pass
        os.unlink("logs")
        print(handle.flush(), handle.close())
        """,
        cwd=tmp_path,
    )

    assert done.out == "True 0\n"
    assert numbers(tmp_path / "logs" / "orders.log") == [1]
