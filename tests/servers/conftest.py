"""The servers, each started once for all tests that want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.serving import SERVERS, Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give each of the servers in turn, with all applications."""
    with Server(SERVERS[request.param], tmp_path_factory.mktemp(request.param), TEST_ALL_APPS="1") as one:
        one.name = request.param
        yield one.wait_until_ready()
