"""gunicorn's ``logger_class``: master and workers, from the first line to the last, and what its own settings ask for."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

APP = """
import logging

def app(environ, start_response):
    logging.getLogger("app").info("paid %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"paid"]
"""
LOGGER = "--logger-class=trackline.integrations.gunicorn.Logger"
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACKLINE_"))}


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answer
    return answer


@contextmanager
def gunicorn(directory, *arguments, config="", **environment):
    """Run gunicorn with two workers that have started, and give it with its address; end it as an operator does."""
    (directory / "main.py").write_text(APP)
    (directory / "gunicorn.conf.py").write_text(config)
    command = [sys.executable, "-m", "gunicorn", "main:app", "-w", "2", "--bind", "127.0.0.1:0", "--no-control-socket"]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, LOGGER, *arguments],
            cwd=directory,
            env={**INHERITED, "TRACKLINE_LOG_CONSOLE": "false", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        listening = wait_for(lambda: [line for line in lines(directory) if "Listening at" in line["message"]])
        wait_for(lambda: len(said(directory, "Booting worker")) == 2)
        yield process, re.findall(r"http://[\d.:]+", listening[0]["message"])[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def lines(directory):
    found = [line for path in sorted(directory.glob("logs/*.log*")) for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line) for line in found if line.endswith(b"\n")]


def said(directory, message):
    return [line for line in lines(directory) if message in line["message"]]


def test_master_and_workers_write_all_of_their_lines_to_a_file_each(tmp_path):
    with gunicorn(tmp_path, "--name", "orders", "--access-logfile", "-") as (process, url):
        assert httpx.get(f"{url}/pay?a=1", headers={"User-Agent": "till/1"}, timeout=30).text == "paid"

    assert {path.name.partition("-")[0].partition(".")[0] for path in tmp_path.glob("logs/*.log")} == {"orders"}
    assert [line["process.pid"] for line in said(tmp_path, "Listening at")] == [process.pid]
    assert said(tmp_path, "Shutting down: Master") != []
    assert len({line["process.pid"] for line in said(tmp_path, "Worker exiting")}) == 2
    [access] = [line for line in lines(tmp_path) if line["log.logger"] == "gunicorn.access"]
    assert (access["http.request.method"], access["url.path"], access["url.query"]) == ("GET", "/pay", "a=1")
    assert (access["http.response.status_code"], access["http.response.body.bytes"]) == (200, 4)
    assert (access["user_agent.original"], access["client.address"]) == ("till/1", "127.0.0.1")
    assert access["event.duration"] > 0
    assert (tmp_path / "output").read_text() == ""


def test_files_that_were_moved_are_opened_anew_by_usr1(tmp_path):
    with gunicorn(tmp_path, "--name", "orders", "--log-file", "own.txt") as (process, url):
        httpx.get(f"{url}/one", timeout=30)
        before = sorted(tmp_path.glob("logs/*.log"))
        for path in before:
            path.rename(path.with_name(path.name + ".1"))
        (tmp_path / "own.txt").rename(tmp_path / "own.txt.1")
        process.send_signal(signal.SIGUSR1)
        wait_for((tmp_path / "own.txt").exists)
        wait_for(lambda: all(path.exists() for path in before[:1]))
        for number in range(4):
            httpx.get(f"{url}/two{number}", timeout=30)

    assert "Shutting down: Master" in (tmp_path / "own.txt").read_text()
    assert len(said(tmp_path, "paid /")) == 5
    assert len(said(tmp_path, "paid /two")) == 4


def test_set_up_of_the_configuration_file_stays(tmp_path):
    config = "import trackline\ntrackline.setup_logging('billing', console=False, level='WARNING', schema='otel')\n"
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text(config)
    command = [sys.executable, "-m", "gunicorn", "main:app", "--bind", "127.0.0.1:0", "--no-control-socket", LOGGER]
    process = subprocess.Popen(command, cwd=tmp_path, env=INHERITED, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "Booting worker" in "".join(path.read_text() for path in tmp_path.glob("logs/billing*.log")))
    finally:
        process.terminate()
        process.wait(timeout=20)

    assert {path.name.partition("-")[0].partition(".")[0] for path in tmp_path.glob("logs/*.log")} == {"billing"}


def test_wrong_setting_ends_the_master_and_is_said(tmp_path):
    (tmp_path / "main.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "main:app", "--bind", "127.0.0.1:0", "--no-control-socket", LOGGER]
    done = subprocess.run(
        command, cwd=tmp_path, env={**INHERITED, "TRACKLINE_LOG_SCHEMA": "xml"}, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode != 0
    assert "schema='xml': expected" in done.stderr
