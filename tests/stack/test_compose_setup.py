"""What compose.yaml does once before the rest starts, done to a real Elasticsearch with security."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import trackline
from collector.test_compose import SERVICES
from stack.binaries import COLLECTOR
from stack.processes import wait_for
from stack.shippers import Otelcol


@pytest.fixture
def set_up(secured_elasticsearch, tmp_path):
    """Give what runs it, and gives what it says."""
    node = secured_elasticsearch
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ELASTICSEARCH_URL": node.url,
        "ELASTICSEARCH_USERNAME": node.user,
        "ELASTICSEARCH_PASSWORD": node.password,
        "ELASTICSEARCH_CA": str(node.ca),
        "SSL_CERT_FILE": str(node.ca),
        "KIBANA_PASSWORD": "kibana-secret",
        "KEYS": str(tmp_path),
    }

    def run():
        command = [sys.executable, COLLECTOR / "compose_setup.py", "elasticsearch"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_kibana_gets_its_password(set_up, secured_elasticsearch):
    set_up()
    answer = httpx.get(
        f"{secured_elasticsearch.url}/_security/_authenticate",
        auth=("kibana_system", "kibana-secret"),
        verify=ssl.create_default_context(cafile=str(secured_elasticsearch.ca)),
    )

    assert answer.json()["username"] == "kibana_system"


def test_key_can_append_and_nothing_else(set_up, secured_elasticsearch, tmp_path):
    set_up()
    headers = {"Authorization": f"ApiKey {(tmp_path / 'encoded').read_text()}"}
    trusted = ssl.create_default_context(cafile=str(secured_elasticsearch.ca))
    with httpx.Client(base_url=secured_elasticsearch.url, headers=headers, verify=trusted) as client:
        written = client.post(
            "/logs-composed-default/_doc?refresh=true", json={"@timestamp": "2026-11-26T20:00:00Z", "tracking_id": "a"}
        )
        read = client.get("/logs-composed-default/_search")

    assert written.status_code == 201, written.text
    assert read.status_code == 403


def test_collector_takes_the_key_from_its_file(set_up, secured_elasticsearch, otelcol, tmp_path):
    """Its image has no shell to read it with; compose.yaml sets it so."""
    set_up()
    words = [word for word in SERVICES["otelcol"]["command"] if word.startswith("--set=")]
    more = [word.replace("$$", "$").replace("/keys/encoded", str(tmp_path / "encoded")) for word in words]
    logs = tmp_path / "logs"
    with trackline.setup_logging("composed_key", log_dir=logs, console=False):
        logging.getLogger("app").info("paid")
    lines = (logs / "composed_key.log").read_bytes().count(b"\n")
    environment = {"ELASTICSEARCH_CA": str(secured_elasticsearch.ca)}
    with Otelcol(otelcol, logs, secured_elasticsearch.url, tmp_path / "shipper", more=more, environment=environment) as shipper:
        wait_for(lambda: secured_elasticsearch.count("logs-composed_key-default") == lines, 60, shipper.log)


def test_second_time_keeps_the_key_that_is_good_and_replaces_one_that_is_not(set_up, tmp_path):
    encoded = tmp_path / "encoded"
    set_up()
    first = encoded.read_text()
    assert "the API key that is there is good" in set_up()
    assert encoded.read_text() == first

    encoded.write_text("bm9uZTpub25l")
    set_up()
    assert encoded.read_text() not in {first, "bm9uZTpub25l"}
