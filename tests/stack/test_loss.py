"""
What is lost, and what is stored twice, while four processes log, rotate and compress, and something goes wrong behind them.

Every line's number in the files is compared with every document in the index. ``--full`` has 100,000 lines in each case.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from stack.processes import wait_for
from stack.report import REPORT
from stack.shippers import SHIPPERS, Shipper
from stack.writing import Writers, writers, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.elasticsearch import Elasticsearch

LINES, SECONDS, FULL_LINES, FULL_SECONDS = 10_000, 10.0, 100_000, 80.0
COMPRESS_AFTER = 30.0  # seconds: no shipper reads compressed files, so each must have opened a file before; some are busy machines
STATE = 24  # MiB, of the disk that becomes full


@dataclass
class Case:
    """One run: who writes, who ships, and where to."""

    shipper: Shipper
    writers: Writers
    node: Elasticsearch
    index: str
    begin: float = field(default_factory=time.monotonic)

    def stored(self) -> int:
        return self.node.count(self.index)

    def wait_for_more(self, lines: int = 200) -> None:
        """Wait until it is shipping: so many more are stored."""
        before = self.stored()
        wait_for(lambda: self.stored() >= before + lines or not self.writers.are_writing(), 120, self.shipper.log)

    def wait_for_rotations(self, more: int) -> None:
        """Wait until each process has begun so many more files."""
        before = self.writers.rotations()
        wait_for(lambda: self.writers.rotations() >= before + more, 120, f"{more} rotations of each process")


def none(case: Case) -> None:
    """Ship what is there already: how fast it is when it need not wait for anybody."""
    case.shipper.stop()
    case.writers.wait()
    case.begin = time.monotonic()
    case.shipper.start()


def terminated(case: Case) -> None:
    case.wait_for_more()
    case.shipper.stop()
    case.wait_for_rotations(1)
    case.shipper.start()


def killed(case: Case) -> None:
    for _ in range(5):
        case.wait_for_more()
        case.shipper.kill()
        case.shipper.start()


def down_over_rotations(case: Case) -> None:
    case.wait_for_more()
    case.shipper.kill()
    case.wait_for_rotations(2)
    case.shipper.start()


def elasticsearch_down(case: Case) -> None:
    case.wait_for_more()
    case.node.stop()
    case.wait_for_rotations(1)
    case.node.start()


def state_full(case: Case) -> None:
    """Fill what is left of the shipper's disk; free it after two rotations, and have what is on it count: by kill -9."""
    case.wait_for_more()
    ballast = case.shipper.state / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    case.wait_for_rotations(2)
    case.shipper.wait_until_it_says(case.shipper.out_of_space)
    ballast.unlink()
    case.shipper.kill()
    case.shipper.start()


FAULTS = {
    "all at once": none,
    "SIGTERM": terminated,
    "kill -9 five times": killed,
    "down over two rotations": down_over_rotations,
    "Elasticsearch down": elasticsearch_down,
    "disk of its state full": state_full,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SHIPPERS)
def test_no_line_is_lost_and_none_stored_twice(name, fault, prepared, request, tmp_path):
    binary = request.getfixturevalue(name)
    full = request.config.getoption("--full")
    lines, seconds = (FULL_LINES, FULL_SECONDS) if full else (LINES, SECONDS)
    is_late = fault == "all at once"  # and finds nothing compressed yet
    service = f"loss_{name}_{list(FAULTS).index(fault)}"
    index, refused = f"logs-{service}-default", prepared.count("logs-trackline.deadletter-*")
    logs = tmp_path / "logs"
    logs.mkdir()

    with own_disk(tmp_path / "state", fault == "disk of its state full") as state:
        shipper = SHIPPERS[name](binary, logs, prepared.url, tmp_path / "shipper", state=state)
        with shipper, writers(logs, service, lines, seconds, 3600 if is_late else COMPRESS_AFTER) as running:
            case = Case(shipper, running, prepared, index)
            FAULTS[fault](case)
            running.wait()
            settle(case.stored, len(written(logs)))
            took = time.monotonic() - case.begin
            if not is_late:
                wait_for(lambda: list(logs.glob("*.gz")), 90, "nothing was compressed")
            running.end()
            numbers = written(logs)
            settle(case.stored, len(numbers))
            shipper.fail_if_ended()
            shipper.stop()  # and all that it has still to say
            forced = shipper.forced

    stored = Counter(hit["_source"]["event.id"] for hit in prepared.hits(index, source=["event.id"]))
    lost, doubled = numbers.keys() - stored.keys(), [number for number, times in stored.items() if times > 1]
    REPORT.append((name, fault, len(numbers), len(lost), len(doubled), took, forced))
    assert len(numbers) > lines, "each process says besides when it begins and ends"
    assert lost == set()
    assert doubled == []
    assert stored.keys() == numbers.keys()
    assert prepared.count("logs-trackline.deadletter-*") == refused
    # And as an operator asks.
    audit = [sys.executable, "-m", "trackline", "audit", "--strict", logs, "--elasticsearch", prepared.url, "--index", index]
    done = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def own_disk(folder: Path, wanted: bool) -> Iterator[Path]:
    """Give a folder; if it is wanted, one that is a small disk of its own."""
    folder.mkdir()
    if not wanted:
        yield folder
        return
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a disk that can be filled takes root's rights to mount one")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STATE}m", "trackline", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def settle(count: Callable[[], int], wanted: int, patience: float = 30.0) -> None:
    """Wait until so many are there; give up where none has come for some time: what is missing is seen then."""
    best, since = -1, time.monotonic()
    while best < wanted and time.monotonic() - since < patience:
        if (now := count()) > best:
            best, since = now, time.monotonic()
        time.sleep(0.2)
