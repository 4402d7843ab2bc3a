"""Filebeat and an Elasticsearch with TLS and users: a key that can append is enough; wrong ones are said, and cost no line."""

import json
import os
import secrets
import subprocess
import sys

import pytest

from stack.processes import Program
from stack.shippers import Filebeat
from stack.shipping import lines_in, wait_until_stored

WRITE = """if True:
    import logging, sys, trackline
    handle = trackline.setup_logging("vault", log_dir=sys.argv[1], console=False)
    for number in range(50):
        logging.getLogger("app").info("line %d", number)
    assert handle.close(30) == 0
"""


@pytest.fixture(scope="module")
def key(secured_elasticsearch):
    """Prepare the node and make a key, as an operator does."""
    node = secured_elasticsearch
    asks = {"ELASTICSEARCH_URL": node.url, "ELASTICSEARCH_CA": str(node.ca), "ELASTICSEARCH_USERNAME": node.user}
    environment = {**os.environ, **asks, "ELASTICSEARCH_PASSWORD": node.password}
    environment.pop("ELASTICSEARCH_API_KEY", None)
    trackline = [sys.executable, "-m", "trackline", "elastic"]
    applied = subprocess.run([*trackline, "apply", "--yes"], env=environment, capture_output=True, text=True, check=False)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    made = subprocess.run([*trackline, "key", "web-1", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["encoded"]


@pytest.fixture
def logs(tmp_path):
    subprocess.run([sys.executable, "-c", WRITE, tmp_path / "logs"], check=True)
    return tmp_path / "logs"


@pytest.fixture
def filebeat_with(filebeat, secured_elasticsearch, logs, tmp_path):
    """Give a Filebeat with a namespace of its own, a key and a CA."""
    namespace = secrets.token_hex(4)

    def make(key, ca=secured_elasticsearch.ca):
        environment = {"TRACKLINE_NAMESPACE": namespace, "ELASTICSEARCH_CA": str(ca)}
        environment |= {"ELASTICSEARCH_API_KEY": key} if key else {}
        return Filebeat(filebeat, logs, secured_elasticsearch.url, tmp_path / "filebeat", environment=environment)

    make.index = f"logs-*-{namespace}"
    return make


def assert_all_are_stored(node, index, logs, shipper):
    lines = list(lines_in(logs))
    documents = wait_until_stored(node, index, len(lines), shipper)
    assert {document["event.id"] for document in documents} == {line["event.id"] for line in lines}
    assert len(documents) == len(lines)


def test_a_key_that_can_append_is_enough(filebeat_with, key, secured_elasticsearch, logs):
    with filebeat_with(key) as shipper:
        assert_all_are_stored(secured_elasticsearch, filebeat_with.index, logs, shipper)
    authorization = {"Authorization": f"ApiKey {key}"}
    for method, path in (("GET", f"/{filebeat_with.index}/_search"), ("DELETE", f"/{filebeat_with.index}"), ("PUT", "/other/_doc/1")):
        answer = secured_elasticsearch.http.request(
            method, path, headers=authorization, json={} if method == "PUT" else None, auth=None
        )
        assert answer.status_code in {401, 403}, f"{method} {path}"


def test_the_key_may_be_in_filebeats_keystore(filebeat_with, key, secured_elasticsearch, logs):
    shipper = filebeat_with(None)
    program, *arguments = shipper.command
    for action in (["create"], ["add", "ELASTICSEARCH_API_KEY", "--stdin"]):
        command = [program, "keystore", *action, *arguments[2:]]
        done = subprocess.run(command, env=shipper.environment, input=key, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with shipper:
        assert_all_are_stored(secured_elasticsearch, filebeat_with.index, logs, shipper)


def test_a_wrong_key_is_said_and_loses_nothing(filebeat_with, key, secured_elasticsearch, logs):
    with filebeat_with("d3Jvbmc6d3Jvbmc=") as shipper:
        shipper.wait_until_it_says("401 Unauthorized")
        shipper.stop()
    with filebeat_with(key) as shipper:
        assert_all_are_stored(secured_elasticsearch, filebeat_with.index, logs, shipper)


def test_a_wrong_ca_is_said_and_loses_nothing(filebeat_with, key, secured_elasticsearch, logs, tmp_path):
    wrong = tmp_path / "wrong.crt"
    name = ["-days", "30", "-keyout", str(tmp_path / "wrong.key"), "-out", str(wrong), "-subj", "/CN=somebody else"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name], check=True, capture_output=True)
    with filebeat_with(key, wrong) as shipper:
        shipper.wait_until_it_says("x509: certificate signed by unknown authority")
        shipper.stop()
    with filebeat_with(key) as shipper:
        assert_all_are_stored(secured_elasticsearch, filebeat_with.index, logs, shipper)


def test_a_ca_that_is_not_there_ends_it_at_once(filebeat_with, key):
    shipper: Program = filebeat_with(key, "/no/such/ca.crt")
    with shipper:
        assert shipper.process.wait(30) == 1
        assert "open /no/such/ca.crt: no such file or directory" in shipper.log()
