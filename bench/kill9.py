"""
How many lines does kill -9 cost? A process logs at a steady rate and says after each line, by other means, how many it has logged.

The count is in memory that is shared with this process: it survives. What is missing in the file afterwards is what was lost. One run
for each rate and number; the process is killed at a random moment of its second second.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = """
import logging, mmap, struct, sys, time
import trackline
rate = int(sys.argv[2])
with open(sys.argv[1], "r+b") as file:
    count = mmap.mmap(file.fileno(), 8)
trackline.setup_logging("kill9", log_dir=sys.argv[3], console=False)
log = logging.getLogger("app")
number, began = 0, time.perf_counter()
while True:
    due = int((time.perf_counter() - began) * rate)
    while number < due:
        number += 1
        log.info("line %d", number, extra={"user_id": number, "path": "/orders"})
        struct.pack_into("q", count, 0, number)
    time.sleep(0.001)
"""


def lost(rate: int) -> tuple[int, int]:
    """Give how many lines were logged, and how many of them are not in the file."""
    with tempfile.TemporaryDirectory() as directory:
        shared = Path(directory, "count")
        shared.write_bytes(bytes(8))
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(shared), str(rate), directory])
        with shared.open("r+b") as file:
            count = mmap.mmap(file.fileno(), 8)
        while struct.unpack("q", count[:8])[0] < rate:
            time.sleep(0.01)
        time.sleep(random.random() / 2)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        logged = struct.unpack("q", count[:8])[0]
        *whole, _half = Path(directory, "kill9.log").read_bytes().split(b"\n")  # the kernel ends a write(2) between two pages
        lines = [json.loads(line) for line in whole]
        written = [line["labels"]["user_id"] for line in lines if line["log.logger"] == "app"]
        assert written == list(range(1, len(written) + 1)), "a line in between is missing"
        return logged, max(logged - len(written), 0)


def main() -> None:
    """Print a row for each rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    options = parser.parse_args()
    print("| lines/s | runs | lost, median | lost, most | in milliseconds, most |\n|--:|--:|--:|--:|--:|")
    for rate in options.rates:
        found = sorted(lost(rate)[1] for _ in range(options.runs))
        print(f"| {rate:,} | {options.runs} | {found[len(found) // 2]:,} | {found[-1]:,} | {found[-1] / rate * 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
