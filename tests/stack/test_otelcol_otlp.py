"""otlp.yaml: from a file to the record of OTel's log data model, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from stack.binaries import COLLECTOR
from stack.otlp import Receiver, read, write
from stack.processes import wait_for
from stack.shippers import GATES, Otelcol

if TYPE_CHECKING:
    from pathlib import Path

RESOURCE = {
    "service.name": "Order Desk",
    "service.version": "1.2",
    "deployment.environment.name": "prod",
    "service.instance.id": "web-1",
}


class ToOtlp(Otelcol):
    """The Collector with otlp.yaml; ``url`` is the receiver's host and port."""

    def arguments(self, directory: Path) -> list[str]:
        return ["--config", str(COLLECTOR / "otelcol" / "otlp.yaml"), GATES]

    def variables(self) -> dict[str, str]:
        return super().variables() | {"OTLP_INSECURE": "true"}


def ship(otelcol, tmp_path, receiver, **more):
    logs = tmp_path / "logs"
    return ToOtlp(otelcol, logs, "", tmp_path / "otelcol", environment={"OTLP_ENDPOINT": receiver.endpoint, **more})


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def records_of(otelcol, tmp_path, receiver, count):
    with ship(otelcol, tmp_path, receiver) as shipper:
        wait_for(lambda: len(receiver.records) >= count, 30, lambda: f"{len(receiver.records)} of {count}: {shipper.log()}")
    assert len(receiver.records) == count
    return receiver.records


def nanoseconds(text):
    """Give a time of a line, exactly."""
    when = datetime.fromisoformat(text)
    return int(when.replace(microsecond=0).timestamp()) * 10**9 + when.microsecond * 1000


