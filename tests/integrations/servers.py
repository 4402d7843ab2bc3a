"""A real Redis and a real RabbitMQ, workers as processes of their own, and the lines that those have written."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Redis of this session's own; give its address without a database."""
    program = _find("redis-server", "apt-get install redis-server")
    port, directory = free_port(), tmp_path_factory.mktemp("redis")
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": directory,
        "save": "",
        "appendonly": "no",
        "maxmemory": "128mb",
        "maxmemory-policy": "noeviction",
    }
    command = [program, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]
    with _running(command, directory) as process:
        _wait_for_port(port, process, directory)
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a RabbitMQ of this session's own, with its own epmd, which takes some seconds; give its address."""
    # Debian's wrapper in the PATH gives up root's rights, and with them the directory.
    program = _find("/usr/lib/rabbitmq/bin/rabbitmq-server", "apt-get install rabbitmq-server")
    epmd = _find("epmd", "apt-get install rabbitmq-server")
    port, names, nodes = free_port(), free_port(), free_port()
    directory = tmp_path_factory.mktemp("rabbitmq")
    (directory / "plugins").write_text("[].\n")
    (directory / "rabbitmq.conf").write_text("vm_memory_high_watermark.absolute = 256MB\ndisk_free_limit.absolute = 16MB\n")
    environment = {
        "HOME": str(directory),  # the Erlang cookie
        "RABBITMQ_NODENAME": f"trackline-{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    (directory / "epmd").mkdir()
    with _running([epmd, "-port", str(names), "-address", "127.0.0.1"], directory / "epmd", **environment) as names_process:
        _wait_for_port(names, names_process, directory / "epmd")
        with _running([program], directory, **environment) as process:
            _wait_for_port(port, process, directory)
            yield f"amqp://guest:guest@127.0.0.1:{port}/"


class Worker:
    """
    A worker as a process of its own, which logs as JSON lines into its directory; a context manager, which ends it by force.

    ``command`` begins with a module that is run with ``-m``. It is ready when one of its lines, or its output, contains ``ready``.
    """

    def __init__(self, command: list[str], directory: Path, *, ready: str, **environment: str) -> None:
        self.directory, self.output, self._ready = directory, directory / "output.txt", ready
        self._command = [sys.executable, "-m", *command]
        self._environment = {"TEST_DIRECTORY": str(directory), **environment}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.process = self._stack.enter_context(_running(self._command, self.directory, **self._environment))
        try:
            self.wait_for(self._is_ready, seconds=30)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()  # what it has to say was waited for; the rest of its group goes with it
        self._stack.close()

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end:\n{self.output.read_text(errors='replace')[-8000:]}") from None

    def _is_ready(self) -> bool:
        return self._ready in self.output.read_text(errors="replace") or any(self._ready in line["message"] for line in self.lines())

    def wait_for(self, what: Callable[[], Any], seconds: float = 10) -> Any:
        """Ask until the answer is true, and give it; fail with the worker's output where it never is, or the worker has ended."""
        deadline = time.monotonic() + seconds
        while not (answer := what()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"returncode {self.process.returncode}\n{self.output.read_text(errors='replace')[-8000:]}")
            time.sleep(0.02)
        return answer

    def lines(self, mark: str = "") -> list[dict[str, Any]]:
        """Give the whole lines of all processes whose message contains a mark, in the order of each process."""
        raw = [line for path in sorted(self.directory.glob("*.log")) for line in path.read_text("utf-8").splitlines(keepends=True)]
        parsed = [json.loads(line) for line in raw if line.endswith("\n")]
        return [line for line in parsed if mark in line["message"]]

    def wait_for_lines(self, mark: str, count: int = 1) -> list[dict[str, Any]]:
        """Give the lines whose message contains a mark, once there are so many."""
        return self.wait_for(lambda: found if len(found := self.lines(mark)) >= count else None)


def worker_logging() -> None:
    """Set up logging in a worker: plain, complete, into the test's directory."""
    from trackline import setup_logging

    setup_logging("worker", log_dir=os.environ["TEST_DIRECTORY"], console=False)


def _find(program: str, remedy: str) -> str:
    found = shutil.which(program) or shutil.which(Path(program).name)
    if found is None:
        message = f"{Path(program).name} is not installed: {remedy}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextlib.contextmanager
def _running(command: list[str], directory: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, and end the whole group, by force if need be."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TEST_", "CELERY_"))}
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    with (directory / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**inherited, "PYTHONPATH": path, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_the_tests if sys.platform == "linux" else None,  # noqa: PLW1509  (it calls nothing of Python's)
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _end_with_the_tests() -> None:
    # prctl(PR_SET_PDEATHSIG): also where the tests are killed, and no fixture ends anything.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"does not start, {process.returncode}:\n{(directory / 'output.txt').read_text(errors='replace')}")
        time.sleep(0.02)
