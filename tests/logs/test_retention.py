"""Retention deletes our files, those that are too old, too many or too large together, and nothing else."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from logs.reading import run
from trackline.config import LogSettings
from trackline.logs import place
from trackline.logs.files import LogFile
from trackline.logs.place import Place
from trackline.logs.retention import Retention, delete_old

OLD = time.time() - 8 * 86_400
OURS = [
    "app.log.2026-01-01",
    "app.log.2026-01-01_000001",
    "app.log.2026-01-01.gz",
    "app.log.2026-01-01_000002.zst",
    "app-7.log",
    "app-7.log.2026-01-01",
    "app-7-0a1b2c.log",
    "app-sp3.log",
    "app-sp3.log.2026-01-01.gz",
    ".app-8.lock",
]
OTHERS = [
    "app2.log",
    "app2.log.2026-01-01",
    "application.log",
    "myapp.log",
    "app.log.bak",
    "app.log.2026-01-01.txt",
    "app.log.old",
    "app.txt",
    "app-x.log",
    "app-7.log.gz",
    "xapp-7.log",
    "app_7.log",
    "APP.log",
    "notes.2026-01-01",
]


def make(directory, *names, when=OLD):
    for name in names:
        path = directory / name
        path.write_bytes(b"" if name.endswith(".lock") else b"old\n")
        os.utime(path, (when, when))


def names(directory):
    return {path.name for path in directory.iterdir()}


@pytest.fixture
def own(tmp_path):
    """Give the live file of this process, with its lock."""
    held = Place(tmp_path, "app")
    make(tmp_path, "app.log")
    yield held.path
    held.release()


def delete(own, days=7, files=None, size=None):
    delete_old(own.parent, "app", own, Retention(time.time() - days * 86_400, files, size))


def test_old_files_of_ours_are_deleted_and_nothing_else(own, tmp_path):
    make(tmp_path, *OURS, *OTHERS)
    delete(own)

    assert names(tmp_path) == {*OTHERS, "app.log", ".app.lock"}


def test_files_within_the_retention_are_kept(own, tmp_path):
    make(tmp_path, *OURS, when=time.time() - 6.9 * 86_400)
    delete(own)

    assert names(tmp_path) == {*OURS, "app.log", ".app.lock"}


HOLD = """
import sys
from pathlib import Path
from trackline.logs.place import Place
held = Place(Path("."), sys.argv[1] if len(sys.argv) > 1 else "app")
print(held.path.name, flush=True)
sys.stdin.read()
"""


def test_files_of_living_processes_are_kept_until_they_end(own, tmp_path):
    holding = run(HOLD, cwd=tmp_path, wait=False, stdin=subprocess.PIPE)
    name = holding.stdout.readline().strip()
    assert name == f"app-{holding.pid}.log"
    lock = f".app-{holding.pid}.lock"
    make(tmp_path, name, f"{name}.2026-01-01")
    os.utime(tmp_path / lock, (OLD, OLD))
    delete(own)
    alive = names(tmp_path)
    holding.communicate("")
    delete(own)

    assert alive == {name, lock, "app.log", ".app.lock"}  # what it has done with is not its own any more
    assert names(tmp_path) == {"app.log", ".app.lock"}


@pytest.mark.parametrize("is_alive", [True, False])
def test_files_of_a_service_whose_name_looks_like_a_process_of_ours_are_kept(is_alive, own, tmp_path):
    make(tmp_path, "app-2.log.2026-01-01", "app-2.log.2026-01-02.gz")
    other = Place(tmp_path, "app-2")
    if not is_alive:
        other.release()
    delete(own, files=1, size=1)
    other.release()

    assert names(tmp_path) == {"app-2.log.2026-01-01", "app-2.log.2026-01-02.gz", ".app-2.lock", "app.log", ".app.lock"}


def make_in_order(directory, *names):
    for number, name in enumerate(names):
        make(directory, name, when=time.time() - 3600 + number)


def test_oldest_files_of_all_processes_go_where_there_are_too_many(own, tmp_path):
    made = ["app-7.log.2026-01-01", "app.log.2026-01-01.gz", "app-7.log", "app-sp1.log.2026-01-01", "app.log.2026-01-01_000001"]
    make_in_order(tmp_path, *made)
    os.utime(own, (OLD + 3 * 86_400,) * 2)
    delete(own, files=4)

    assert names(tmp_path) == {*made[2:], "app.log", ".app.lock"}
    delete(own, files=1)
    assert names(tmp_path) == {"app.log", ".app.lock"}


def test_oldest_files_of_all_processes_go_where_they_are_too_large_together(own, tmp_path):
    made = ["app-7.log.2026-01-01", "app.log.2026-01-01", "app-8.log", "app.log.2026-01-02"]
    for number, name in enumerate(made):
        (tmp_path / name).write_bytes(b"x" * 1000)
        os.utime(tmp_path / name, (time.time() - 3600 + number,) * 2)
    own.write_bytes(b"x" * 1000)
    delete(own, size=3999)

    assert names(tmp_path) == {"app-8.log", "app.log.2026-01-02", "app.log", ".app.lock"}


def test_live_files_count_and_are_never_deleted(own, tmp_path):
    holding = run(HOLD, cwd=tmp_path, wait=False, stdin=subprocess.PIPE)
    name = holding.stdout.readline().strip()
    make_in_order(tmp_path, name, f"{name}.2026-01-01", "app.log.2026-01-01", "app.log")
    delete(own, files=1, size=1)
    left = names(tmp_path)
    holding.communicate("")

    assert left == {name, f".app-{holding.pid}.lock", "app.log", ".app.lock"}


def test_file_that_may_not_be_deleted_does_not_cost_the_others(own, tmp_path, monkeypatch):
    made = ["app.log.2026-01-01", "app.log.2026-01-02", "app.log.2026-01-03"]
    make_in_order(tmp_path, *made)
    unlink = Path.unlink

    def refuse(path, missing_ok=False):
        if path.name == made[0]:
            raise PermissionError
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    delete(own, files=3)

    assert names(tmp_path) == {made[0], made[2], "app.log", ".app.lock"}


def test_directory_with_the_name_of_a_log_is_left_alone(own, tmp_path):
    (tmp_path / "app.log.2026-01-01").mkdir()
    os.utime(tmp_path / "app.log.2026-01-01", (OLD, OLD))
    make(tmp_path, "app.log.2026-01-02")
    delete(own)

    assert names(tmp_path) == {"app.log.2026-01-01", "app.log", ".app.lock"}


def test_link_with_the_name_of_a_log_is_left_alone(own, tmp_path):
    (tmp_path / "app.log.2026-01-01").symlink_to("elsewhere")
    os.utime(tmp_path / "app.log.2026-01-01", (OLD, OLD), follow_symlinks=False)
    delete(own)

    assert names(tmp_path) == {"app.log.2026-01-01", "app.log", ".app.lock"}


def test_opening_a_file_deletes_what_is_too_old(tmp_path):
    make(tmp_path, "app.log.2026-01-01")
    file = LogFile(LogSettings("app", "INFO", "ecs", tmp_path, console=False, file=True, retention_days=7), lambda path: b"opening\n")
    file.write([b"one\n"])
    file.close()

    assert names(tmp_path) == {"app.log", ".app.lock"}


def test_place_whose_lock_was_deleted_while_it_was_claimed_is_claimed_again(tmp_path):
    first = Place(tmp_path, "app")
    (tmp_path / ".app.lock").unlink()
    assert not first.is_held
    second = Place(tmp_path, "app")

    assert second.is_held
    assert not first.is_held
    first.release()
    second.release()


def test_place_is_not_claimed_by_a_lock_that_is_deleted_in_between(tmp_path, monkeypatch):
    flock = place.fcntl.flock

    def delete_first(descriptor, operation):
        monkeypatch.setattr(place.fcntl, "flock", flock)
        (tmp_path / ".app.lock").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(place.fcntl, "flock", delete_first)
    claimed = Place(tmp_path, "app")
    other = Place(tmp_path, "app")

    assert claimed.is_held
    assert (claimed.path.name, other.path.name) == ("app.log", f"app-{os.getpid()}.log")
    claimed.release()
    other.release()
