"""What becomes of a line on its way through Filebeat: the same fields, with their types, under its own number."""

import json
import secrets
import subprocess
import sys

import pytest

from stack.shippers import Filebeat
from stack.shipping import instant, leaves, lines_in, wait_until_stored

WRITE = """if True:
    import logging, sys, trackline
    folder, service, schema = sys.argv[1:]
    handle = trackline.setup_logging(service, log_dir=folder, console=False, schema=schema, level="DEBUG")
    log = logging.getLogger("shop.till")
    with trackline.use_tracking_id("order-1742"):
        log.debug("plain")
        log.info("Ünïcode \\U0001f9fe \\t and \\ud800", extra={"ключ": "значение", "note": "a\\nb"})
        log.info("values", extra={"text": "x", "whole": 12, "half": 0.5, "yes": True, "nothing": None, "no_number": float("nan"),
            "large": 2**70, "list": [1, "a", {"b": 2}], "nested": {"a": {"b": 1}}, "bytes": b"\\xff"})
        log.warning("of ECS", extra={"http.response.status_code": 404, "client.ip": "192.0.2.1", "event.duration": 1500,
            "url.path": "/a", "user_agent.original": "curl", "http.request.method": "GET",
            "host.name": "of the line", "event.outcome": "failure"})
        # Names of objects of ECS, and of fields of ours, which must not be broken or overwritten.
        log.info("objects", extra={"http": "a", "error": "b", "log": "c", "event": {"id": "d"}, "host": "e", "service": "f",
            "labels": "g", "url": {"path": 1}, "@timestamp": "h", "trace.id": "i", "tracking_id": "j",
            "event.id": "k", "ecs": "l", "agent": "m"})
        try:
            try:
                {}["customer"]
            except KeyError as error:
                raise RuntimeError("not paid") from error
        except RuntimeError:
            log.exception("with a traceback", stack_info=True)
    log.critical("outside of a request")
    handle.close(30)
"""
ADDED = {"@timestamp", "host.name", "log.file.path", "log.offset", "_id", "_index"}


@pytest.fixture
def ship(filebeat, prepared, tmp_path):
    """Give a function that ships the files of a folder, and gives the documents once all are there."""
    namespace = secrets.token_hex(4)

    def ship(logs, count, **environment):
        with Filebeat(
            filebeat, logs, prepared.url, tmp_path / "filebeat", environment={"TRACKLINE_NAMESPACE": namespace, **environment}
        ) as shipper:
            documents = wait_until_stored(prepared, f"logs-*-{namespace}", count, shipper)
            shipper.stop()
        return documents

    ship.index = f"logs-*-{namespace}"
    return ship


def write(folder, schema):
    subprocess.run([sys.executable, "-c", WRITE, folder, "Till-7", schema], check=True)
    return list(lines_in(folder))


def kind_of(node, index, field):
    """Give the type of a field by which Elasticsearch searches it."""
    caps = node.request("GET", f"/{index}/_field_caps", fields=field)["fields"]
    return {kind for kind in caps.get(field, {}) if kind != "unmapped"}


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_each_line_is_a_document_with_the_same_fields(ship, tmp_path, schema, cuts_times):
    lines = write(tmp_path / "logs", schema)
    documents = ship(tmp_path / "logs", len(lines))

    assert len(documents) == len(lines)
    by_place = sorted(documents, key=lambda document: document.get("log", {})["offset"])
    for line, document in zip(lines, by_place, strict=True):
        assert instant(document["@timestamp"], cut=cuts_times) == instant(line.get("@timestamp") or line["timestamp"], cut=cuts_times)
        assert {name: document.get(name) for name in line} | {"@timestamp": None} == line | {"@timestamp": None}
        assert leaves(document).keys() - leaves(line).keys() <= ADDED
        service = line.get("service.name") or line.get("resource", {}).get("service.name")
        assert document["_index"].startswith(".ds-logs-till_7-" if service else ".ds-logs-trackline-")
        own = line.get("event.id") or line.get("attributes", {}).get("log.record.uid")
        assert document["_id"] == own if own else len(document["_id"]) == 64


