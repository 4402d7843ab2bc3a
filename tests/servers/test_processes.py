"""Servers of many processes: a file for each, every line once, nothing lost at the end, and nothing under another request's ID."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter, defaultdict
from dataclasses import dataclass

import httpx
import pytest

from servers.serving import Server

WORKER = ["-k", "uvicorn_worker.UvicornWorker", "-w", "4", "--no-control-socket", "--bind", "127.0.0.1:{port}"]
KINDS = {
    "uvicorn": (["uvicorn", "servers.apps:app", "--workers", "4", "--host", "127.0.0.1", "--port", "{port}"], 4),
    "gunicorn": (["gunicorn", "servers.apps:app", *WORKER], 4),
    "gunicorn-preload": (["gunicorn", "servers.apps:app", "--preload", *WORKER], 5),  # the parent too
    "hypercorn": (["hypercorn", "servers.apps:app", "-w", "2", "--access-logfile", "-", "--bind", "127.0.0.1:{port}"], 2),
    "granian": (
        ["granian", "--interface", "asgi", "--workers", "2", "--access-log", "--port", "{port}", "servers.apps:app"],
        2,
    ),
    "main": (["python", "-m", "servers.apps"], 1),
}
LAST_WORDS = {
    "uvicorn": "Finished server process",
    "gunicorn": "Finished server process",
    "gunicorn-preload": "Finished server process",
    "granian": "Stopping worker",
    "main": "Finished server process",
}

REQUESTS = 100
TOGETHER = 25
SAID = (
    "middleware",
    "busy endpoint",
    "busy task",
    "busy carried",
    "busy to_thread",
    "busy endpoint ends",
    "busy sync background",
    "busy async background",
)


@dataclass
class Run:
    """A server that has had its requests and has been ended: what it left."""

    kind: str
    processes: int
    status: int
    ids: dict[str, str]
    answering: set[int]
    by_file: dict[str, list[dict]]
    output: str

    @property
    def lines(self) -> list[dict]:
        return [line for lines in self.by_file.values() for line in lines]


async def send_together(server: Server) -> tuple[dict[str, str], set[int]]:
    """Send many requests at once, each with an ID of its own; give the ID of each, and which processes answered."""
    ids = {f"case-{number:03}-busy": f"{server.port}:order-{number}" for number in range(REQUESTS)}
    turn = asyncio.Semaphore(TOGETHER)
    limits = httpx.Limits(max_keepalive_connections=0)

    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False, limits=limits) as client:

        async def send(case: str, tracking_id: str) -> int:
            async with turn:
                response = await client.get(f"/main/{case}/busy", headers={"X-Request-ID": tracking_id})
            assert (response.status_code, response.headers["X-Request-ID"]) == (200, tracking_id)
            return response.json()["pid"]

        pids = await asyncio.gather(*(send(case, tracking_id) for case, tracking_id in ids.items()))
    return ids, set(pids)


@pytest.fixture(scope="module", params=[f"{kind}-{number}" for kind in KINDS for number in ("SIGTERM", "SIGINT")])
def run(request, tmp_path_factory) -> Run:
    """Give each server in turn after 100 requests at once and a signal, sent while the last lines are being logged."""
    kind, _, number = request.param.rpartition("-")
    command, processes = KINDS[kind]
    with Server(command, tmp_path_factory.mktemp(request.param)) as server:
        server.wait_until_ready()
        server.wait_for(lambda: len(server.files()) == processes)
        ids, answering = asyncio.run(send_together(server))
        if kind == "granian":  # it ends a request whose answer is out, with its background tasks, when it is stopped
            server.wait_for(lambda: sum("GET /main/case-" in line for line in server.raw_lines()) == REQUESTS)
        status = server.stop(signal.Signals[number])
    by_file = {path.name: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in server.files()}
    return Run(kind, processes, status, ids, answering, by_file, server.output.read_text())


def test_each_process_has_a_file_of_its_own(run):
    writers = {name: {line["process.pid"] for line in lines} for name, lines in run.by_file.items()}

    assert len(writers) == run.processes, writers
    assert all(len(pids) == 1 for pids in writers.values())
    assert len(set.union(*writers.values())) == run.processes
    assert run.answering <= set.union(*writers.values())


def test_each_file_opens_and_closes_with_a_line_about_itself(run):
    for name, lines in run.by_file.items():
        actions = [line.get("event.action") for line in lines]

        assert (actions[0], actions[-1]) == ("log-open", "log-close"), (name, lines[-1]["message"])
        assert lines[0]["labels"]["pid"] == lines[0]["process.pid"]
        assert Counter(actions)["log-open"] == Counter(actions)["log-close"] == 1
        assert lines[-1]["labels"]["lines"] == len(lines) - 2
        assert lines[-1]["labels"]["dropped"] == 0


def test_every_event_id_is_there_once_and_none_is_missing(run):
    counted = defaultdict(list)
    for line in run.lines:
        nonce, _, number = line["event.id"].rpartition("-")
        counted[nonce].append(int(number))

    assert len(counted) == run.processes
    for numbers in counted.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_every_line_of_every_request_is_there_once_under_its_id(run):
    found = Counter(
        (line["message"], line.get("tracking_id")) for line in run.lines if line["log.logger"] == "app" and "case-" in line["message"]
    )

    expected = Counter({(f"{what} {case}", tracking_id): 1 for case, tracking_id in run.ids.items() for what in SAID})
    # A thread of a pool has no context: without `carry` there is no ID, and never another request's.
    expected |= Counter({(f"busy not carried {case}", None): 1 for case in run.ids})
    assert found == expected


def test_every_access_line_is_there_once_under_its_id(run):
    found = Counter((line["url.path"], line.get("tracking_id")) for line in run.lines if line["log.logger"].endswith(".access"))

    assert found == Counter({(f"/main/{case}/busy", tracking_id): 1 for case, tracking_id in run.ids.items()}) | Counter(
        {entry: count for entry, count in found.items() if "/ready/" in entry[0]}
    )


def test_last_words_of_the_server_are_in_the_file(run):
    words = LAST_WORDS.get(run.kind)
    if words is None:  # hypercorn says nothing when it stops
        assert run.kind == "hypercorn"
        return
    speaking = [name for name, lines in run.by_file.items() if any(words in line["message"] for line in lines)]

    assert len(speaking) == (4 if run.kind == "gunicorn-preload" else run.processes)


def test_nothing_of_a_request_is_on_the_console(run):
    assert "case-" not in run.output


RELOADED = """
import logging
from servers.apps import app

