"""Real servers as processes of their own, and the lines that they have written."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

from ports import free_port

TESTS = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

SERVERS = {
    "uvicorn-h11": ["uvicorn", "servers.apps:app", "--http", "h11", "--host", "127.0.0.1", "--port", "{port}"],
    "uvicorn-httptools": ["uvicorn", "servers.apps:app", "--http", "httptools", "--host", "127.0.0.1", "--port", "{port}"],
    "hypercorn": ["hypercorn", "servers.apps:app", "--access-logfile", "-", "--bind", "127.0.0.1:{port}"],
    "granian": ["granian", "--interface", "asgi", "--access-log", "--host", "127.0.0.1", "--port", "{port}", "servers.apps:app"],
    "gunicorn": [
        "gunicorn",
        "servers.apps:app",
        "-k",
        "uvicorn_worker.UvicornWorker",
        "--no-control-socket",
        "--bind",
        "127.0.0.1:{port}",
    ],
}


class Server:
    """A server on a port of its own; a context manager which ends it, and everything that it has started."""

    def __init__(self, command: list[str], directory: Path, **environment: str) -> None:
        self.port = free_port()
        # A connection for each request: servers close those on which something went wrong, at a moment of their own.
        self.http = httpx.Client(base_url=self.url, timeout=10, verify=False, limits=httpx.Limits(max_keepalive_connections=0))
        self.directory = directory
        self.log_directory = directory / "logs"
        self.log_directory.mkdir(parents=True)
        self.output = directory / "output.txt"
        program, *arguments = (part.format(port=self.port) for part in command)
        path = BIN / program
        self._command = [str(path) if path.exists() else program, *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TEST_", "COVERAGE_"))}
        if "COVERAGE_PROCESS_START" in os.environ:
            inherited["COVERAGE_PROCESS_START"] = os.environ["COVERAGE_PROCESS_START"]
        self._environment = {
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH")))),
            "PATH": os.pathsep.join((str(BIN), os.environ.get("PATH", ""))),
            "TEST_DIRECTORY": str(self.log_directory),
            "TEST_PORT": str(self.port),
            **environment,
        }

    def __enter__(self) -> Self:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its workers can be ended with it
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def wait_until_ready(self, seconds: float = 30) -> Self:
        """Wait until the application answers."""
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output.read_text()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=max(deadline - time.monotonic(), 0.1))
                connection.request("GET", "/main/ready/async")
                connection.getresponse().read()
                connection.close()
                return self
            if time.monotonic() > deadline:
                raise AssertionError(f"the server is not ready:\n{self.output.read_text()}")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15) -> int:
        """End the server as an operator would, wait for it, and end by force what is left; give its exit status."""
        # As Ctrl+C in a terminal, all get it; not granian's workers: its handler, interrupted by the main process's own signal to
        # them, can stand still for ever (granian/_signals.py).
        if self.process.poll() is None and number == signal.SIGINT and not self._command[0].endswith("granian"):
            os.killpg(self.process.pid, number)
        elif self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end:\n{self.output.read_text()}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.http.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def files(self) -> list[Path]:
        return sorted(self.log_directory.glob("*.log"))

    def raw_lines(self) -> list[str]:
        """Give all whole lines of all files."""
        return [line for path in self.files() for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]

    @staticmethod
    def parse(line: str) -> dict:
        return json.loads(line)

    def lines(self, containing: str = "") -> list[dict]:
        """Give the lines that contain a text anywhere, of all processes, in the order of each."""
        return [json.loads(line) for line in self.raw_lines() if containing in line]

    def spans(self) -> list[dict]:
        """Give the spans that have been exported so far."""
        path = self.log_directory / "spans.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, what, seconds: float = 5.0):
        """Ask until the answer is true, and give it; the last answer where it never is."""
        deadline = time.monotonic() + seconds
        while not (answer := what()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return answer

    def wait_for_lines(self, containing: str, messages: list[str], seconds: float = 5.0) -> list[dict]:
        """Give the lines that contain a text, once there is one with each of these in its message."""

        def complete() -> bool:
            found = [line["message"] for line in self.lines(containing)]
            return all(any(message in one for one in found) for message in messages)

        self.wait_for(complete, seconds)
        return self.lines(containing)