def test_fields_of_ecs_have_the_types_of_ecs(ship, tmp_path, prepared):
    lines = write(tmp_path / "logs", "ecs")
    ship(tmp_path / "logs", len(lines))

    types = {
        "@timestamp": "date", "message": "text", "tracking_id": "keyword", "trace.id": "keyword", "event.id": "keyword",
        "log.level": "keyword", "log.logger": "keyword", "log.origin.file.name": "keyword", "log.origin.file.line": "long",
        "log.origin.function": "keyword", "process.pid": "long", "process.thread.name": "keyword", "service.name": "keyword",
        "error.type": "keyword", "error.message": "text", "http.response.status_code": "long", "client.ip": "ip",
        "event.duration": "long", "labels.whole": "keyword", "labels.half": "keyword", "labels.error": "keyword",
        "labels.tracking_id": "keyword", "http.request.id": "keyword", "host.name": "keyword", "log.offset": "long",
    }  # fmt: skip
    assert {field: kind_of(prepared, ship.index, field) for field in types} == {field: {kind} for field, kind in types.items()}


@pytest.mark.parametrize(
    ("schema", "queries"),
    [
        ("ecs", {"tracking_id": 6, "labels.tracking_id": 6, "http.request.id": 6, "trace.id": 6}),
        ("otel", {"tracking_id": 6, "labels.tracking_id": 6, "http.request.id": 6, "trace_id": 6, "trace.id": 6}),
        ("flat", {"tracking_id": 6, "labels.tracking_id": 6, "http.request.id": 6, "name": None}),
    ],
)
def test_lines_are_found_by_the_id_and_its_aliases(ship, tmp_path, prepared, schema, queries):
    lines = write(tmp_path / "logs", schema)
    ship(tmp_path / "logs", len(lines))
    trace = next((line.get("trace.id") or line["trace_id"] for line in lines if "trace.id" in line or "trace_id" in line), None)

    values = {"trace.id": trace, "trace_id": trace, "name": "shop.till"}
    for field, count in queries.items():
        found = prepared.search(ship.index, {"term": {field: values.get(field, "order-1742")}})
        assert len(found) == (count or 7), field


def test_the_origins_names_are_searchable_as_they_are(ship, tmp_path, prepared):
    lines = write(tmp_path / "logs", "flat")
    ship(tmp_path / "logs", len(lines))

    query = 'level:CRITICAL AND name:"shop.till" AND processName:MainProcess AND func:"<module>" AND message:request'
    assert len(prepared.search(ship.index, {"query_string": {"query": query}})) == 1


def test_two_processes_that_say_the_same_at_the_same_place_are_two_documents(ship, tmp_path):
    line = {"@timestamp": "2026-11-22T14:40:01+0100", "level": "INFO", "name": "app", "tracking_id": None, "message": "started"}
    (tmp_path / "logs").mkdir()
    for name in ("app.log", "app-7.log"):
        opening = {**line, "message": f"the log of {name} begins here".ljust(1100)}
        (tmp_path / "logs" / name).write_text("".join(f"{json.dumps(one)}\n" for one in (opening, line)))

    documents = ship(tmp_path / "logs", 4)

    assert [document["message"] for document in documents].count("started") == 2


def test_a_line_without_a_number_that_is_read_again_after_a_rotation_is_stored_once(filebeat, prepared, tmp_path):
    logs, environment = tmp_path / "logs", {"TRACKLINE_NAMESPACE": "again"}
    logs.mkdir()
    line = {"@timestamp": "2026-11-22T14:40:01+0100", "level": "INFO", "tracking_id": "order-1", "message": "paid".ljust(1100)}
    (logs / "app.log").write_text(f"{json.dumps(line)}\n")
    for attempt in ("first", "second"):  # the second has forgotten what it has read
        with Filebeat(filebeat, logs, prepared.url, tmp_path / attempt, environment=environment) as shipper:
            wait_until_stored(prepared, "logs-*-again", 1 if attempt == "first" else 2, shipper)
            shipper.stop()
        (logs / "app.log").rename(logs / "app.log.2026-11-22") if attempt == "first" else None
        (logs / "app.log").write_text(f"{json.dumps({**line, 'message': 'more'.ljust(1100)})}\n")

    assert prepared.count("logs-*-again") == 2
