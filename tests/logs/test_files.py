"""One file a process: its opening, its midnight, its lock, and what happens when the disk or somebody else interferes."""

import errno
import os
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logs.reading import run
from trackline.config import LogSettings
from trackline.logs import files, names, place
from trackline.logs.files import LogFile

OPENING = b"opening\n"


class Clock:
    """The time, as the file sees it; what is written has this time too, as far as it asks."""

    def __init__(self):
        self.now = datetime(2030, 3, 10, 12).timestamp()

    def set(self, *when):
        self.now = datetime(*when).timestamp()

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(files, "time", clock)
    return clock


@pytest.fixture
def open_file(tmp_path):
    opened = []

    def make(name="app", directory=tmp_path, opening=lambda path: OPENING, **options):
        settings = {"retention_days": 7, "retention_bytes": None, **options}
        opened.append(LogFile(LogSettings(name, "INFO", "ecs", directory, console=False, file=True, **settings), opening))
        return opened[-1]

    yield make
    for file in opened:
        file.close()


def write(file, *lines, clock=None):
    """Write lines, at the time of the clock."""
    batch = [line.encode() + b"\n" for line in lines]
    file.write(batch)
    assert batch == []
    if clock is not None:
        os.utime(file.path, (clock.now, clock.now))


def listed(directory):
    return sorted(path.name for path in Path(directory).iterdir() if not path.name.startswith("."))


def test_nothing_is_there_before_the_first_line(open_file, tmp_path):
    file = open_file(directory=tmp_path / "logs")

    assert (file.path, file.is_open, file.seconds_to_rollover(), listed(tmp_path)) == (None, False, 60.0, [])


def test_first_line_opens_the_file_with_a_line_about_it(open_file, tmp_path):
    file = open_file(directory=tmp_path / "deep" / "logs", opening=lambda path: path.name.encode() + b"\n")
    write(file, "one", "two")

    assert file.path == tmp_path / "deep" / "logs" / "app.log"
    assert file.path.read_bytes() == b"app.log\none\ntwo\n"
    assert file.path.stat().st_mode & 0o777 & 0o027 == 0


def test_midnight_starts_a_new_file(open_file, tmp_path, clock):
    file = open_file()
    clock.set(2030, 3, 10, 23, 59, 59)
    write(file, "before", clock=clock)
    clock.set(2030, 3, 11)
    write(file, "after")

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10"]
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"after\n"
    assert (tmp_path / "app.log.2030-03-10").read_bytes() == OPENING + b"before\n"


def test_midnight_starts_a_new_file_also_where_nothing_is_logged(open_file, tmp_path, clock):
    file = open_file()
    clock.set(2030, 3, 10, 23, 59, 30)
    write(file, "before", clock=clock)
    assert file.seconds_to_rollover() == 30
    clock.set(2030, 3, 11, 0, 0, 1)
    assert file.seconds_to_rollover() == 0
    file.roll_over()

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10"]
    assert file.seconds_to_rollover() == 60


def test_rollover_after_days_without_a_line_has_the_day_of_the_last_line(open_file, tmp_path, clock):
    file = open_file()
    write(file, "before", clock=clock)
    clock.set(2030, 3, 15, 9)
    write(file, "after")

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10"]


def test_restart_on_another_day_starts_a_new_file(open_file, tmp_path, clock):
    file = open_file()
    write(file, "before", clock=clock)
    file.close()
    clock.set(2030, 3, 12)
    write(open_file(), "after")

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"after\n"
    assert (tmp_path / "app.log.2030-03-10").read_bytes() == OPENING + b"before\n"


def test_restart_on_the_same_day_goes_on_in_the_same_file(open_file, tmp_path, clock):
    for text in ("first", "second"):
        file = open_file()
        write(file, text, clock=clock)
        file.close()

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"first\n" + OPENING + b"second\n"
    assert listed(tmp_path) == ["app.log"]


