"""The Collector and an Elasticsearch with TLS and API keys: what a wrong one says, and that it costs nothing."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys

import httpx
import pytest

from stack.binaries import COLLECTOR
from stack.documents import write
from stack.processes import wait_for
from stack.shippers import Otelcol

WRITER = json.loads((COLLECTOR / "elasticsearch" / "role-writer.json").read_text())


@pytest.fixture(scope="module")
def node(secured_elasticsearch):
    """Give the node with the templates."""
    environment = os.environ | {"ELASTICSEARCH_API_KEY": secured_elasticsearch.api_key("admin")["encoded"]}
    command = [
        sys.executable,
        "-m",
        "trackline",
        "elastic",
        "apply",
        "--url",
        secured_elasticsearch.url,
        "--ca",
        secured_elasticsearch.ca,
    ]
    done = subprocess.run([*command, "--yes"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return secured_elasticsearch


@pytest.fixture
def stream():
    """Give the name of a data stream, whose namespace is this test's own."""
    return f"logs-secured-t{secrets.token_hex(4)}"


@pytest.fixture
def run(otelcol, node, tmp_path, stream):
    """Start the Collector with a key and a certificate, on some lines and on the state that the last one has left."""
    write(tmp_path / "logs", "secured", "order-1742")

    def run(key, ca, *more):
        environment = {"ELASTICSEARCH_API_KEY": key, "ELASTICSEARCH_CA": str(ca), "TRACKLINE_NAMESPACE": stream.rpartition("-")[2]}
        return Otelcol(otelcol, tmp_path / "logs", node.url, tmp_path / "otelcol", environment=environment, more=more)

    return run


def writer(node, **rights):
    return node.api_key(f"writer-{secrets.token_hex(4)}", {"writer": {**WRITER, **rights}})["encoded"]


def stored(node, stream, tmp_path, shipper):
    """Wait for the lines, and give how often each is stored."""
    expected = sum(len(path.read_bytes().splitlines()) for path in (tmp_path / "logs").glob("*.log"))
    wait_for(lambda: node.count(stream) >= expected, 60, shipper.log, 0.2)
    return node.count(stream) / expected


def complaint(shipper):
    """Wait until the health endpoint says that something is wrong, and give what it says."""

    def ask():
        shipper.fail_if_ended()
        try:
            answer = httpx.get(f"http://{shipper.environment['OTELCOL_HEALTH']}/", trust_env=False)
        except httpx.TransportError:
            return None
        return answer.json().get("error") if answer.status_code == 500 else None

    return wait_for(ask, 60, shipper.log, 0.2)


def test_a_key_that_may_only_append_is_enough(node, run, stream, tmp_path):
    with run(writer(node), node.ca) as shipper:
        assert stored(node, stream, tmp_path, shipper) == 1


def test_a_wrong_key_is_named_as_such_and_loses_nothing(node, run, stream, tmp_path):
    with run("d3Jvbmc6d3Jvbmc=", node.ca) as shipper:
        assert "401 Unauthorized" in complaint(shipper)
        assert node.count(stream) == 0
    with run(writer(node), node.ca) as shipper:
        assert stored(node, stream, tmp_path, shipper) == 1


def test_a_certificate_of_another_authority_is_named_as_such_and_loses_nothing(node, run, stream, tmp_path):
    with run(writer(node), "") as shipper:  # the system's
        assert "certificate signed by unknown authority" in complaint(shipper)
        assert node.count(stream) == 0
    with run(writer(node), node.ca) as shipper:
        assert stored(node, stream, tmp_path, shipper) == 1


def test_a_key_without_the_right_loses_nothing(node, run, stream, tmp_path):
    other = writer(node, indices=[{"names": ["logs-other-*"], "privileges": ["auto_configure", "create_doc"]}])
    with run(other, node.ca, "--set=service::telemetry::logs::level=debug") as shipper:
        shipper.wait_until_it_says("Request roundtrip completed.")
        assert node.count(stream) == 0
    with run(writer(node), node.ca) as shipper:
        assert stored(node, stream, tmp_path, shipper) == 1


def test_the_unit_says_in_the_journal_what_elasticsearch_says_to_the_key(node):
    unit = (COLLECTOR / "otelcol" / "systemd" / "trackline-otelcol.service").read_text()
    (command,) = [line.partition("=-")[2] for line in unit.splitlines() if line.startswith("ExecStartPre=-")]
    environment = os.environ | {"ELASTICSEARCH_URL": node.url, "ELASTICSEARCH_CA": str(node.ca), "no_proxy": "127.0.0.1"}

    def said(**more):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment | more)
        return done.stdout + done.stderr

    assert "unable to authenticate" in said(ELASTICSEARCH_API_KEY="d3Jvbmc6d3Jvbmc=")
    assert "certificate" in said(ELASTICSEARCH_API_KEY=writer(node), ELASTICSEARCH_CA="")
    assert '"authentication_type":"api_key"' in said(ELASTICSEARCH_API_KEY=writer(node))
