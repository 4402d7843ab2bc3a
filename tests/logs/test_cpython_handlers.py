"""
CPython's own tests of its rotating handlers, run unchanged with our file in the place of theirs, where they apply.

A handler with their signature writes to our `LogFile`; what they name ``.1`` or ``.2026-11-22_14-40-00`` is a second name of what
we have named by our rule. The test methods themselves come from the interpreter's ``test`` package; what does not apply, and why, is
in `NOT_OURS`, and a test of theirs that is in neither list makes this fail.
"""

import logging
import logging.handlers
import os
import sys
import tempfile
import time
import warnings
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from trackline.logs.files import LogFile
from trackline.logs.names import read_name
from trackline.logs.rotation import Schedule

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    theirs = pytest.importorskip("test.test_logging", reason="this interpreter came without its own tests")

APPLY = {
    "RotatingFileHandlerTest": [
        "test_file_created",
        "test_max_bytes",
        "test_max_bytes_delay",
        "test_rollover_filenames",
        "test_should_not_rollover",
        "test_should_rollover",
    ],
    "TimedRotatingFileHandlerTest": [
        "test_compute_rollover_D",
        "test_compute_rollover_H",
        "test_compute_rollover_H_interval",
        "test_compute_rollover_M",
        "test_compute_rollover_MIDNIGHT",
        "test_compute_rollover_M_interval",
        "test_compute_rollover_S",
        "test_compute_rollover_S_interval",
        "test_invalid",
        "test_rollover",
    ],
    "FileHandlerTest": [],
    "HandlerTest": ["test_race"],
}
NO_DEVICES = "a log file that is no regular file is refused, and another name taken; the console is for devices (test_place)"
NO_HOOKS = "no namer and no rotator: names are a contract that `trackline find` knows, and `compress` is an option (test_compression)"
NO_WEEKS = "no weeks, several days or another hour than midnight: a file has the name of its day, or of an interval that divides one"
OWN_RETENTION = "tests a private method that chooses by name; ours chooses by age, number and size (test_retention)"
NO_STREAM = "looks at the handler's stream; ours has none"
NOT_ROTATION = "about names of handlers, paths as arguments, the logging module's lock, and streams; nothing of it is in our file"
NOT_OURS = {
    "RotatingFileHandlerTest": {
        "test_namer_rotator_inheritance": NO_HOOKS,
        "test_rotator": NO_HOOKS,
        "test_should_not_rollover_non_file": NO_DEVICES,
    },
    "TimedRotatingFileHandlerTest": {
        "test_compute_files_to_delete": OWN_RETENTION,
        "test_compute_files_to_delete_same_filename_different_extensions": OWN_RETENTION,
        "test_compute_rollover_D_interval": NO_WEEKS,
        "test_compute_rollover_MIDNIGHT_interval": NO_WEEKS,
        "test_compute_rollover_MIDNIGHT_local": NO_WEEKS + "; its part without another hour is below",
        "test_compute_rollover_MIDNIGHT_local_interval": NO_WEEKS,
        "test_compute_rollover_W0": NO_WEEKS,
        "test_compute_rollover_W0_interval": NO_WEEKS,
        "test_compute_rollover_W6_local": NO_WEEKS,
        "test_compute_rollover_W6_local_interval": NO_WEEKS,
        "test_compute_rollover_daily_attime": NO_WEEKS,
        "test_compute_rollover_weekly_attime": NO_WEEKS,
        "test_rollover_at_midnight": NO_WEEKS,
        "test_rollover_at_weekday": NO_WEEKS,
        "test_should_not_rollover": NO_DEVICES,
    },
    "FileHandlerTest": {
        "test_delay": NO_STREAM + "; that nothing is opened before the first line is in test_files",
        "test_emit_after_closing_in_write_mode": NO_STREAM + ", no mode, and a line after close is written (test_writer)",
    },
    "HandlerTest": {
        "test_builtin_handlers": NOT_ROTATION,
        "test_name": NOT_ROTATION,
        "test_path_objects": NOT_ROTATION,
        "test_pathlike_objects": NOT_ROTATION,
        "test_post_fork_child_no_deadlock": NOT_ROTATION + " (forks: test_fork)",
    },
}


