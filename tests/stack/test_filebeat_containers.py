"""
Containers' standard output by way of Filebeat: files as Docker and containerd write them, from what Trackline writes to a console.

There is no container engine here, and no Kubernetes: the files are made by hand; the inputs are those of docker.yml and kubernetes.yml.
"""

import json
import os
import subprocess
import sys

import pytest
import yaml

from stack.binaries import COLLECTOR
from stack.shippers import Filebeat
from stack.shipping import leaves, wait_until_stored

FILEBEAT = COLLECTOR / "filebeat"
PART = 16 * 1024  # of a line, after which Docker and containerd cut
TIME = "2026-11-22T14:40:01.{:09}Z"
WRITE = """if True:
    import logging, trackline
    handle = trackline.setup_logging("till", file=False)
    log = logging.getLogger("app")
    print("no JSON, of somebody else", flush=True)
    with trackline.use_tracking_id("order-1742"):
        for number in range(20):
            log.info("line %d", number)
        log.info("long " + "x" * 100_000)
    assert handle.close(30) == 0
"""


@pytest.fixture(scope="module")
def output():
    """Give the lines that a container would write."""
    done = subprocess.run([sys.executable, "-c", WRITE], capture_output=True, check=True, text=True)
    return done.stdout.splitlines()


def as_docker(lines):
    """Give the content of a file of Docker's driver json-file."""
    number = 0
    for line in lines:
        text = f"{line}\n"
        for part in (text[begin : begin + PART] for begin in range(0, len(text), PART)):
            number += 1
            yield json.dumps({"log": part, "stream": "stdout", "time": TIME.format(number)}, separators=(",", ":")) + "\n"


def as_cri(lines):
    """Give the content of a file of containerd, or another runtime of Kubernetes."""
    number = 0
    for line in lines:
        parts = [line[begin : begin + PART] for begin in range(0, len(line), PART)]
        for part in parts:
            number += 1
            yield f"{TIME.format(number)} stdout {'F' if part is parts[-1] else 'P'} {part}\n"


class WithConfig(Filebeat):
    """Filebeat with another file of collector/filebeat, or one that a test has made."""

    def __init__(self, config, *arguments, **options):
        self.config = str(config)
        super().__init__(*arguments, **options)


def assert_same(documents, output, **more):
    lines = [json.loads(line) for line in output if line.startswith("{")]
    stored = {document["_id"]: leaves(document) for document in documents if ".deadletter" not in document["_index"]}
    dead = [document for document in documents if ".deadletter" in document["_index"]]
    assert stored.keys() == {line["event.id"] for line in lines}
    for line in lines:
        wanted = {name: value for name, value in leaves(line).items() if name != "@timestamp"} | {"stream": "stdout"} | more
        assert {name: stored[line["event.id"]].get(name) for name in wanted} == wanted
    assert [document["message"] for document in dead] == ["no JSON, of somebody else"]


def test_dockers_files_are_read_with_those_that_it_has_renamed(filebeat, prepared, tmp_path, output):
    content, container = list(as_docker(output)), tmp_path / "containers" / ("c" * 64)
    container.mkdir(parents=True)
    half = len(content) // 2
    (container / f"{container.name}-json.log.1").write_text("".join(content[:half]))
    (container / f"{container.name}-json.log").write_text("".join(content[half:]))
    environment = {"TRACKLINE_NAMESPACE": "docker", "DOCKER_CONTAINERS": str(container.parent)}
    with WithConfig("docker.yml", filebeat, tmp_path, prepared.url, tmp_path / "filebeat", environment=environment) as shipper:
        documents = wait_until_stored(prepared, "logs-*-docker", len(output), shipper)

    assert_same(documents, output, **{"container.id": container.name})


def test_a_pods_files_are_read_with_those_that_kubelet_has_renamed(filebeat, prepared, tmp_path, output):
    content, pod = list(as_cri(output)), tmp_path / "pods" / "shop_till-1_uid-1" / "till"
    pod.mkdir(parents=True)
    half = len(content) // 2
    (pod / "0.log.20261122-144001").write_text("".join(content[:half]))
    (pod / "0.log").write_text("".join(content[half:]))
    # The input is the template's, as autodiscover would start it for this pod.
    config = yaml.safe_load((FILEBEAT / "kubernetes.yml").read_text())
    [template] = config.pop("filebeat.autodiscover")["providers"][0]["templates"]
    [found] = template["config"]
    names = {"container.id": "c1", "container.name": "till", "namespace": "shop", "pod.name": "till-1", "pod.uid": "uid-1"}
    text = json.dumps({**config, "filebeat.inputs": [found]}).replace("/var/log/pods", str(pod.parents[1]))
    for name, value in names.items():
        text = text.replace(f"${{data.kubernetes.{name}}}", value)
    assert "${data" not in text
    (tmp_path / "pod.yml").write_text(text)
    environment = {"TRACKLINE_NAMESPACE": "pods", "NODE_NAME": "node-1"}
    with WithConfig(tmp_path / "pod.yml", filebeat, tmp_path, prepared.url, tmp_path / "filebeat", environment=environment) as shipper:
        documents = wait_until_stored(prepared, "logs-*-pods", len(output), shipper)

    assert_same(documents, output, **{"host.name": "node-1"})


@pytest.mark.parametrize("name", ["filebeat.yml", "docker.yml", "kubernetes.yml"])
def test_filebeat_takes_the_configuration(filebeat, tmp_path, name):
    environment = {"ELASTICSEARCH_URL": "http://127.0.0.1:9200", "TRACKLINE_LOG_DIR": str(tmp_path), "NODE_NAME": "node-1"}
    paths = ["--path.config", FILEBEAT, "--path.data", tmp_path, "--path.logs", tmp_path, "--strict.perms=false"]
    command = [filebeat, "test", "config", "-c", name, *paths]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "Config OK", done.stderr


@pytest.mark.parametrize("name", ["docker.yml", "kubernetes.yml"])
def test_what_follows_on_the_inputs_is_the_same_in_all(name):
    text, of_files = ((FILEBEAT / one).read_text().partition("\nprocessors:\n")[2] for one in (name, "filebeat.yml"))

    assert text == of_files
