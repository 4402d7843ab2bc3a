"""The servers, each started once for all tests that want it."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

from servers.cases import CASES
from servers.serving import SERVERS, Server
from servers.visits import COMES_IN, Visit, collect, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give each of the servers in turn, with all applications."""
    with Server(SERVERS[request.param], tmp_path_factory.mktemp(request.param), TEST_ALL_APPS="1") as one:
        one.name = request.param
        yield one.wait_until_ready()


@pytest.fixture(scope="session")
def visits(server) -> dict[tuple[str, str], Visit]:
    """Send every case with each kind of ID to a server; then look at the lines."""
    all_visits = {(case.name, comes_in): send(server, case, comes_in) for case in CASES for comes_in in COMES_IN}
    collect(server, all_visits.values(), lambda visit: f"{visit.case.raises} {visit.token}" if visit.case.raises else None)
    return all_visits


MORE_SERVERS = {
    "uvicorn-workers": [*SERVERS["uvicorn-httptools"], "--workers", "2"],
    "gunicorn-preload": [*SERVERS["gunicorn"], "-w", "2", "--preload"],
}
NO_EXPORTERS = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.fixture(scope="session")
def start_traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Give a function that starts a server under OpenTelemetry's SDK, set up in one of the ways, or gives the one that it has."""
    with ExitStack() as stack:

        @cache
        def start(telemetry: str, name: str = "uvicorn-httptools") -> Server:
            directory = tmp_path_factory.mktemp(f"{telemetry}-{name}")
            command = ({**SERVERS, **MORE_SERVERS})[name]
            if telemetry == "instrument":
                command = ["opentelemetry-instrument", *command]
            environment = {} if telemetry == "none" else {"TEST_TELEMETRY": telemetry, **NO_EXPORTERS}
            server = stack.enter_context(Server(command, directory, **environment))
            server.name = name
            return server.wait_until_ready()

        yield start