def about(record):
    """Give what does not depend on where the file is."""
    return {name: value for name, value in record.attributes.items() if not name.startswith("log.file.")}


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_an_ordinary_line_becomes_the_same_record_of_either_schema(schema, otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", schema)
    records = {record.body: record for record in records_of(otelcol, tmp_path, receiver, len(lines))}
    line = next(line for line in lines if line.get("message", line.get("body")) == "paid €12")
    record = records["paid €12"]

    assert record.time == nanoseconds(line.get("@timestamp") or line["timestamp"])
    assert record.observed > record.time
    assert (record.severity, record.severity_text) == (9, "INFO")
    assert (record.trace_id, record.span_id) == (line.get("trace.id", line.get("trace_id")), line.get("span.id", line.get("span_id")))
    assert len(record.trace_id) == 32
    assert len(record.span_id) == 16
    assert record.flags == int(line.get("trace_flags", "00"), 16)  # ECS has no field for them
    assert schema == "ecs" or record.flags & 1
    assert record.scope == "app.pay"
    assert record.event_name == ""
    pid = line.get("process.pid") or line["resource"]["process.pid"]
    assert record.resource == RESOURCE | {"process.pid": pid} | ({} if schema == "ecs" else {"host.name": "h1"})
    assert about(record) == {
        "log.record.uid": line.get("event.id") or line["attributes"]["log.record.uid"],
        "tracking_id": "order-1742",
        "code.file.path": "<string>",
        "code.line.number": 14,
        "code.function.name": "pay",
        "thread.name": "MainThread",
        "order": 7,
        "user.id": "u1",
        "amount": 1.5,
        "paid": True,
        "tags": ["a", "b"],
        "nested": '{"a":{"b":1}}' if schema == "ecs" else {"a": {"b": 1}},
    }
    assert type(about(record)["order"]) is int


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_an_exception_has_the_names_of_the_conventions(schema, otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", schema)
    records = {record.body: record for record in records_of(otelcol, tmp_path, receiver, len(lines))}
    record = records["not paid"]

    assert (record.severity, record.severity_text) == (17, "ERROR")
    assert about(record)["exception.type"] == "ZeroDivisionError"
    assert about(record)["exception.message"] == "division by zero"
    assert about(record)["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
    assert not [name for name in about(record) if name.startswith("error.")]


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_an_access_line_has_the_names_of_the_conventions(schema, otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", schema)
    records = records_of(otelcol, tmp_path, receiver, len(lines))
    record = next(record for record in records if record.scope == "trackline.access")
    attributes = about(record)
    expected = {
        "http.request.method": "GET",
        "http.route": "/orders/{number}",
        "http.response.status_code": 200,
        "http.response.body.size": 2,
        "url.path": "/orders/7",
        "url.query": "from=web",
        "server.address": "shop.example",
        "network.protocol.version": "1.1",
        "user_agent.original": "test",
        "client.address": "127.0.0.1",
        "tracking_id": "order-1743",
    }

    assert {name: attributes.get(name) for name in expected} == expected
    assert 0 < attributes["http.server.request.duration"] < 60  # seconds
    assert not {"event.duration", "http_route", "url.domain", "http.version"} & attributes.keys()


def test_a_flat_line_becomes_such_a_record(otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", "flat", "orders")
    records = {record.body: record for record in records_of(otelcol, tmp_path, receiver, len(lines))}
    line = next(line for line in lines if line["message"] == "paid €12")
    record = records["paid €12"]

    assert record.time == nanoseconds(line["@timestamp"])
    assert (record.severity, record.severity_text) == (9, "INFO")
    assert record.scope == "app.pay"
    assert record.resource == {"service.name": "orders"}  # as the file is called
    assert about(record) == {
        "tracking_id": "order-1742",
        "code.file.path": "<string>",
        "code.line.number": 14,
        "code.function.name": "pay",
        "process.name": "MainProcess",
    }


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_levels_have_their_numbers(schema, otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", schema)
    records = {record.body: record for record in records_of(otelcol, tmp_path, receiver, len(lines))}

    assert (records["nobody's"].severity, records["nobody's"].severity_text) == (13, "WARN")
    assert records["unusual"].severity_text.lower() == "notice"
    assert records["unusual"].severity == (11 if schema == "otel" else 0)  # only `otel` says the number


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_lines_of_the_log_itself_are_events(schema, otelcol, tmp_path, receiver):
    lines = write(tmp_path / "logs", schema)
    records = records_of(otelcol, tmp_path, receiver, len(lines))

    assert [record.event_name for record in records if record.scope == "trackline"] == ["trackline.log-open", "trackline.log-close"]


def test_whatever_strangers_write_is_a_record(otelcol, tmp_path, receiver):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "strange.log").write_bytes(
        b'plain words\n[1, 2]\n{"a": {"b": 1}}\nbad \xff byte\n'
        b'{"message": "m", "@timestamp": "yesterday", "trace.id": "not hex", "log.level": "loud", "": 1, "labels": 5}\n'
    )
    records = records_of(otelcol, tmp_path, receiver, 5)
    bodies = [record.body for record in records]
    last = next(record for record in records if record.body == "m")

    assert sorted(map(str, bodies)) == sorted(["plain words", "[1, 2]", "{'a': {'b': 1}}", "bad \ufffd byte", "m"])
    assert {"a": {"b": 1}} in bodies
    assert last.time == 0
    assert last.observed > 0
    assert last.severity_text == "loud"
    assert about(last) == {"@timestamp": "yesterday", "trace.id": "not hex", "": 1, "labels": 5}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_backend_that_was_away_has_everything_once_it_is_back(end, otelcol, tmp_path, receiver):
    receiver.is_away = True
    lines = write(tmp_path / "logs", "ecs")
    with ship(otelcol, tmp_path, receiver) as shipper:
        wait_for(lambda: receiver.refused, 30, shipper.log)
        getattr(shipper, end)()
        assert not receiver.records
        receiver.is_away = False
        shipper.start()
        wait_for(lambda: len(receiver.records) >= len(lines), 60, shipper.log)

    assert sorted(record.attributes["log.record.uid"] for record in receiver.records) == sorted(
        line["event.id"] for line in read(tmp_path / "logs")
    )
