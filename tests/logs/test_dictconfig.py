"""Set-up by dictConfig, from code and from files: the same lines as `setup_logging` gives, and back again."""

import json
import logging
import logging.config
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import trackline
from logs.reading import ENVIRONMENT, action, messages, read
from trackline.logs.process import current

DOCS = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8")

BASE = {"version": 1, "disable_existing_loggers": False}


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Put back what dictConfig changes: it takes pytest's own handlers from the root logger."""
    root = logging.getLogger()
    handlers, level, known = list(root.handlers), root.level, dict(logging._handlers)
    yield
    if (handle := current()) is not None:
        handle.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging._handlers.update(known)


def test_complete_configuration_gives_the_lines_of_setup_logging(tmp_path):
    logging.config.dictConfig(trackline.dict_config("orders", log_dir=tmp_path, console=False, level="DEBUG"))
    with trackline.use_tracking_id("order-1"):
        logging.getLogger("app").debug("paid")
    current().close()
    line = read(tmp_path / "orders.log")[1]

    assert (line["message"], line["log.level"], line["tracking_id"]) == ("paid", "debug", "order-1")
    assert messages(tmp_path / "orders.log") == ["paid"]


def test_configuration_is_of_plain_values(tmp_path):
    made = trackline.dict_config("orders", log_dir=tmp_path, retention_days=3)

    assert json.loads(json.dumps(made)) == made
    assert made["handlers"]["trackline"] == {
        "()": "trackline.log_handler",
        "service_name": "orders",
        "log_dir": str(tmp_path),
        "retention_days": 3,
    }


def test_configuration_has_the_environments_options_where_it_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKLINE_LOG_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKLINE_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("TRACKLINE_LOG_CONSOLE", "false")
    logging.config.dictConfig(trackline.dict_config("orders"))
    logging.getLogger("app").debug("paid")
    current().close()

    assert messages(tmp_path / "orders.log") == ["paid"]
    assert trackline.dict_config("orders", level=0)["root"]["level"] == 0


def test_option_that_there_is_not_is_refused_at_once():
    with pytest.raises(TypeError, match="colour"):
        trackline.dict_config("orders", colour=True)


def test_wrong_value_is_refused_by_dictconfig(tmp_path):
    with pytest.raises(ValueError, match="trackline") as raised:
        logging.config.dictConfig(trackline.dict_config("orders", log_dir=tmp_path, schema="xml"))

    assert "schema='xml': expected" in str(raised.value.__cause__)


def test_handler_goes_where_the_configuration_puts_it_and_nowhere_else(tmp_path):
    handler = {"()": "trackline.log_handler", "service_name": "orders", "log_dir": str(tmp_path), "console": False}
    audit = {"handlers": ["log"], "level": "INFO"}
    logging.config.dictConfig({**BASE, "handlers": {"log": handler}, "loggers": {"audit": audit}})
    logging.getLogger("audit").info("one")
    logging.getLogger("app").error("two")
    current().close()

    assert messages(tmp_path / "orders.log") == ["one"]
    assert logging.getLogger("audit").handlers == []


def test_servers_loggers_are_left_alone_where_the_handler_is_not_on_the_root_logger(tmp_path):
    stream = logging.StreamHandler()
    server = logging.getLogger("hypercorn.error")
    server.addHandler(stream)
    try:
        trackline.log_handler("orders", log_dir=tmp_path, console=False)
        server.debug("one")
        assert server.handlers == [stream]
        logging.config.dictConfig(trackline.dict_config("orders", log_dir=tmp_path, console=False))
        server.addHandler(stream)
        server.info("two")
        assert server.handlers == []
    finally:
        server.removeHandler(stream)


def test_configured_twice_is_configured_once(tmp_path):
    for _ in range(2):
        logging.config.dictConfig(trackline.dict_config("orders", log_dir=tmp_path, console=False))
    logging.getLogger("app").info("one")
    current().close()

    assert [action(line) for line in read(tmp_path / "orders.log")] == ["log-open", None, "log-close"]


def test_setup_logging_afterwards_does_not_double_the_lines(tmp_path):
    logging.config.dictConfig(trackline.dict_config("orders", log_dir=tmp_path, console=False))
    with trackline.setup_logging("orders", log_dir=tmp_path, console=False, level="DEBUG"):
        logging.getLogger("app").debug("one")

    assert messages(tmp_path / "orders.log") == ["one"]


def test_formatter_by_name_makes_the_lines_for_a_handler_of_others(tmp_path):
    formatter = {"()": "trackline.JSONFormatter", "schema": "ecs", "service_name": "orders"}
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "own.log"), "formatter": "json", "filters": ["id"]}
    logging.config.dictConfig(
        {
            **BASE,
            "formatters": {"json": formatter},
            "filters": {"id": {"()": "trackline.TrackingIDFilter"}},
            "handlers": {"own": handler},
            "root": {"handlers": ["own"], "level": "INFO"},
        }
    )
    logging.getLogger("app").info("one")
    logging.shutdown()

    assert [line["message"] for line in read(tmp_path / "own.log")] == ["one"]


APP = """
import logging
import trackline

async def app(scope, receive, send):
    if scope["type"] == "http":
        logging.getLogger("app").info("paid")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"paid"})

app = trackline.TrackingMiddleware(app)
"""


def block(language):
    [found] = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    return found


def test_configuration_in_the_documentation_is_the_one_that_we_give():
    assert json.loads(block("json")) == trackline.dict_config("orders")


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_uvicorn_logs_by_the_configuration_in_the_documentation(kind, tmp_path):
    import httpx

    (tmp_path / "main.py").write_text(APP)
    (tmp_path / f"log.{kind}").write_text(block(kind))
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", "0", "--log-config", f"log.{kind}"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = iter(process.stdout.readline, "")
        url = next(found[0] for line in first if (found := re.findall(r"http://127\.0\.0\.1:\d+", line)))
        assert httpx.get(url, headers={"X-Request-ID": "order-1"}, timeout=30).text == "paid"
    finally:
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)

    lines = [line for line in read(tmp_path / "logs" / "orders.log") if action(line) is None]
    assert err == ""
    assert next(line["message"] for line in lines if line.get("tracking_id") == "order-1") == "paid"
    assert {"Started server process", "Finished server process"} <= {line["message"].partition(" [")[0] for line in lines}
    assert len([line for line in lines if line.get("url.path") == "/"]) == 1
    assert all(json.loads(line) for line in out.splitlines())
