"""Zero code: `opentelemetry-instrument uvicorn app:app`, settings from the environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

import trackline
from ports import free_port
from trackline import RateLimit, Redaction, Sampling
from trackline.environment import CLIENTS, INSTALL, LOGGING, VARIABLES, from_env
from trackline.otel.instrumentor import TracklineInstrumentor

BIN = Path(sys.executable).parent
APPLICATION = """
import logging
from fastapi import FastAPI

app = FastAPI()

@app.get("/ok")
async def ok():
    logging.getLogger("app").info("in the endpoint")
    return {}
"""


@pytest.fixture
def instrumented():
    made = []

    def instrument():
        instrumentor = TracklineInstrumentor()
        instrumentor.instrument(skip_dep_check=True)
        made.append(instrumentor)

    yield instrument
    for instrumentor in made:
        instrumentor.uninstrument()


@pytest.fixture
def serve(tmp_path):
    """Run a command as a server on a free port, in a directory with the application; end it afterwards."""
    processes = []

    def start(*command, **environment):
        (tmp_path / "main.py").write_text(APPLICATION, "utf-8")
        port = free_port()
        arguments = [part.replace("PORT", str(port)) for part in command]
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OTEL_TRACES_EXPORTER": "none", **environment}
        environment |= {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=output, stderr=output)
        processes.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process, f"http://127.0.0.1:{port}"
            time.sleep(0.05)
        pytest.fail((tmp_path / "output").read_text("utf-8"))

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.mark.parametrize(
    "server",
    [
        ("uvicorn", "main:app", "--port", "PORT"),
        ("uvicorn", "main:app", "--port", "PORT", "--workers", "2"),
        ("gunicorn", "main:app", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "--bind", "127.0.0.1:PORT"),
    ],
    ids=["uvicorn", "uvicorn --workers", "gunicorn"],
)
def test_no_line_is_changed_and_all_is_there(serve, server, tmp_path):
    process, url = serve("opentelemetry-instrument", *server, TRACKLINE_LOGS="true", OTEL_SERVICE_NAME="orders")
    answers = [httpx.get(f"{url}/ok", headers={"X-Request-ID": f"id-{number}"}, timeout=30) for number in range(10)]
    answers.append(httpx.get(f"{url}/ok", timeout=30))
    process.send_signal(signal.SIGTERM)
    process.wait(20)

    assert [answer.headers.get_list("X-Request-ID") for answer in answers[:10]] == [[f"id-{number}"] for number in range(10)]
    files = list((tmp_path / "logs").glob("orders*.log"))
    lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    said = {line["tracking_id"]: line for line in lines if line["message"] == "in the endpoint"}
    assert set(said) == {answer.headers["X-Request-ID"] for answer in answers}
    assert all(line["span.id"] for line in said.values())  # the SDK's span is current
    assert said[answers[-1].headers["X-Request-ID"]]["trace.id"] == answers[-1].headers["X-Request-ID"]


def test_propagator_and_generator_are_found_by_name(serve, tmp_path):
    names = {"OTEL_PROPAGATORS": "trackline,baggage", "OTEL_PYTHON_ID_GENERATOR": "trackline"}
    command = ("opentelemetry-instrument", "uvicorn", "main:app", "--port", "PORT")
    process, url = serve(*command, TRACKLINE_LOGS="true", **names)
    httpx.get(f"{url}/ok", headers={"X-Request-ID": "order-1742"}, timeout=30)
    process.send_signal(signal.SIGTERM)
    process.wait(20)

    lines = [json.loads(line) for line in (tmp_path / "logs" / "app.log").read_text("utf-8").splitlines()]
    [line] = [line for line in lines if line["message"] == "in the endpoint"]
    assert line["trace.id"] == trackline.identity.derive_trace_id("order-1742")


def test_a_wrong_setting_is_said_and_does_not_end_opentelemetry(serve, tmp_path):
    _, url = serve("opentelemetry-instrument", "uvicorn", "main:app", "--port", "PORT", TRACKLINE_TRUST="10.0.0.0/99")

    assert httpx.get(f"{url}/ok", timeout=30).status_code == 200
    assert "10.0.0.0/99" in (tmp_path / "output").read_text("utf-8")


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
async def test_applications_made_afterwards_are_tracked(instrumented, kind, client_of):
    instrumented()

    async with client_of(kind()) as client:
        assert "X-Request-ID" in (await client.get("/")).headers


async def test_what_the_application_says_itself_wins(instrumented, client_of, monkeypatch):
    monkeypatch.setenv("TRACKLINE_RESPONSE_HEADERS", "X-From-Environment")
    monkeypatch.setenv("TRACKLINE_TRUST", "none")
    instrumented()
    app = FastAPI()
    trackline.install(app, response_headers=["X-Mine"], trust="all")

    async with client_of(app) as client:
        answer = await client.get("/", headers={"X-Request-ID": "abc"})

    assert answer.headers["X-Mine"] == "abc"
    assert "X-From-Environment" not in answer.headers
    assert "X-From-Environment" not in repr(app.openapi())


async def test_uninstrumented_is_as_before(instrumented, client_of):
    before = FastAPI.__init__, Starlette.__init__, httpx.Client.send
    instrumented()
    TracklineInstrumentor().uninstrument()

    assert before == (FastAPI.__init__, Starlette.__init__, httpx.Client.send)


def test_every_variable_is_in_the_documentations_table_and_the_other_way_round():
    page = (Path(__file__).parents[2] / "docs" / "opentelemetry.md").read_text("utf-8")
    documented = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `TRACKLINE_")]

    expected = [(variable.name, variable.shape) for variable in VARIABLES]
    assert [(name.strip(" `"), shape.strip()) for name, shape, _ in documented] == expected


@pytest.mark.parametrize("of", [INSTALL, LOGGING, CLIENTS])
def test_nothing_set_gives_no_option(of):
    assert from_env(of, {}) == {}
    assert from_env(of, {variable.name: " " for variable in VARIABLES}) == {}


@pytest.mark.parametrize(
    ("variable", "text", "of", "expected"),
    [
        ("TRACKLINE_ID_HEADERS", "X-Request-ID, X-Correlation-ID", INSTALL, {"id_headers": ["X-Request-ID", "X-Correlation-ID"]}),
        ("TRACKLINE_TRUST", "none", INSTALL, {"trust": "none"}),
        ("TRACKLINE_TRUST", "10.0.0.0/8", INSTALL, {"trust": ["10.0.0.0/8"]}),
        ("TRACKLINE_OPENAPI", "off", INSTALL, {"openapi": False}),
        ("TRACKLINE_LOGS", "1", LOGGING, {"enabled": True}),
        ("TRACKLINE_LOG_RETENTION_DAYS", "30", LOGGING, {"retention_days": 30}),
        ("TRACKLINE_LOG_RETENTION_BYTES", "none", LOGGING, {"retention_bytes": None}),
        ("TRACKLINE_LOG_RETENTION_FILES", "20", LOGGING, {"retention_files": 20}),
        ("TRACKLINE_LOG_ROTATE", "15m", LOGGING, {"rotate": "15m"}),
        ("TRACKLINE_LOG_ROTATE", "none", LOGGING, {"rotate": None}),
        ("TRACKLINE_LOG_ROTATE_ZONE", "Europe/Berlin", LOGGING, {"rotate_zone": "Europe/Berlin"}),
        ("TRACKLINE_LOG_MAX_FILE_BYTES", "1000000", LOGGING, {"max_file_bytes": 1_000_000}),
        ("TRACKLINE_LOG_COMPRESS", "gzip", LOGGING, {"compress": "gzip"}),
        ("TRACKLINE_LOG_COMPRESS_AFTER", "0.5", LOGGING, {"compress_after": 0.5}),
        ("TRACKLINE_LOG_FILE_MODE", "0640", LOGGING, {"file_mode": 0o640}),
        ("TRACKLINE_LOG_REDACT", "off", LOGGING, {"redact": False}),
        ("TRACKLINE_LOG_REDACT", "iban, tax_no", LOGGING, {"redact": Redaction(keys=["iban", "tax_no"])}),
        ("TRACKLINE_LOG_TRACEBACK_FRAMES", "20", LOGGING, {"traceback_frames": 20}),
        ("TRACKLINE_LOG_SAMPLING", "10, 100, 0.5", LOGGING, {"sampling": Sampling(10, 100, 0.5)}),
        ("TRACKLINE_LOG_RATE_LIMIT", "10, 1, logger", LOGGING, {"rate_limit": RateLimit(10, by="logger")}),
        ("TRACKLINE_TARGETS", "*.example.com", CLIENTS, {"targets": ["*.example.com"]}),
    ],
)
def test_variables_are_read(variable, text, of, expected):
    assert from_env(of, {variable: text}) == expected


def test_excluded_paths_are_patterns():
    exclude = from_env(INSTALL, {"TRACKLINE_EXCLUDE": "/health, /static/*"})["exclude"]

    assert [exclude({"path": path}) for path in ("/health", "/static/a", "/healthy", "/")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("variable", "of"),
    [
        ("TRACKLINE_OPENAPI", INSTALL),
        ("TRACKLINE_LOG_RETENTION_DAYS", LOGGING),
        ("TRACKLINE_LOG_SAMPLING", LOGGING),
        ("TRACKLINE_LOG_RATE_LIMIT", LOGGING),
    ],
)
def test_wrong_text_says_variable_text_and_what_is_allowed(variable, of):
    with pytest.raises(ValueError, match=rf"{variable}='perhaps': expected "):
        from_env(of, {variable: "perhaps"})
