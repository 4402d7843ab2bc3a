"""Programs as processes of their own: started, watched, ended as an operator would, and by force where that fails."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
_LIBC = ctypes.CDLL(None)  # before any fork: loading it takes locks


def wait_for(what: Callable[[], T | None], seconds: float, message: str | Callable[[], str] = "", every: float = 0.05) -> T:
    """Ask until the answer is true, and give it; fail with the message where it never is."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {message() if callable(message) else message}")
        time.sleep(every)
    return answer


def _end_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when the tests are killed: PR_SET_PDEATHSIG of prctl(2)."""
    _LIBC.prctl(1, number)


class Program:
    """A program that is started and stopped, any number of times. A context manager which leaves no process behind."""

    grace = 10.0  # seconds from SIGTERM to SIGKILL, as a supervisor has it
    orphaned = signal.SIGTERM  # what it gets when the tests are killed

    def __init__(
        self, command: Sequence[str | Path], directory: Path, environment: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        self.command, self.directory, self._options = [str(word) for word in command], directory, options
        # Neither the machine's proxies nor its telemetry are asked to take part.
        inherited = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        self.environment = inherited | dict(environment or {})
        self.output = directory / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.forced = 0  # how often SIGTERM was not enough

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        assert not self.is_running(), "it is running"
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it starts can be ended with it
                preexec_fn=partial(_end_with_parent, self.orphaned),  # noqa: PLW1509  (one call of the C library, loaded before)
                **self._options,
            )
        return self

    def stop(self) -> None:
        """Ask it to end, and end it by force where it does not within its grace."""
        if self.is_running():
            assert self.process is not None
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(self.grace)
            except subprocess.TimeoutExpired:
                self.forced += 1
        self.kill()

    def kill(self) -> None:
        """End it and all that it has started, at once: ``kill -9``."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self, lines: int = 40) -> str:
        """Give the end of what it has said."""
        return "\n".join(self.output.read_text("utf-8", "replace").splitlines()[-lines:]) if self.output.exists() else ""

    def fail_if_ended(self) -> None:
        if not self.is_running():
            status = self.process.returncode if self.process else None
            raise AssertionError(f"{self.command[0]} ended by itself with status {status}:\n{self.log()}")