@pytest.mark.parametrize("taken", ["app.log.2030-03-10", "app.log.2030-03-10.gz", "app.log.2030-03-10.zst"])
def test_dated_file_that_exists_is_kept_and_rotation_goes_on(taken, open_file, tmp_path, clock):
    (tmp_path / taken).write_bytes(b"older\n")
    os.utime(tmp_path / taken, (clock.now, clock.now))
    file = open_file()
    write(file, "before", clock=clock)
    clock.set(2030, 3, 11)
    write(file, "between", clock=clock)
    clock.set(2030, 3, 12)
    write(file, "after")

    assert (tmp_path / taken).read_bytes() == b"older\n"
    assert (tmp_path / "app.log.2030-03-10_000001").read_bytes() == OPENING + b"before\n"
    assert (tmp_path / "app.log.2030-03-11").read_bytes() == OPENING + b"between\n"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("America/Havana", (2026, 11, 1), 25),  # midnight comes twice
        ("Africa/Cairo", (2026, 4, 24), 23),  # midnight does not come
        ("Asia/Shanghai", (2026, 3, 29), 24),
    ],
)
def test_day_is_as_long_as_the_zone_has_it(zone, day, hours, open_file, tmp_path, clock, in_zone):
    in_zone(zone)
    day = datetime(*day)
    file = open_file()
    clock.now = (day + timedelta(hours=12)).timestamp()
    write(file, "noon", clock=clock)
    midnight = file._next_rollover
    first_of_day = next(
        second for second in range(int(midnight) - 27 * 3600, int(midnight)) if datetime.fromtimestamp(second).date() == day.date()
    )

    assert midnight - first_of_day == hours * 3600
    clock.now = midnight - 1
    write(file, "last", clock=clock)
    assert listed(tmp_path) == ["app.log"]
    clock.now = midnight
    write(file, "first", clock=clock)
    assert listed(tmp_path) == ["app.log", f"app.log.{day:%Y-%m-%d}"]
    clock.now = midnight + 3600
    write(file, "second", clock=clock)
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"first\nsecond\n"


def test_interval_starts_a_new_file_named_by_its_beginning(open_file, tmp_path, clock, in_zone):
    in_zone("Europe/Berlin")
    file = open_file(rotate="15m")
    clock.set(2030, 3, 10, 12, 14, 59)
    write(file, "before", clock=clock)
    assert file.seconds_to_rollover() == 1
    clock.set(2030, 3, 10, 12, 15)
    write(file, "after")

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10T12-00-00"]
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"after\n"


def test_zone_says_when_midnight_is(open_file, tmp_path, clock, in_zone):
    in_zone("UTC")
    file = open_file(rotate_zone="Asia/Tokyo")
    clock.set(2030, 3, 10, 14, 59, 59)
    write(file, "before", clock=clock)
    clock.set(2030, 3, 10, 15)
    write(file, "after", clock=clock)
    clock.set(2030, 3, 11)
    write(file, "utc midnight")

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10"]


def test_nothing_but_size_ends_a_file_without_rotation(open_file, tmp_path, clock):
    file = open_file(rotate=None)
    write(file, "before", clock=clock)
    clock.set(2031, 1, 1)
    write(file, "after")

    assert listed(tmp_path) == ["app.log"]
    assert file.seconds_to_rollover() == 60


def test_idle_process_leaves_no_files_in_which_nothing_is(open_file, tmp_path, clock):
    file = open_file(rotate="30s")
    write(file, "before", clock=clock)
    for _ in range(5):
        clock.now += 30
        file.roll_over()
        os.utime(file.path, (clock.now, clock.now))
    assert len(listed(tmp_path)) == 2
    write(file, "after")

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"after\n"


def test_clock_that_is_set_back_does_not_put_off_the_next_rollover(open_file, tmp_path, clock):
    file = open_file()
    clock.set(2037, 1, 1)
    write(file, "before", clock=clock)
    clock.set(2030, 3, 10, 12)
    write(file, "between", clock=clock)
    clock.set(2030, 3, 11)
    write(file, "after")

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10"]


LINES = [b"%04d " % number + b"x" * 94 + b"\n" for number in range(1000)]


