"""The services of examples/fleet as processes of their own, and what they have written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from examples.spans import announce
from integrations.servers import BIN, TESTS
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

EXAMPLE = TESTS.parent / "examples" / "fleet"

COMMANDS = {
    "shop": ["uvicorn", "shop:app", "--port", "{shop}"],
    "stock": ["gunicorn", "stock:app", "--threads", "4", "--access-logfile", "-", "--no-control-socket", "--bind", "127.0.0.1:{stock}"],
    "worker": ["celery", "-A", "worker", "worker", "--concurrency", "2"],
    "prices": [sys.executable, str(EXAMPLE / "prices.py")],
    "ledger": ["uvicorn", "ledger:app", "--port", "{ledger}"],
}
OURS = {"OTEL_PROPAGATORS": "trackline,baggage", "OTEL_PYTHON_ID_GENERATOR": "trackline"}
TELEMETRY = {
    **OURS,
    "OTEL_TRACES_EXPORTER": "files",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
}


# What one order has the services log: every line that has the item's or the task's name in it, by service and logger.
LINES = {
    ("shop", "shop"): 2,
    ("shop", "httpx"): 1,
    ("shop", "trackline.access"): 1,
    ("stock", "stock"): 2,
    ("stock", "gunicorn.access"): 1,
    ("worker", "worker"): 2,
    ("worker", "celery.app.trace"): 1,
    ("prices", "prices"): 2,
    ("prices", "httpx"): 1,
    ("ledger", "ledger"): 1,
    ("ledger", "trackline.access"): 1,
}
# Logged by the pool's parent before it looks at what the message brings: see the test of that.
RECEIVED = "celery.worker.strategy"
# The spans of one order, where the service is traced; and INTERNAL ones.
SPANS = {
    "shop": ["CLIENT", "SERVER"],
    "stock": ["PRODUCER", "SERVER"],
    "worker": ["CLIENT", "CONSUMER"],
    "prices": ["CLIENT", "SERVER"],
    "ledger": ["SERVER"],
}


class Order:
    """An order, the IDs that it is to have, and what the services have written about it."""

    def __init__(self, fleet: Fleet, headers: dict[str, str]) -> None:
        self._fleet = fleet
        self.item = f"mug-{secrets.token_hex(8)}"
        self.response = fleet.http.post(f"/orders/{self.item}", headers=headers)
        assert self.response.status_code == 202, fleet.said()
        self.task = self.response.json()["task"]
        _, came_trace, self.caller, _ = headers["traceparent"].split("-") if "traceparent" in headers else (None,) * 4
        came_id = headers.get("X-Request-ID")
        self.tracking_id = came_id or came_trace or self.response.headers["X-Request-ID"]
        derived = hashlib.sha256(came_id.encode()).hexdigest()[:32] if came_id else self.tracking_id
        self.trace_id = came_trace or derived

    def lines(self) -> list[dict[str, Any]]:
        """Give all lines about it, once there are as many as are to be."""

        def found() -> list[dict[str, Any]]:
            about = [line for line in self._fleet.lines() if self.item in line["message"] or self.task in line["message"]]
            return [line for line in about if line["log.logger"] != RECEIVED]

        until(lambda: len(found()) >= sum(LINES.values()))
        return found()

    def spans(self) -> list[dict[str, Any]]:
        """Give all spans of its trace, once there are as many as are to be."""
        count = sum(len(SPANS[name]) for name in self._fleet.traced)

        def found() -> list[dict[str, Any]]:
            return [span for span in self._fleet.spans() if span["trace_id"] == self.trace_id]

        until(lambda: sum(span["kind"] != "INTERNAL" for span in found()) >= count)
        return found()


def until(what: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until it is true, but not for ever."""
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)


class Fleet:
    """
    All services, those that are ``traced`` under ``opentelemetry-instrument``; a context manager, which ends them.

    ``environment`` is for all of them, traced or not.
    """

    def __init__(self, directory: Path, broker: str, traced: Collection[str], **environment: str) -> None:
        self.directory, self.broker, self.traced, self._environment = directory, broker, traced, environment
        self.ports = {name: free_port() for name in COMMANDS if name != "worker"}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.ports['shop']}", timeout=15)
        self.orders: dict[str, Order] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        announce(directory / "site")
        (directory / "spans").mkdir()

    def __enter__(self) -> Self:
        try:
            for name in COMMANDS:
                self._start(name)
            self._wait_until_ready(40)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.http.close()
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, name: str) -> None:
        program, *arguments = (word.format(**self.ports) for word in COMMANDS[name])
        command = [program if Path(program).is_absolute() else str(BIN / program), *arguments]
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACKLINE_", "CELERY_", "COVERAGE_"))
        }
        environment |= {
            "PYTHONPATH": os.pathsep.join((str(EXAMPLE), str(TESTS), str(self.directory / "site"))),
            "PATH": os.pathsep.join((str(BIN), os.environ.get("PATH", ""))),
            "TEST_SPANS": str(self.directory / "spans"),
            "STOCK_URL": f"http://127.0.0.1:{self.ports['stock']}",
            "BROKER_URL": self.broker,
            "PRICES_TARGET": f"127.0.0.1:{self.ports['prices']}",
            "LEDGER_URL": f"http://127.0.0.1:{self.ports['ledger']}",
            **self._environment,
        }
        if name in self.traced:
            command = [str(BIN / "opentelemetry-instrument"), *command]
            environment |= TELEMETRY | {"OTEL_SERVICE_NAME": name}
        with (self.directory / f"{name}.txt").open("wb") as output:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        # Connections only: a request would leave spans and lines.
        try:
            for port in self.ports.values():
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return any(line["message"].endswith(" ready.") for line in self.lines("worker"))

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_ready():
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"not ready; ended: {ended}\n{self.said()}")
            time.sleep(0.02)

    def order(self, came: str, headers: dict[str, str]) -> Order:
        """Order an item that nobody has ordered before; an order of the same name is made once."""
        if came not in self.orders:
            self.orders[came] = Order(self, headers)
        return self.orders[came]

    def said(self) -> str:
        """Give the end of what each service has put out."""
        return "\n".join(
            f"--- {name}\n{(self.directory / f'{name}.txt').read_text(errors='replace')[-3000:]}" for name in self._processes
        )

    def lines(self, service: str | None = None, *, containing: str = "") -> list[dict[str, Any]]:
        """Give the lines of a service, or of all, that contain a text anywhere."""
        raw = [line for path in (self.directory / "logs").glob("*.log") for line in path.read_text("utf-8").splitlines(keepends=True)]
        parsed = [json.loads(line) for line in raw if line.endswith("\n") and containing in line]
        return [line for line in parsed if service is None or line["service.name"] == service]

    def spans(self) -> list[dict[str, Any]]:
        """Give the spans of all services."""
        raw = [line for path in (self.directory / "spans").iterdir() for line in path.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in raw if line.endswith("\n")]
