"""What the tests of the stack share: the programs, each found or built once, and the nodes, each started once."""

from __future__ import annotations

import os
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from stack import binaries
from stack.elasticsearch import Elasticsearch, install_templates
from stack.failure_store import node_with_failure_store
from stack.report import VERSIONS, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FILEBEATS = {"9": binaries.FILEBEAT, "7": binaries.FILEBEAT_7}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the whole proof: 100,000 lines in each case, an hour or so")
    parser.addoption("--filebeat", choices=FILEBEATS, default="9", help="the major version of Filebeat (default: 9)")


@pytest.fixture(scope="session")
def elasticsearch(elasticsearch_home: Path) -> Iterator[Elasticsearch]:
    """Start a node without security; ``url``, ``http``, ``request``, ``count``, ``search``, ``hits``, ``stop`` and ``start``."""
    with Elasticsearch(elasticsearch_home) as node:
        yield node


@pytest.fixture(scope="session")
def prepared(elasticsearch: Elasticsearch) -> Elasticsearch:
    """Give the node with the templates, as an operator installs them."""
    install_templates(elasticsearch)
    return elasticsearch


@pytest.fixture(scope="session")
def unprepared(elasticsearch_home: Path) -> Iterator[Elasticsearch]:
    """Start a node which no test gives templates."""
    with Elasticsearch(elasticsearch_home) as node:
        yield node


@pytest.fixture
def namespace(elasticsearch: Elasticsearch) -> Iterator[str]:
    """Give a namespace of its own in the node that the module uses; its indices are deleted afterwards."""
    name = f"t{uuid.uuid4().hex[:8]}"
    yield name
    elasticsearch.request("DELETE", f"/logs-*-{name}*", allow_no_indices="true")


@pytest.fixture(scope="session")
def secured_elasticsearch(elasticsearch_home: Path) -> Iterator[Elasticsearch]:
    """Start a node with TLS and users: ``ca`` is the path of its authority; ``user``, ``password``; ``api_key`` makes keys."""
    with Elasticsearch(elasticsearch_home, secured=True) as node:
        yield node


@pytest.fixture(scope="session")
def with_failure_store(elasticsearch_home: Path) -> Iterator[Elasticsearch]:
    """Start a node with the templates, whose data streams keep what they refuse."""
    with node_with_failure_store(elasticsearch_home) as node:
        yield node


@pytest.fixture(scope="session")
def elasticsearch_home() -> Path:
    """Give the folder of an unpacked Elasticsearch."""
    return _find(binaries.ELASTICSEARCH)


@pytest.fixture(scope="session")
def filebeat(request: pytest.FixtureRequest) -> Path:
    """Give the path of Filebeat's binary; 7.17's where the registry has no other, which is then said."""
    path = _filebeat(request.config.getoption("--filebeat"))
    VERSIONS.append(subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout.partition(" (")[0])
    return path


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """Give the path of the Collector's binary."""
    return _find(binaries.OTELCOL)


@pytest.fixture(scope="session")
def cuts_times(filebeat: Path) -> bool:
    """Whether Filebeat gives times in milliseconds, whatever it is told: 7.17 does."""
    return "version 7." in subprocess.run([filebeat, "version"], capture_output=True, text=True, check=True).stdout


def _filebeat(version: str) -> Path:
    if version == "9":
        try:
            return _find(FILEBEATS[version], may_be_refused=True)
        except binaries.NotServedError as error:
            VERSIONS.append(str(error))
    return _find(binaries.FILEBEAT_7)


def _find(program: binaries.Program, *, may_be_refused: bool = False) -> Path:
    try:
        return binaries.find(program)
    except binaries.MissingError as error:
        if _is_strict():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    except binaries.BuildError as error:
        if may_be_refused and isinstance(error, binaries.NotServedError):
            raise
        pytest.fail(str(error), pytrace=False)


def _is_strict() -> bool:
    """Whether a missing toolchain is a failure: in CI, and where somebody says so. Nobody reads that it was skipped there."""
    values = (os.environ.get("CI", ""), os.environ.get("TRACKLINE_STACK_STRICT", ""))
    return any(value.lower() not in {"", "0", "false"} for value in values)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for row in [*VERSIONS, *table()]:
        terminalreporter.write_line(row)