def in_order(directory):
    """Give the rotated files in the order of their names, and then the live one."""
    rotated = sorted(path for path in directory.iterdir() if path.name.startswith("app.log."))
    return [*rotated, directory / "app.log"]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_no_file_is_larger_than_the_limit_and_names_sort_in_the_order_of_writing(batch, open_file, tmp_path):
    file = open_file(max_file_bytes=5000)
    for start in range(0, 1000, batch):
        lines = LINES[start : start + batch]
        file.write(lines)
        assert lines == []
    paths = in_order(tmp_path)

    assert len(paths) == 21
    assert all(path.stat().st_size <= 5000 and path.read_bytes().startswith(OPENING) for path in paths)
    assert b"".join(path.read_bytes().removeprefix(OPENING) for path in paths) == b"".join(LINES)


steps = st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 120), st.booleans()), min_size=1, max_size=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    start=st.integers(int(datetime(2026, 10, 23, tzinfo=UTC).timestamp()), int(datetime(2026, 10, 26, tzinfo=UTC).timestamp())),
    steps=steps,
    rotate=st.sampled_from([None, "midnight", "6h", "1h", "15m", "30s"]),
    zone=st.sampled_from(["utc", "Europe/Berlin", "Australia/Lord_Howe"]),
    max_file_bytes=st.sampled_from([None, 200]),
)
def test_names_sort_in_the_order_of_writing_whatever_ends_the_files(start, steps, rotate, zone, max_file_bytes, clock):
    with tempfile.TemporaryDirectory() as name:
        directory, clock.now = Path(name), float(start)
        options = {"service_name": "app", "log_dir": directory, "rotate": rotate, "rotate_zone": zone, "file_mode": 0o640}
        kept = {"max_file_bytes": max_file_bytes, "retention_days": 99_999, "retention_files": None, "retention_bytes": None}
        settings = SimpleNamespace(**options, **kept, compress=None)
        file = LogFile(settings, lambda path: OPENING)
        for number, (seconds, width, is_restarted) in enumerate(steps):
            if is_restarted:
                file.close()
                file = LogFile(settings, lambda path: OPENING)
            clock.now += seconds / 100 if rotate == "30s" else seconds
            write(file, f"{number} ".ljust(width, "x"), clock=clock)
            for path in in_order(directory)[:-1:2]:  # some of them are compressed by now
                if path.suffix != ".gz":
                    path.rename(f"{path}.gz")
        file.close()

        written = b"".join(path.read_bytes() for path in in_order(directory)).replace(OPENING, b"")
        assert [int(line.split()[0]) for line in written.splitlines()] == list(range(len(steps)))


def test_line_that_is_larger_than_the_limit_has_a_file_of_its_own(open_file, tmp_path):
    file = open_file(max_file_bytes=5000)
    write(file, "one", "x" * 6000, "two")

    assert [len(path.read_bytes().splitlines()) for path in in_order(tmp_path)] == [2, 2, 2]


def test_restart_goes_on_with_a_file_that_has_room_and_renames_one_that_has_not(open_file, tmp_path):
    for lines in (LINES[:45], LINES[45:50], LINES[50:55]):
        file = open_file(max_file_bytes=5000)
        file.write(list(lines))
        file.close()

    assert [len(path.read_bytes().splitlines()) for path in in_order(tmp_path)] == [51, 8]


def test_restart_does_not_open_a_file_that_has_no_room_for_its_opening(open_file, tmp_path):
    for text in ("x" * 4980, "two"):
        file = open_file(max_file_bytes=5000)
        write(file, text)
        file.close()

    assert [len(path.read_bytes().splitlines()) for path in in_order(tmp_path)] == [2, 2]


def test_name_that_retention_has_freed_is_not_used_again(open_file, tmp_path):
    file = open_file(max_file_bytes=5000, retention_files=3)
    for line in LINES[:500]:
        file.write([line])
    paths = in_order(tmp_path)

    assert len(paths) == 3
    assert [path.name[-7:] for path in paths[:2]] == ["_000008", "_000009"]
    assert b"".join(path.read_bytes().removeprefix(OPENING) for path in paths) == b"".join(LINES[392:500])


