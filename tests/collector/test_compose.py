"""
compose.yaml. There is no container engine to run it on: it is held against the schema of the Compose Specification
(data/compose-spec.json, Apache-2.0, of compose-go 2.9.1), read by `docker compose` where that is, and its shell lines are run.
"""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from collector.conftest import COLLECTOR

SCHEMA = json.loads((Path(__file__).parent / "data" / "compose-spec.json").read_text())
TEXT = (COLLECTOR / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
ONCE = {"setup", "setup-kibana"}


def docker_compose():
    """Give the command, where there is one: TRACKLINE_DOCKER_COMPOSE, `docker-compose`, or `docker compose`."""
    if found := os.environ.get("TRACKLINE_DOCKER_COMPOSE") or shutil.which("docker-compose"):
        return [found]
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return None


def test_file_is_what_the_compose_specification_allows():
    errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(COMPOSE)]

    assert errors == []


def test_schema_refuses_what_compose_would():
    broken = {**COMPOSE, "services": {**SERVICES, "demo": {**SERVICES["demo"], "helthcheck": {}}}}

    assert [error for error in Draft7Validator(SCHEMA).iter_errors(broken) if "helthcheck" in error.message]


@pytest.mark.skipif(docker_compose() is None, reason="there is no docker compose here")
@pytest.mark.parametrize("profiles", [[], ["--profile", "otelcol"]])
def test_docker_compose_reads_it(profiles):
    environment = {**os.environ, "ELASTIC_PASSWORD": "secret-1", "KIBANA_PASSWORD": "secret-2"}
    command = [*docker_compose(), "--file", COLLECTOR / "compose.yaml", *profiles, "config", "--format", "json"]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)["services"]

    assert set(read) == {name for name, service in SERVICES.items() if profiles or "profiles" not in service}


def test_every_port_is_on_loopback():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_has_a_version():
    images = [service["image"] for service in SERVICES.values() if "build" not in service]

    assert all(re.search(r":\$\{\w+:-\d+\.\d+\.\d+\}$", image) for image in images)
    assert len({image for image in images if "elastic.co" in image and "9." in image}) == 3  # of one version


def test_every_variable_has_a_default_or_is_asked_for():
    variables = re.findall(r"(?<!\$)\$\{(\w+)(:[-?])?", TEXT)
    example = re.findall(r"^#? ?(\w+)=", (COLLECTOR / "env.example").read_text(), re.MULTILINE)

    assert all(operator for _, operator in variables)
    assert {name for name, _ in variables} == set(example)


def test_what_goes_on_running_has_a_health_check():
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}

    assert without == {*ONCE, "otelcol"}


def test_nothing_waits_for_what_never_ends():
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            is_once = condition["condition"] == "service_completed_successfully"
            assert is_once == (other in ONCE), (name, other)


def test_every_file_that_is_mounted_is_there():
    volumes = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]

    assert all(source in COMPOSE["volumes"] or (COLLECTOR / source).is_file() for source, *_ in volumes)
    assert {source for source, *_ in volumes} >= set(COMPOSE["volumes"])


def test_every_file_of_the_dockerfile_is_there_and_not_ignored():
    root = COLLECTOR.parent
    copied = [
        name for line in re.findall(r"^COPY (.+) \S+$", (COLLECTOR / "Dockerfile").read_text(), re.MULTILINE) for name in line.split()
    ]
    allowed = [line[1:] for line in (COLLECTOR / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]

    assert all((root / name).exists() for name in copied)
    assert all(any(name == one or name.startswith(f"{one}/") for one in allowed) for name in copied)


def test_shell_lines_are_shell():
    lines = [
        service[key][-1] for service in SERVICES.values() for key in ("command", "entrypoint") if service.get(key, [""])[0] == "sh"
    ]
    lines += [
        service["healthcheck"]["test"][1]
        for service in SERVICES.values()
        if service.get("healthcheck", {}).get("test", [""])[0] == "CMD-SHELL"
    ]

    assert len(lines) == 5
    for line in lines:
        subprocess.run(["sh", "-n", "-c", line.replace("$$", "$")], check=True)


def test_demo_that_starts_again_sets_its_logs_aside(tmp_path):
    program = tmp_path / "bin" / "trackline"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nmkdir "$4" && echo "$@" > "$4/told"\n')  # fails where the folder is there
    program.chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir()
    line = SERVICES["demo"]["command"][-1].replace("$$", "$").replace("/var/log/demo", str(logs))
    for _ in range(2):
        subprocess.run(["sh", "-c", line], check=True, env={"PATH": f"{program.parent}:{os.environ['PATH']}"})

    assert (logs / "now" / "told").read_text() == "demo --serve --dir now\n"
    assert len(list(logs.iterdir())) == 2


def test_shippers_read_where_the_demo_writes():
    volume = "logs:/var/log/demo"
    directory = SERVICES["filebeat"]["environment"]["TRACKLINE_LOG_DIR"]

    assert volume in SERVICES["demo"]["volumes"]
    assert all(f"{volume}:ro" in SERVICES[name]["volumes"] for name in ("filebeat", "otelcol"))
    assert directory == SERVICES["otelcol"]["environment"]["TRACKLINE_LOG_DIR"] == "/var/log/demo/now/logs"


@pytest.fixture
def kibana():
    """Give what answers as Kibana's import does, with its address, and what it is asked; it is not Kibana."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            server.asked.append((self.path, self.headers, email.message_from_bytes(head + body)))
            answer = json.dumps(server.answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answer = [], {"success": True, "successCount": 7}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def import_into(server, tmp_path):
    for path in (COLLECTOR / "compose_setup.py", COLLECTOR / "kibana" / "trackline.ndjson"):  # where the Dockerfile puts them
        shutil.copy(path, tmp_path)
    url = f"http://127.0.0.1:{server.server_port}"
    environment = {
        "PATH": os.environ["PATH"],
        "KIBANA_URL": url,
        "ELASTICSEARCH_USERNAME": "elastic",
        "ELASTICSEARCH_PASSWORD": "secret",
    }
    command = [sys.executable, tmp_path / "compose_setup.py", "kibana"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_import_into_kibana_is_the_form_that_it_takes(kibana, tmp_path):
    done = import_into(kibana, tmp_path)
    ((path, headers, form),) = kibana.asked
    (part,) = form.get_payload()

    assert done.returncode == 0, done.stderr
    assert path == "/api/saved_objects/_import?overwrite=true"
    assert headers["kbn-xsrf"] == "true"
    assert headers["Authorization"].startswith("Basic ")
    assert part.get_param("name", header="content-disposition") == "file"
    assert part.get_filename() == "trackline.ndjson"
    assert part.get_payload(decode=True).strip() == (COLLECTOR / "kibana" / "trackline.ndjson").read_bytes().strip()


def test_import_that_kibana_has_not_done_fails(kibana, tmp_path):
    kibana.answer = {"success": False, "errors": [{"id": "trackline-requests", "error": {"type": "conflict"}}]}
    done = import_into(kibana, tmp_path)

    assert done.returncode == 1
    assert "trackline-requests" in done.stderr