logging.getLogger("app").info("version {version}")
"""


def test_process_after_a_reload_logs_on_and_the_one_before_it_has_closed(tmp_path):
    module = tmp_path / "code" / "reloaded.py"
    module.parent.mkdir()
    module.write_text(RELOADED.format(version=1))
    command = ["uvicorn", "reloaded:app", "--reload", "--reload-dir", str(module.parent), "--app-dir", str(module.parent)]
    with Server([*command, "--host", "127.0.0.1", "--port", "{port}"], tmp_path / "server") as server:
        server.wait_until_ready()
        before = server.http.get("/main/case-before/async", headers={"X-Request-ID": "before"})
        assert server.wait_for_lines("case-before", ["async endpoint", "GET"])

        module.write_text(RELOADED.format(version=2))
        assert server.wait_for_lines("version 2", ["version 2"], seconds=15)
        after = server.http.get("/main/case-after/async", headers={"X-Request-ID": "after"})
        server.stop()

    assert (before.status_code, after.status_code) == (200, 200)
    lines = server.lines()
    assert {line["tracking_id"] for line in lines if "case-after" in json.dumps(line)} == {"after"}
    ended = {line["process.pid"]: line.get("event.action") for line in lines}
    assert len(ended) == 2
    assert set(ended.values()) == {"log-close"}
    assert len({line["event.id"] for line in lines}) == len(lines)
    for pid in ended:
        said = [line["message"] for line in lines if line["process.pid"] == pid]
        assert any("Finished server process" in message for message in said)


def test_lines_of_a_server_from_its_start_are_in_the_file(run):
    first = {
        "uvicorn": "Started server process",
        "gunicorn": "Started server process",
        "gunicorn-preload": "Started server process",
        "hypercorn": "Running on",
        "granian": "Started worker-",
        "main": "Started server process",
    }[run.kind]

    speaking = [name for name, lines in run.by_file.items() if any(first in line["message"] for line in lines)]
    assert len(speaking) == (4 if run.kind == "gunicorn-preload" else run.processes)
