"""
Processes that log, as ``python -m stack.writing FOLDER SERVICE LINES SECONDS``, and what they have left in their files.

Each writes so many lines, evenly over so many seconds, and goes on like that until something comes on its standard input; it begins a
file every few seconds, and compresses those that are closed for a while. When all is written it says so; it ends when its input does.
"""

from __future__ import annotations

import gzip
import itertools
import logging
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
LINE = 750  # bytes of one, about
PERIOD = 3.0  # seconds, about, from one rotation to the next


def size_of(lines: int, seconds: float) -> int:
    """Give the bytes at which a process that writes so many lines begins a new file."""
    return max(int(lines / seconds * PERIOD * LINE), 16 * 1024)


def write(folder: str, service: str, lines: int, seconds: float, compress_after: float) -> None:
    """Write the lines of one process."""
    import trackline

    size = size_of(lines, seconds)
    handle = trackline.setup_logging(
        service, log_dir=folder, console=False, max_file_bytes=size, compress="gzip", compress_after=compress_after
    )
    log = logging.getLogger("app")
    begin = time.monotonic()
    for number in itertools.count():
        if number >= lines and select.select([sys.stdin], [], [], 0)[0]:
            break
        with trackline.use_tracking_id(f"{service}-{number // 5}"):
            log.info("order %d of a customer has been paid", number, extra={"amount": number / 4, "note": "x" * 200})
        # In step with the clock, ten lines at a time.
        if number % 10 == 9:
            time.sleep(max(begin + number * seconds / lines - time.monotonic(), 0))
    assert handle.flush(60), "not all lines were written"
    print("written", flush=True)
    sys.stdin.buffer.read()
    assert handle.close(60) == 0, "not all lines were written"


@contextmanager
def writers(folder: Path, service: str, lines: int, seconds: float, compress_after: float, processes: int = 4) -> Iterator[Writers]:
    """Start processes which write ``lines`` all together; end them, if they have not ended."""
    share = [str(part) for part in (folder, service, lines // processes, seconds, compress_after)]
    command = [sys.executable, "-m", "stack.writing", *share]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    running = [subprocess.Popen(command, cwd=TESTS, **pipes) for _ in range(processes)]
    try:
        yield Writers(folder, service, lines, running, size_of(lines // processes, seconds))
    finally:
        for process in running:
            process.kill()
            process.communicate()


class Writers:
    """The processes that write now."""

    def __init__(self, folder: Path, service: str, lines: int, running: list[subprocess.Popen[bytes]], size: int) -> None:
        self.folder, self.lines, self._service, self._running, self._enough = folder, lines, service, running, False
        self._size = size

    def wait(self) -> None:
        """Say that it is enough, and wait until all lines are written."""
        for process in self._running if not self._enough else ():
            assert process.stdin is not None
            process.stdin.write(b".")
            process.stdin.flush()
        self._enough = True
        for process in self._running:
            assert process.stdout is not None
            process.stdout.read(1)  # also at its end

    def end(self) -> None:
        """Have all end, and wait for it; fail where one has failed."""
        for process in self._running:
            _, complaint = process.communicate(timeout=90)
            assert process.returncode == 0, complaint.decode()

    def are_between_rotations(self) -> bool:
        """Whether no process has just begun a file, nor will soon."""
        sizes = [path.stat().st_size / self._size for path in self.folder.glob(f"{self._service}*.log")]
        return all(0.02 < size < 0.5 for size in sizes)

    def rotations(self) -> int:
        """Give how often the process with the fewest rotations has begun a new file."""
        counts = dict.fromkeys((path.name for path in self.folder.glob(f"{self._service}*.log")), 0)
        for path in self.folder.glob(f"{self._service}*.log.*"):
            live = path.name.partition(".log.")[0] + ".log"
            counts[live] = counts.get(live, 0) + (path.suffix != ".gz" or not path.with_suffix("").exists())
        return min(counts.values()) if len(counts) >= len(self._running) else 0


def written(folder: Path) -> set[str]:
    """Give the event.id of each line in the files of a folder, compressed or not."""

    def lines_of(path: Path) -> list[bytes]:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.readlines()

    for _ in range(20):
        try:
            files = [path for path in folder.glob("*.log*") if not path.name.startswith(".")]
            return {orjson.loads(line)["event.id"] for path in files for line in lines_of(path)}
        except FileNotFoundError:  # it has been compressed, or renamed, since it was listed
            continue
    raise AssertionError(f"{folder} does not come to rest")


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
