"""
A service that logs all the time while the real logrotate works on its files, with the configurations that operators copy.

    python -m collector.rotating          in tests/: the figures of docs/shipping.md
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

from collector.conftest import COLLECTOR
from trackline.search import AuditReport, audit

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
FILES = 'trackline.setup_logging("orders", log_dir="logs", console=False, rotate=None, max_file_bytes=None)'
STDOUT = 'trackline.setup_logging("orders", file=False, console="json")'
FILLER = b'{"message":"' + b"x" * 600 + b'"}\n'
SERVICE = """
import logging, sys, threading, time
import trackline
handle = {setup}
log = logging.getLogger("app")
rate = {rate}
began, number = time.monotonic(), 0
stop = threading.Event()  # when standard input ends; until then it logs at a steady rate
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
while not stop.is_set():
    while number < (time.monotonic() - began) * rate:
        number += 1
        log.info("line %d", number)
    stop.wait(0.002)
handle.close()
"""


class Rotating:
    """
    A service that logs ``rate`` lines a second into ``directory``/logs, to files of its own or, redirected as a shell does, to one;
    there are ``filler`` MiB of other lines in it already.

    A context manager: at its end the service has written all that it will.
    """

    def __init__(self, directory: Path, setup: str, rate: int, *, mode: str = "ab", filler: int = 0) -> None:
        self.logs = directory / "logs"
        self.logs.mkdir(mode=0o755)
        if filler:
            self.live.write_bytes(FILLER * ((filler << 20) // len(FILLER)))
        output = (self.logs / "orders.log").open(mode) if setup == STDOUT else None
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVICE.format(setup=setup, rate=rate)], cwd=directory, stdin=subprocess.PIPE, stdout=output
        )
        self._state = directory / "state"
        self._second = 0
        if output:
            output.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end()

    def end(self) -> None:
        """Have the service end, when it has written all that it will."""
        if self._process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=30)
            self._process.kill()
            self._process.wait()

    def grown(self, size: int = 20_000) -> None:
        """Wait until there are so many bytes in the live file."""
        waiting, deadline = threading.Event(), time.monotonic() + 30
        while not (self.live.exists() and self.live.stat().st_size > size):
            assert time.monotonic() < deadline, "the service writes nothing"
            waiting.wait(0.005)

    @property
    def live(self) -> Path:
        return self.logs / "orders.log"

    def rotate(self, name: str) -> None:
        """Have logrotate rotate now by a configuration of the collector's, which is for /var/log/orders and its user."""
        text = (COLLECTOR / "logrotate" / name).read_text().replace("/var/log/orders", str(self.logs))
        text = text.replace("orders adm", f"{_user()} {_group()}")
        self._wait_for_another_second()
        config = self._state.with_name("logrotate.conf")
        config.write_text(text)
        config.chmod(0o644)
        subprocess.run([LOGROTATE, "--force", "--state", self._state, config], check=True)
        self._second = math.floor(time.time())

    def _wait_for_another_second(self) -> None:
        # The dates in the names tell no less apart; and C's time() may be a tick of the kernel behind Python's.
        waiting = threading.Event()
        while time.time() < self._second + 1.05:
            waiting.wait(0.01)

    def audit(self) -> AuditReport:
        """Account for every line, in whatever file it is."""
        return audit([self.logs])

    def ids(self) -> set[str]:
        """Give the `event.id` of every line that is in a file."""
        (process,) = self.audit().processes
        return {f"{process.nonce}-{number}" for first, last in process.numbers for number in range(first, last + 1)}


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _group() -> str:
    import grp

    return grp.getgrgid(os.getegid()).gr_name


def measure(setup: str, config: str, rate: int, size: int) -> int:
    """Give how many lines are missing after one rotation of a file of so many MiB."""
    with tempfile.TemporaryDirectory() as directory:
        with Rotating(Path(directory), setup, rate, filler=size) as service:
            service.grown((size << 20) + 400_000)
            service.rotate(config)
            service.grown()
        return service.audit().missing


if __name__ == "__main__":
    for size, rate in product((0, 64, 256), (1_000, 10_000)):
        for name, setup, config in (("own files, create", FILES, "files.conf"), ("stdout, copytruncate", STDOUT, "stdout.conf")):
            lost = [measure(setup, config, rate, size) for _ in range(5)]
            print(f"{size:4} MiB {rate:6} lines/s  {name:22} lost in each of 5 rotations: {', '.join(map(str, lost))}")