class OurHandler(logging.Handler):
    """Writes to our file, with no opening line, in the caller's thread; and gives the files a second name by their rule."""

    def __init__(self, filename, *, encoding="utf-8", maxBytes=0, backupCount=0, delay=False, rotate=None, zone="local"):
        super().__init__()
        assert encoding == "utf-8"
        self.path, self.namer, self.names = Path(filename), lambda name: name, {}
        settings = SimpleNamespace(
            service_name=self.path.stem,
            log_dir=self.path.parent,
            rotate=rotate,
            rotate_zone=zone,
            max_file_bytes=maxBytes or None,
            retention_days=7,
            retention_files=backupCount + 1 if backupCount else None,
            retention_bytes=None,
            compress=None,
            file_mode=0o640,
        )
        self.schedule = Schedule(rotate, zone)
        self.file = LogFile(settings, lambda path: b"")
        if not delay:
            self.file._ready(0)

    def emit(self, record):
        lines = [self.format(record).encode() + b"\n"]
        self.file.write(lines)
        assert lines == []
        assert self.file.path == self.path
        self.name_as_they_do()

    def shouldRollover(self, record):
        if not self.file.is_open:
            self.file._ready(0)
        return self.file._is_too_small_for(len(self.format(record)) + 1 if record is not None else 0)

    def computeRollover(self, now):
        return self.schedule.next_after(now)

    def name_as_they_do(self):
        for name in self.names:
            Path(name).unlink(missing_ok=True)
        rotated = [
            entry.name for entry in self.path.parent.iterdir() if (name := read_name(entry.name, self.path.stem)) and name.period
        ]
        self.names = {self.their_name(name, number): name for number, name in enumerate(sorted(rotated, reverse=True), 1)}
        for theirs, ours in self.names.items():
            os.link(self.path.with_name(ours), theirs)

    def their_name(self, name, number):
        return self.namer(f"{self.path}.{number}")

    def close(self):
        self.file.close()
        super().close()


class OurTimedHandler(OurHandler):
    def __init__(self, filename, when="h", interval=1, *, utc=False, **options):
        ours = {"S": f"{interval}s", "M": f"{interval}m", "H": f"{interval}h", "D": "midnight", "MIDNIGHT": "midnight"}
        super().__init__(filename, rotate=ours.get(when, when), zone="utc" if utc else "local", **options)

    def their_name(self, name, number):
        return f"{self.path}.{read_name(name, self.path.stem).period.replace('T', '_')}"


# Some are of newer versions; and older ones roll over an empty file, which their test holds them to (gh-116263).
IS_MENDED = hasattr(theirs.RotatingFileHandlerTest, "test_max_bytes")
CASES = [
    (suite, name)
    for suite, names in APPLY.items()
    for name in names
    if hasattr(getattr(theirs, suite), name) and (IS_MENDED or name != "test_should_rollover")
]


@pytest.mark.parametrize(("suite", "name"), CASES)
def test_of_cpythons_passes_with_our_file(suite, name, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logging.handlers, "RotatingFileHandler", OurHandler)
    monkeypatch.setattr(logging.handlers, "TimedRotatingFileHandler", OurTimedHandler)
    monkeypatch.setattr(logging.handlers, "WatchedFileHandler", OurHandler)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # they refuse to run beside pytest's
    if name == "test_race":  # the same race, in less time
        sleep = time.sleep
        monkeypatch.setattr(theirs.time, "sleep", lambda seconds: sleep(seconds / 20))
    result = getattr(theirs, suite)(name).run()

    assert result.testsRun == 1
    assert not result.skipped
    assert [text for _, text in result.errors + result.failures] == []


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="has tests that nobody has looked at yet")
@pytest.mark.parametrize("suite", APPLY)
def test_of_cpythons_is_run_or_has_a_reason_not_to_be(suite):
    there = {name for name in dir(getattr(theirs, suite)) if name.startswith("test_")}

    assert there <= {*APPLY[suite], *NOT_OURS[suite]}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((2012, 3, 10, 23, 59, 59), (2012, 3, 11)),
        ((2012, 3, 11, 0, 0), (2012, 3, 12)),
        ((2012, 3, 11, 1, 0), (2012, 3, 12)),
        ((2012, 11, 3, 23, 59, 59), (2012, 11, 4)),
        ((2012, 11, 4, 0, 0), (2012, 11, 5)),
        ((2012, 11, 4, 1, 0), (2012, 11, 5)),
    ],
)
def test_local_midnight_is_theirs(now, expected, in_zone):
    in_zone("EST+05EDT,M3.2.0,M11.1.0")

    assert Schedule("midnight").next_after(datetime(*now).timestamp()) == datetime(*expected).timestamp()
