"""The processes of the demo: started on free ports, watched, and ended so that neither a process nor a port is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

GRACE = 4.0  # seconds from SIGTERM to SIGKILL
SERVICES = {"gateway": 1, "orders": 2, "payments": 1}  # and their worker processes

# What would change how the services run, or send their calls elsewhere.
_NOT_PASSED_ON = ("OTEL_", "UVICORN_", "WEB_CONCURRENCY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class ServiceFailedError(Exception):
    """A service has ended by itself."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    stderr: Path


class Services:
    """
    The three services, running in ``folder``: that is where their ``logs`` are. A context manager, which ends them.

    The ports are bound here and handed on as open sockets (``uvicorn --fd``), so none can be taken by somebody else between the
    choice and the start. Each service leads a session of its own: Ctrl-C in the terminal reaches only the demo, which then ends them
    in order. Ending them takes `GRACE` and some at the most, and nothing interrupts it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[Service] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            sockets = {name: stack.enter_context(_listen()) for name in SERVICES}
            urls = {name: "http://127.0.0.1:{1}".format(*one.getsockname()) for name, one in sockets.items()}
            try:
                for name, one in sockets.items():
                    self._start(name, urls, one)
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def url(self, name: str) -> str:
        """Where a service is."""
        return next(service.url for service in self.running if service.name == name)

    def check(self) -> None:
        """Raise ServiceFailedError if a service has ended, with the end of what it said on stderr."""
        for service in self.running:
            if _has_ended(service.process):
                said = service.stderr.read_text("utf-8", "replace").strip().splitlines()[-12:]
                raise ServiceFailedError("\n  ".join([f"the service {service.name} has ended by itself", *said]))

    def stop(self) -> None:
        """End all of them: SIGTERM, and SIGKILL for what is left. Safe to call twice."""
        stopping, self.running = self.running, []
        for service in stopping:
            if not _has_ended(service.process):
                os.kill(service.process.pid, signal.SIGTERM)  # the leader alone: it ends its workers in order
        deadline = time.monotonic() + GRACE
        for service in stopping:
            while not _has_ended(service.process) and time.monotonic() < deadline:
                time.sleep(0.01)
            _end_group(service.process)

    def _start(self, name: str, urls: dict[str, str], listening: socket.socket) -> None:
        env = {key: value for key, value in os.environ.items() if not key.upper().startswith(_NOT_PASSED_ON)}
        env |= {f"{other.upper()}_URL": url for other, url in urls.items()}
        env["OTEL_SDK_DISABLED"] = "true"  # `opentelemetry-instrument trackline demo`: nobody collects the spans
        descriptor = listening.fileno()
        # -P: the folder is no place to import from.
        command = [sys.executable, "-P", "-m", "trackline.demo.launch"]
        command += [f"trackline.demo.{name}:app", str(descriptor), str(SERVICES[name])]
        stderr = self.folder / f"{name}.stderr"
        with stderr.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603  (our own program)
                command,
                cwd=self.folder,
                env=env,
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # the same lines as in the files
                stderr=errors,
                start_new_session=True,
            )
        self.running.append(Service(name, urls[name], process, stderr))


def _listen() -> socket.socket:
    # It listens from here on: who connects before the service is up waits, and is not refused.
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a child has ended, and leave it unreaped: until then nobody else can have its ID."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a child's process group: itself, if it did not end in time, and workers that it has lost."""
    _kill_group(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    deadline = time.monotonic() + 2.0
    while _kill_group(process.pid, 0) and time.monotonic() < deadline:  # the killed ones are gone in a moment
        time.sleep(0.01)


def _kill_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return False
    return True