def test_name_of_the_last_file_is_not_used_again_where_it_was_shipped_and_deleted(open_file, tmp_path):
    file = open_file(max_file_bytes=5000)
    for number in range(3):
        file.write(list(LINES[:60]))
        [rotated] = tmp_path.glob("app.log.*")
        assert rotated.name.endswith(f"_{number:06}") if number else "_" not in rotated.name
        rotated.unlink()


def test_size_and_midnight_end_files_together(open_file, tmp_path, clock):
    file = open_file(max_file_bytes=5000)
    for line in LINES[:60]:
        file.write([line])
        os.utime(file.path, (clock.now, clock.now))
    clock.set(2030, 3, 11)
    write(file, "after", clock=clock)

    assert listed(tmp_path) == ["app.log", "app.log.2030-03-10", "app.log.2030-03-10_000001"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_new_files_have_exactly_their_mode(mode, umask, open_file, tmp_path):
    before = os.umask(umask)
    try:
        write(open_file(file_mode=mode, max_file_bytes=5000), *["x" * 3000] * 2)
    finally:
        os.umask(before)

    assert [path.stat().st_mode & 0o777 for path in in_order(tmp_path)] == [mode, mode]


def test_file_that_is_there_keeps_its_mode(open_file, tmp_path):
    (tmp_path / "app.log").touch(0o600)
    write(open_file(), "one")

    assert (tmp_path / "app.log").stat().st_mode & 0o777 == 0o600


def test_half_a_line_of_a_process_that_was_killed_is_not_glued_to_ours(open_file, tmp_path):
    (tmp_path / "app.log").write_bytes(b'one\n{"half')
    write(open_file(), "two")

    assert (tmp_path / "app.log").read_bytes() == b'one\n{"half\n' + OPENING + b"two\n"


def test_link_is_not_followed(open_file, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious\n")
    (tmp_path / "app.log").symlink_to(target)
    file = open_file()
    write(file, "one")

    assert target.read_bytes() == b"precious\n"
    assert file.path.name == f"app-{os.getpid()}.log"
    assert file.path.read_bytes() == OPENING + b"one\n"


def lead_elsewhere(path, kind):
    """Put something in the place of a log that leads elsewhere, as another user may where everybody can write."""
    (path.parent / "precious").write_bytes(b"precious\n")
    path.parent.chmod(0o1777)
    if kind == "link":
        path.symlink_to("precious")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.hardlink_to(path.parent / "precious")


KINDS = pytest.mark.parametrize("kind", ["link", "pipe", "directory", "second name"])


@KINDS
def test_what_takes_the_place_of_the_open_file_is_not_written_to_and_another_name_is_taken(kind, open_file, tmp_path):
    file = open_file()
    write(file, "one")
    (tmp_path / "app.log").unlink()
    lead_elsewhere(tmp_path / "app.log", kind)
    write(file, "two")

    assert (tmp_path / "precious").read_bytes() == b"precious\n"
    assert file.path.read_bytes() == OPENING + b"two\n"


@KINDS
def test_what_is_made_between_looking_and_opening_is_not_written_to(kind, open_file, tmp_path, monkeypatch):
    monkeypatch.setattr(place, "may_be_written", lambda path: True)
    lead_elsewhere(tmp_path / "app.log", kind)
    reader = os.open(tmp_path / "app.log", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match=r"symbolic links|not a file of ours|Is a directory"):
        open_file().write([b"one\n"])
    os.close(reader)

    assert (tmp_path / "precious").read_bytes() == b"precious\n"


def test_linked_lock_is_not_followed(open_file, tmp_path):
    (tmp_path / ".app.lock").symlink_to(tmp_path / "elsewhere")
    file = open_file()
    write(file, "one")

    assert not (tmp_path / "elsewhere").exists()
    assert file.path.name == f"app-{os.getpid()}.log"


def test_file_that_was_renamed_is_opened_anew(open_file, tmp_path):
    file = open_file()
    write(file, "one")
    file.path.rename(tmp_path / "app.log.1")
    write(file, "two")

    assert (tmp_path / "app.log.1").read_bytes() == OPENING + b"one\n"
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"two\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link to another user")
def test_directory_that_is_a_link_of_another_users_is_not_followed(open_file, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "theirs")
    os.chown(tmp_path / "logs", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="a link of another user's"):
        open_file(directory=tmp_path / "logs").write([b"one\n"])

    assert listed(tmp_path / "theirs") == []


def test_directory_that_is_a_link_of_ours_is_followed(open_file, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "elsewhere")
    write(open_file(directory=tmp_path / "logs"), "one")

    assert listed(tmp_path / "elsewhere") == ["app.log"]


def test_figures_say_what_was_written_and_renamed(open_file, tmp_path):
    file = open_file(max_file_bytes=5000)
    file.write(list(LINES[:60]))

    assert (file.rotations, file.rotation_errors) == (1, 0)
    assert file.written_bytes == 6000 + 2 * len(OPENING) == sum(path.stat().st_size for path in in_order(tmp_path))


def test_directory_that_was_deleted_is_made_anew_and_locked_again(open_file, tmp_path):
    directory = tmp_path / "logs"
    file, other = open_file(directory=directory), open_file(directory=directory)
    write(file, "one")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    write(file, "two")
    write(other, "other")

    assert (directory / "app.log").read_bytes() == OPENING + b"two\n"
    assert other.path != file.path


def test_rename_that_is_refused_does_not_stop_the_log(open_file, tmp_path, clock, monkeypatch):
    file = open_file()
    write(file, "before", clock=clock)
    clock.set(2030, 3, 11)

    def refuse(*_):
        raise PermissionError

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "rename", refuse)
        write(file, "after", clock=clock)
    clock.set(2030, 3, 12)
    write(file, "later")

    assert (tmp_path / "app.log.2030-03-11").read_bytes() == OPENING + b"before\nafter\n"


