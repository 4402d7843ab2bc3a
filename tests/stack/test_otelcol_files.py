"""collector/otelcol as it is copied: each configuration is valid, the manifests fit it, and containers' standard output arrives."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess

import pytest
import yaml

from stack.binaries import COLLECTOR
from stack.otlp import write
from stack.processes import wait_for
from stack.shippers import GATES, Otelcol

FOLDER = COLLECTOR / "otelcol"
THREE = {"ELASTICSEARCH_URL": "http://127.0.0.1:9200", "ELASTICSEARCH_API_KEY": "a2V5", "TRACKLINE_LOG_DIR": "/var/log/orders"}
OTLP = {"OTLP_ENDPOINT": "127.0.0.1:4317", "TRACKLINE_LOG_DIR": "/var/log/orders"}


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


def validate(otelcol, names, variables, *more):
    configs = [f"--config={FOLDER / name}" for name in names]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([otelcol, "validate", *configs, *more], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("names", "variables"), [(["config.yaml"], THREE), (["config.yaml", "stdout.yaml"], THREE), (["otlp.yaml"], OTLP)], ids=str
)
def test_a_configuration_is_valid_with_the_variables_that_it_names(names, variables, otelcol):
    done = validate(otelcol, names, variables, GATES)

    assert done.returncode == 0, done.stderr
    for name in variables:
        assert f"#   {name} " in (FOLDER / names[0]).read_text()


def test_without_its_gates_it_says_so_and_does_not_start(otelcol):
    done = validate(otelcol, ["config.yaml"], THREE)

    assert done.returncode != 0
    assert "--feature-gates=+extension.healthcheck.useComponentStatus" in done.stderr


def test_files_are_read_the_same_way_wherever_they_go():
    ours, theirs = load("config.yaml"), load("otlp.yaml")
    for receiver in (ours["receivers"]["file_log"], theirs["receivers"]["file_log"]):
        del receiver["operators"]

    assert ours["receivers"] == theirs["receivers"]
    assert ours["extensions"]["file_storage"] == theirs["extensions"]["file_storage"]
    assert (
        ours["exporters"]["elasticsearch"]["sending_queue"]["storage"] == theirs["exporters"]["otlp_grpc"]["sending_queue"]["storage"]
    )


def test_nothing_forgets_lines_between_the_file_and_the_queue():
    for name in ("config.yaml", "otlp.yaml"):
        pipeline = load(name)["service"]["pipelines"]["logs/files"]
        assert not [one for one in pipeline["processors"] if one.startswith(("batch", "memory_limiter"))]


def test_the_exporter_gives_nothing_up():
    exporter = load("config.yaml")["exporters"]["elasticsearch"]

    # With a time limit of 5 s the Collector has dropped what it could not send for so long; the default are 90 s.
    assert exporter["timeout"] == "0s"
    assert exporter["retry"]["max_retries"] == 2**31 - 1
    assert {401, 403, 404, 429, 500, 502, 503, 504} <= set(exporter["retry"]["retry_on_status"])
    assert load("otlp.yaml")["exporters"]["otlp_grpc"]["retry_on_failure"]["max_elapsed_time"] == "0s"


def required(name):
    """Give the variables of a configuration which have no default."""
    return set(re.findall(r"\$\{env:(\w+)\}", (FOLDER / name).read_text()))


def test_the_manifests_start_it_as_it_has_to_be():
    daemonset = list(yaml.safe_load_all((FOLDER / "kubernetes" / "daemonset.yaml").read_text()))[1]
    sidecar = load("kubernetes/sidecar.yaml")
    (one,) = daemonset["spec"]["template"]["spec"]["containers"]
    (other,) = sidecar["spec"]["template"]["spec"]["initContainers"]
    files = load("kustomization.yaml")["configMapGenerator"][0]["files"]

    for container in (one, other):
        assert GATES in container["args"]
        assert {"ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY", "HOSTNAME"} <= {variable["name"] for variable in container["env"]}
        assert {f"/etc/otelcol/{name}" for name in files} >= {arg.partition("=")[2] for arg in container["args"] if "--config" in arg}
    assert required("config.yaml") <= {variable["name"] for variable in other["env"]} | {"ELASTICSEARCH_API_KEY"}
    # Not a liveness probe: an outage of Elasticsearch would have the Collector started anew, again and again.
    assert "livenessProbe" not in one


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on the PATH")
def test_kustomize_makes_manifests_with_the_configuration_in_them():
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}

    assert made["ConfigMap"]["data"].keys() == {"config.yaml", "stdout.yaml"}
    volumes = made["DaemonSet"]["spec"]["template"]["spec"]["volumes"]
    assert made["ConfigMap"]["metadata"]["name"] in [volume.get("configMap", {}).get("name") for volume in volumes]


def test_the_unit_starts_it_as_it_has_to_be():
    unit = (FOLDER / "systemd" / "trackline-otelcol.service").read_text()
    environment = (FOLDER / "systemd" / "trackline-otelcol.env").read_text()

    assert GATES in unit
    assert "KillSignal=SIGKILL" in unit
    assert all(f"\n{name}=" in f"\n{environment}" for name in THREE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on the PATH")
def test_systemd_has_nothing_to_say_about_the_unit(otelcol, tmp_path):
    unit = tmp_path / "trackline-otelcol.service"
    unit.write_text((FOLDER / "systemd" / "trackline-otelcol.service").read_text().replace("/usr/bin/otelcol-contrib", str(otelcol)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "trackline" not in done.stderr


def envelope_of_cri(line):
    """Give a line as containerd and CRI-O write it: in pieces, where it is longer than 16 KiB."""
    pieces = [line[start : start + 16384] for start in range(0, len(line), 16384)]
    return "".join(f"2026-11-22T14:40:01.123456789Z stdout {'F' if piece is pieces[-1] else 'P'} {piece}\n" for piece in pieces)


def envelope_of_docker(line):
    return json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-11-22T14:40:01.123456789Z"}) + "\n"


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("pods/shop_orders-1_0a1b2c3d-0000-1111-2222-333344445555/orders/0.log", envelope_of_cri),
        ("docker/c0ffee/c0ffee-json.log", envelope_of_docker),
    ],
)
def test_standard_output_of_a_container_arrives_as_a_file_would(path, envelope, otelcol, tmp_path, prepared):
    lines = write(tmp_path / "written", "ecs")
    lines.append({"@timestamp": "2026-11-22T14:40:01Z", "message": "x" * 100_000, "event.id": "long-1", "service.name": "Order Desk"})
    stdout = tmp_path / "var" / "log" / path
    stdout.parent.mkdir(parents=True)
    stdout.write_text("".join(envelope(json.dumps(line, ensure_ascii=False)) for line in lines) + envelope("plain words"))
    namespace = f"t{secrets.token_hex(4)}"
    stream, deadletter = f"logs-order_desk-{namespace}", f"logs-trackline.deadletter-{namespace}"
    environment = {"TRACKLINE_NAMESPACE": namespace, "TRACKLINE_STDOUT": str(tmp_path / "var" / "log" / path.partition("/")[0] / "*")}
    if path.startswith("pods"):
        environment["TRACKLINE_STDOUT"] += "/*"
    more = ["--config", str(FOLDER / "stdout.yaml")]
    with Otelcol(otelcol, tmp_path / "nowhere", prepared.url, tmp_path / "otelcol", environment=environment, more=more) as shipper:
        wait_for(lambda: prepared.count(stream) >= len(lines) and prepared.count(deadletter), 60, shipper.log, 0.2)
    documents = {hit["_source"]["event.id"]: hit["_source"] for hit in prepared.search(stream, {"match_all": {}})}
    pod = {
        "kubernetes.namespace": "shop",
        "kubernetes.pod.name": "orders-1",
        "kubernetes.pod.uid": "0a1b2c3d-0000-1111-2222-333344445555",
        "kubernetes.container.name": "orders",
    }

    assert documents == {line["event.id"]: line | (pod if path.startswith("pods") else {}) for line in lines}
    assert [hit["_source"]["message"] for hit in prepared.search(deadletter, {"match_all": {}})] == ["plain words"]
