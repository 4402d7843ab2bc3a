"""The configurations for logrotate, as they are, with the real one, under a service that does not stop logging."""

import fnmatch
import gzip
from itertools import pairwise

import orjson
import pytest

from collector.rotating import FILES, LOGROTATE, STDOUT, Rotating
from trackline.logs.names import read_name

pytestmark = pytest.mark.skipif(LOGROTATE is None, reason="there is no logrotate here")
RATE = 2000  # lines a second


def rotated(directory, setup, config, *, mode="ab", times=3):
    """Give a service that has logged through so many rotations, and has ended."""
    with Rotating(directory, setup, RATE, mode=mode) as service:
        for _ in range(times):
            service.grown()
            service.rotate(config)
        service.grown()
    return service


def closed(service):
    """Give the files that logrotate has made, in the order of their names."""
    return sorted(path for path in service.logs.iterdir() if path.name.startswith("orders.log."))


def numbers(path):
    """Give the numbers in the count of event.id of a file's whole lines."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        lines = [line for line in file if line.startswith(b"{") and line.endswith(b"}\n")]
    return [int(orjson.loads(line)["event.id"].rpartition("-")[2]) for line in lines]


def test_own_files_lose_no_line(tmp_path):
    service = rotated(tmp_path, FILES, "files.conf")

    assert service.audit().is_proved
    assert len(closed(service)) == 3


def test_own_files_keep_the_mode_that_logrotate_gave_them(tmp_path):
    service = rotated(tmp_path, FILES, "files.conf", times=1)

    assert service.live.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("setup", "config"), [(FILES, "files.conf"), (STDOUT, "stdout.conf")])
def test_rotated_files_have_the_names_that_trackline_gives_and_shippers_take(setup, config, tmp_path):
    service = rotated(tmp_path, setup, config)

    assert all(read_name(path.name, "orders") for path in closed(service))
    assert all(fnmatch.fnmatch(path.name, "*.log*") for path in closed(service))


@pytest.mark.parametrize(("setup", "config"), [(FILES, "files.conf"), (STDOUT, "stdout.conf")])
def test_newest_rotated_file_stays_plain_until_the_next_time(setup, config, tmp_path):
    service = rotated(tmp_path, setup, config)

    assert [path.suffix == ".gz" for path in closed(service)] == [True, True, False]


def test_copytruncate_loses_lines_only_between_two_files(tmp_path):
    """What it loses came after the copy and before the emptying; how many is chance."""
    service = rotated(tmp_path, STDOUT, "stdout.conf")
    files = [numbers(path) for path in [*closed(service), service.live]]

    assert all(after == before + 1 for file in files for before, after in pairwise(file))
    assert all(after[0] > before[-1] for before, after in pairwise(files))


def test_appended_output_has_no_hole_after_copytruncate(tmp_path):
    service = rotated(tmp_path, STDOUT, "stdout.conf", times=1)

    assert b"\0" not in service.live.read_bytes()


def test_output_that_is_not_appended_has_one(tmp_path):
    """Which is why stdout.conf says `>>`, never `>`."""
    service = rotated(tmp_path, STDOUT, "stdout.conf", mode="wb", times=1)

    assert service.live.read_bytes().startswith(b"\0" * 20_000)