class Disk:
    """os.write, on a disk with so many bytes of room."""

    def __init__(self, room, monkeypatch):
        self.room, self.write = room, os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor, data):
        if descriptor <= 2:
            return self.write(descriptor, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(descriptor, bytes(data)[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", range(25))
def test_full_disk_takes_whole_lines_only_and_each_once(room, open_file, tmp_path, monkeypatch):
    file = open_file()
    lines = [b"one\n", b"two\n", b"three\n"]
    disk = Disk(room, monkeypatch)
    if room < len(OPENING) + 14:
        with pytest.raises(OSError, match="No space"):
            file.write(lines)
        path = tmp_path / "app.log"
        assert path.read_bytes() == b"".join(
            line for line in [OPENING, b"one\n", b"two\n"] if line not in lines and (line != OPENING or room >= 8)
        )
    disk.room = 1000
    file.write(lines)

    assert lines == []
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"one\ntwo\nthree\n"


def test_half_a_line_that_cannot_be_taken_away_is_ended_before_it_comes_again(open_file, tmp_path, monkeypatch):
    file = open_file()
    write(file, "one")

    def refuse(*_):
        raise PermissionError  # a file that may only be appended to

    monkeypatch.setattr(os, "ftruncate", refuse)
    disk = Disk(6, monkeypatch)
    lines = [b"two\n", b"three\n"]
    with pytest.raises(OSError, match="No space"):
        file.write(lines)
    assert lines == [b"three\n"]
    disk.room = 1000
    file.write(lines)

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"one\ntwo\nth\nthree\n"


def test_descriptor_that_somebody_has_closed_is_opened_anew(open_file, tmp_path):
    file = open_file()
    write(file, "one")
    os.close(file._descriptor)
    write(file, "two")

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"one\n" + OPENING + b"two\n"


def test_file_that_somebody_renames_while_we_do_is_not_written_to_any_more(open_file, tmp_path, clock, monkeypatch):
    file = open_file()
    write(file, "before", clock=clock)
    free_name = file._free_name

    def rename_first(*of):
        (tmp_path / "app.log").rename(tmp_path / "theirs")
        return free_name(*of)

    monkeypatch.setattr(file, "_free_name", rename_first)
    clock.set(2030, 3, 11)
    write(file, "after")

    assert (tmp_path / "theirs").read_bytes() == OPENING + b"before\n"
    assert (tmp_path / "app.log").read_bytes() == OPENING + b"after\n"


def test_opening_line_is_made_once_however_often_it_is_tried(open_file, tmp_path, monkeypatch):
    made = []
    file = open_file(opening=lambda path: made.append(path) or b"opening %d\n" % len(made))
    disk = Disk(3, monkeypatch)
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            file.write([b"one\n"])
    disk.room = 1000
    write(file, "one")

    assert (tmp_path / "app.log").read_bytes() == b"opening 1\none\n"


def test_short_writes_are_gone_on_with(open_file, tmp_path, monkeypatch):
    write_all = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write_all(descriptor, bytes(data)[:3]))
    write(open_file(), "one", "two")

    assert (tmp_path / "app.log").read_bytes() == OPENING + b"one\ntwo\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_full_file_system_gets_every_line_once_when_there_is_room_again(open_file, tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount")
    try:
        (tmp_path / "filler").write_bytes(b"x" * 40 * 1024)
        file = open_file()
        lines = [b"%04d " % number + b"x" * 94 + b"\n" for number in range(500)]
        waiting = list(lines)
        with pytest.raises(OSError, match="No space"):
            file.write(waiting)
        assert 0 < len(waiting) < len(lines)
        (tmp_path / "filler").unlink()
        file.write(waiting)

        assert (tmp_path / "app.log").read_bytes() == OPENING + b"".join(lines)
        file.close()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_second_file_of_a_name_has_the_name_of_its_process(open_file):
    first, second, third = open_file(), open_file(), open_file()
    for file in (first, second, third):
        write(file, "one")

    own = f"app-{os.getpid()}"
    assert [first.path.name, second.path.name] == ["app.log", f"{own}.log"]
    assert third.path.name.startswith(f"{own}-")
    assert len({first.path, second.path, third.path}) == 3


def test_name_is_free_again_after_close(open_file):
    first = open_file()
    write(first, "one")
    first.close()
    second = open_file()
    write(second, "two")

    assert second.path.name == "app.log"


HOLD = """
from pathlib import Path
from trackline.config import LogSettings
from trackline.logs.files import LogFile
import sys
file = LogFile(LogSettings("app", "INFO", "ecs", Path("."), False, True, 7), lambda path: b"opening\\n")
file.write([b"theirs\\n"])
print(file.path.name, flush=True)
sys.stdin.read()
"""


def test_two_processes_of_one_name_have_two_files_and_kill_frees_the_name(open_file, tmp_path):
    holding = run(HOLD, cwd=tmp_path, wait=False, stdin=subprocess.PIPE)
    try:
        assert holding.stdout.readline() == "app.log\n"
        mine = open_file()
        write(mine, "mine")
        assert mine.path.name == f"app-{os.getpid()}.log"
    finally:
        holding.kill()
        holding.communicate()
    after = open_file()
    write(after, "after")

    assert after.path.name == "app.log"
    assert after.path.read_bytes() == OPENING + b"theirs\n" + OPENING + b"after\n"


@pytest.mark.parametrize(
    ("process", "expected"),
    [("MainProcess", "app.log"), ("SpawnProcess-3", "app-sp3.log"), ("ForkProcess-1", "app-{pid}.log"), ("worker", "app-{pid}.log")],
)
def test_file_is_named_after_the_process(process, expected, open_file, monkeypatch):
    monkeypatch.setattr(place.current_process(), "_config", dict(place.current_process()._config))
    monkeypatch.setattr(place.current_process(), "_name", process)
    file = open_file()
    write(file, "one")

    assert file.path.name == expected.format(pid=os.getpid())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("a/b", "a_b"),
        ("../etc/passwd", "_etc_passwd"),
        ("", "app"),
        ("...", "app"),
        ("bücher", "bücher"),
        ("a b\n", "a_b_"),
    ],
)
def test_service_name_makes_a_file_name_in_the_directory(name, expected):
    assert names.safe_name(name) == expected


@pytest.mark.parametrize("name", ["x" * 500, "注" * 500, "\ud800"])
def test_any_service_name_makes_a_file_that_can_be_rotated(name, open_file, tmp_path, clock):
    file = open_file(name)
    write(file, "before", clock=clock)
    clock.set(2030, 3, 11)
    write(file, "after")

    assert len(listed(tmp_path)) == 2
