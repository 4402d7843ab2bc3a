"""Filebeat and the OpenTelemetry Collector as an operator runs them: with the files of collector/, and the variables set."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

from ports import free_port
from stack.binaries import COLLECTOR
from stack.processes import Program, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Shipper(Program):
    """
    What reads the files in ``logs`` and writes to the Elasticsearch at ``url``.

    Its own folder is ``directory``, its state is in ``state``. ``more`` are arguments after the others, ``environment`` what is set
    besides the three variables.
    """

    name: str
    ready: str  # what it says when it has started
    out_of_space: str  # and when it cannot write its state
    orphaned = signal.SIGKILL  # at SIGTERM it may wait for an Elasticsearch that is gone too

    def __init__(
        self,
        binary: Path,
        logs: Path,
        url: str,
        directory: Path,
        *,
        state: Path | None = None,
        more: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.state = state or directory / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        variables = {"ELASTICSEARCH_URL": url, "TRACKLINE_LOG_DIR": str(logs)}
        super().__init__([binary, *self.arguments(directory), *more], directory, variables | self.variables() | (environment or {}))
        self._began = 0

    def arguments(self, directory: Path) -> list[str]:
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        return {}

    def start(self) -> Self:
        self._began = self.output.stat().st_size if self.output.exists() else 0
        return super().start()

    def wait_until_up(self) -> Self:
        """Wait until it says that it has started; fail where it ends instead."""
        self.wait_until_it_says(self.ready)
        return self

    def wait_until_it_says(self, text: str, seconds: float = 60) -> None:
        """Wait for a text in what it has said since it was started."""

        def has_said() -> bool:
            self.fail_if_ended()
            return text.encode() in self.output.read_bytes()[self._began :]

        wait_for(has_said, seconds, lambda: f"{text!r} in\n{self.log()}")


class Filebeat(Shipper):
    """Filebeat with filebeat.yml, or another ``config`` of collector/filebeat."""

    name = "filebeat"
    ready = "filebeat start running."
    out_of_space = "Failed to update state in the registry"
    config = "filebeat.yml"

    def arguments(self, directory: Path) -> list[str]:
        folder = COLLECTOR / "filebeat"
        paths = ["--path.config", folder, "--path.data", self.state, "--path.logs", directory]
        # The files in /etc belong to root, and Filebeat insists on it; those of a checkout to whoever has it.
        return [str(word) for word in ("run", "-e", "-c", self.config, *paths, "--strict.perms=false")]


GATES = "--feature-gates=stanza.synchronousLogEmitter,extension.healthcheck.useComponentStatus"


class Otelcol(Shipper):
    """The OpenTelemetry Collector with config.yaml."""

    name = "otelcol"
    ready = "Everything is ready."
    out_of_space = "no space left on device"

    def arguments(self, directory: Path) -> list[str]:
        return ["--config", str(COLLECTOR / "otelcol" / "config.yaml"), GATES]

    def variables(self) -> dict[str, str]:
        ports = {name: f"127.0.0.1:{free_port()}" for name in ("OTELCOL_GRPC", "OTELCOL_HTTP", "OTELCOL_HEALTH")}
        return {"STATE_DIRECTORY": str(self.state), **ports}


SHIPPERS: dict[str, type[Shipper]] = {"filebeat": Filebeat, "otelcol": Otelcol}
