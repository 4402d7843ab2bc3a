"""The servers, each started once for all tests that want it."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest

from servers.serving import SERVERS, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give each of the servers in turn, with all applications."""
    with Server(SERVERS[request.param], tmp_path_factory.mktemp(request.param), TEST_ALL_APPS="1") as one:
        one.name = request.param
        yield one.wait_until_ready()


UVICORN = SERVERS["uvicorn-httptools"]
TELEMETRY = {
    "sdk": UVICORN,
    "configured": UVICORN,
    "instrument": ["opentelemetry-instrument", *UVICORN],
}
NO_EXPORTERS = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.fixture(scope="session")
def start_traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Give a function that starts uvicorn under OpenTelemetry's SDK, set up in one of the ways, or gives the one that it has."""
    with ExitStack() as stack:

        @cache
        def start(telemetry: str) -> Server:
            directory = tmp_path_factory.mktemp(telemetry)
            server = stack.enter_context(Server(TELEMETRY[telemetry], directory, TEST_TELEMETRY=telemetry, **NO_EXPORTERS))
            server.name = "uvicorn-httptools"
            return server.wait_until_ready()

        yield start
