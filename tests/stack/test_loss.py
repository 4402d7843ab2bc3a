"""
What is lost, and what is stored twice, while four processes log, rotate and compress, and something goes wrong behind them.

Both shippers read the same files, and have the same misfortune. Every line's number in the files is compared with every document that a
shipper has made. ``--full`` has 100,000 lines in each case.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from stack.processes import wait_for
from stack.report import REPORT, Row
from stack.shippers import SHIPPERS, Shipper
from stack.writing import Writers, writers, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.elasticsearch import Elasticsearch

LINES, SECONDS, FULL_LINES, FULL_SECONDS = 10_000, 10.0, 100_000, 80.0
COMPRESS_AFTER = 20.0  # seconds: no shipper reads compressed files, so each must have opened a file before; some are busy machines
STATE = 24  # MiB, of the disk that becomes full


@dataclass
class Case:
    """One run: who writes, who ships, and where to."""

    service: str
    shippers: list[Shipper]
    writers: Writers
    node: Elasticsearch
    begin: float = field(default_factory=time.monotonic)

    def index(self, shipper: Shipper) -> str:
        return f"logs-{self.service}-{shipper.name}"

    def stored(self, shipper: Shipper) -> int:
        return self.node.count(self.index(shipper))

    def wait_for_more(self, lines: int = 200) -> None:
        """Wait until each is shipping: so many more are stored."""
        for shipper in self.shippers:
            before = self.stored(shipper)
            wait_for(lambda: self.stored(shipper) >= before + lines, 120, shipper.log)  # noqa: B023

    def wait_for_rotations(self, more: int) -> None:
        """Wait until each process has begun so many more files."""
        before = self.writers.rotations()
        wait_for(lambda: self.writers.rotations() >= before + more, 120, f"{more} rotations of each process")

    def start(self, *shippers: Shipper) -> None:
        """
        Start shippers at a moment at which no file is renamed.

        Filebeat opens by its name what it has known by its content: a file that is renamed in between, some milliseconds, gives its
        place to another, which is read instead (collector/filebeat/README.md). With a rotation in each second that would be seen.
        """
        for shipper in shippers:
            wait_for(self.writers.are_between_rotations, 60, "there is always one that rotates")
            shipper.start()

    def settle(self, wanted: int, patience: float = 30.0) -> dict[str, float]:
        """
        Wait until each has stored so many; give when it had, in seconds.

        Gives up where none has come for some time: what is missing is seen then.
        """
        took, best, since = {}, -1, time.monotonic()
        while len(took) < len(self.shippers) and time.monotonic() - since < patience:
            counts = {shipper.name: self.stored(shipper) for shipper in self.shippers}
            took |= {name: time.monotonic() - self.begin for name, count in counts.items() if count >= wanted and name not in took}
            if (now := sum(counts.values())) > best:
                best, since = now, time.monotonic()
            time.sleep(0.2)
        return took


def late(case: Case) -> None:
    """Ship what is there already: how fast each is when it need not wait for anybody."""
    for shipper in case.shippers:
        shipper.stop()
    case.writers.wait()
    for shipper in case.shippers:
        case.begin = time.monotonic()
        shipper.start()
        wait_for(lambda: case.stored(shipper) >= case.writers.lines, 300, shipper.log)  # noqa: B023
        REPORT.append(Row(shipper.name, "alone, all at once", case.writers.lines, 0, 0, time.monotonic() - case.begin))


def terminated(case: Case) -> None:
    case.wait_for_more()
    for shipper in case.shippers:
        shipper.stop()
    case.wait_for_rotations(1)
    case.start(*case.shippers)


def killed(case: Case) -> None:
    for _ in range(5):
        case.wait_for_more()
        for shipper in case.shippers:
            shipper.kill()
        case.start(*case.shippers)


def down_over_rotations(case: Case) -> None:
    case.wait_for_more()
    for shipper in case.shippers:
        shipper.kill()
    case.wait_for_rotations(2)
    case.start(*case.shippers)


def elasticsearch_down(case: Case) -> None:
    case.wait_for_more()
    case.node.stop()
    case.wait_for_rotations(1)
    case.node.start()


def state_full(case: Case) -> None:
    """Fill what is left of each one's disk; free it after two rotations, and have what is on it count: by kill -9."""
    case.wait_for_more()
    ballasts = [shipper.state / "ballast" for shipper in case.shippers]
    for ballast in ballasts:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError:
                pass
    case.wait_for_rotations(2)
    for shipper, ballast in zip(case.shippers, ballasts, strict=True):
        shipper.wait_until_it_says(shipper.out_of_space)
        ballast.unlink()
        shipper.kill()
    case.start(*case.shippers)


FAULTS = {
    "started late": late,
    "SIGTERM": terminated,
    "kill -9 five times": killed,
    "down over two rotations": down_over_rotations,
    "Elasticsearch down": elasticsearch_down,
    "disk of its state full": state_full,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_line_is_lost_and_none_stored_twice(fault, prepared, filebeat, otelcol, request, tmp_path):
    lines, seconds = (FULL_LINES, FULL_SECONDS) if request.config.getoption("--full") else (LINES, SECONDS)
    is_late, is_full = fault == "started late", fault == "disk of its state full"
    service, logs = f"loss_{list(FAULTS).index(fault)}", tmp_path / "logs"
    logs.mkdir()
    with ExitStack() as stack:
        states = {name: stack.enter_context(own_disk(tmp_path / f"state-{name}", is_full)) for name in SHIPPERS}
        shippers = [
            stack.enter_context(
                SHIPPERS[name](
                    binary, logs, prepared.url, tmp_path / name, state=states[name], environment={"TRACKLINE_NAMESPACE": name}
                )
            )
            for name, binary in (("filebeat", filebeat), ("otelcol", otelcol))
        ]
        # What is compressed before a shipper has seen it is lost to it.
        running = stack.enter_context(writers(logs, service, lines, seconds, 3600 if is_late else COMPRESS_AFTER))
        case = Case(service, shippers, running, prepared)
        FAULTS[fault](case)
        running.wait()
        took = case.settle(len(written(logs)))
        if not is_late:
            wait_for(lambda: list(logs.glob("*.gz")), 90, "nothing was compressed")
        running.end()
        numbers = written(logs)
        case.settle(len(numbers))
        for shipper in shippers:
            shipper.fail_if_ended()
            shipper.stop()  # and all that it has still to say

    failures = []
    for shipper in shippers:
        stored = Counter(hit["_source"]["event.id"] for hit in prepared.hits(case.index(shipper), source=["event.id"]))
        lost, doubled = numbers - stored.keys(), [number for number, times in stored.items() if times > 1]
        REPORT.append(Row(shipper.name, fault, len(numbers), len(lost), len(doubled), took.get(shipper.name, 0.0), shipper.forced))
        refused = prepared.count(f"logs-trackline.deadletter-{shipper.name}")
        if lost or doubled or refused or stored.keys() != numbers:
            failures.append(f"{shipper.name}: lost {sorted(lost)[:5]}, twice {doubled[:5]}, refused {refused}\n{shipper.log()}")
    assert failures == []
    assert len(numbers) > lines, "each process says besides when it begins and ends"
    for shipper in shippers:  # and as an operator asks
        audit = [sys.executable, "-m", "trackline", "audit", "--strict", logs, "--elasticsearch", prepared.url]
        done = subprocess.run([*audit, "--index", case.index(shipper)], capture_output=True, text=True, check=False)
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
