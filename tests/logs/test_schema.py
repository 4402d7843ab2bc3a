"""The line contract: which fields a line has, in which order, of which types, in each of the three schemas."""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from logs.reading import line_of, make_record, parse, schema
from trackline import TRACKING_ID, use_tracking_id
from trackline.identity import derive_trace_id
from trackline.logs.fields import ECS_VERSION, ecs_fields, takes
from trackline.logs.schema import SCHEMAS

EVERY_SCHEMA = pytest.mark.parametrize("name", list(SCHEMAS))


def error_info():
    try:
        raise ValueError("no card")
    except ValueError:
        return sys.exc_info()


def test_ecs_line_has_its_fields_in_their_order():
    with use_tracking_id("order-1"):
        line = line_of(make_record("paid %d", (5,), exc_info=error_info(), amount=5))

    assert list(line) == [
        "@timestamp",
        "log.level",
        "message",
        "ecs.version",
        "tracking_id",
        "trace.id",
        "event.id",
        "service.name",
        "event.dataset",
        "log.logger",
        "log.origin.file.name",
        "log.origin.file.line",
        "log.origin.function",
        "process.pid",
        "process.thread.name",
        "error.type",
        "error.message",
        "error.stack_trace",
        "labels",
    ]


def test_ecs_line_says_what_the_record_says():
    record = make_record("paid %d", (5,), level=logging.WARNING, exc_info=error_info(), amount=5)
    with use_tracking_id("order-1"):
        line = line_of(record)

    assert abs(datetime.fromisoformat(line["@timestamp"]) - datetime.fromtimestamp(record.created, UTC)) <= timedelta(microseconds=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp"])
    assert re.fullmatch(r"[0-9a-f]{12}-1", line["event.id"])
    assert line["error.stack_trace"].startswith("Traceback (most recent call last):\n")
    assert line["error.stack_trace"].endswith("\nValueError: no card")
    expected = {
        "log.level": "warning",
        "message": "paid 5",
        "ecs.version": ECS_VERSION,
        "tracking_id": "order-1",
        "trace.id": derive_trace_id("order-1"),
        "service.name": "orders",
        "event.dataset": "orders",
        "log.logger": "app",
        "log.origin.file.name": "main.py",
        "log.origin.file.line": 12,
        "log.origin.function": "pay",
        "process.pid": os.getpid(),
        "process.thread.name": "MainThread",
        "error.type": "ValueError",
        "error.message": "no card",
        "labels": {"amount": 5},
    }
    assert {field: line[field] for field in expected} == expected


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (1795358401.123456, "2026-11-22T14:40:01.123456Z"),
        (1795358402.0, "2026-11-22T14:40:02.000000Z"),
        (1795358401.0, "2026-11-22T14:40:01.000000Z"),
        (1795358400.9999998, "2026-11-22T14:40:01.000000Z"),
        (0.0, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_time_is_utc_to_the_microsecond(created, expected):
    record = make_record()
    record.created = created

    assert line_of(record)["@timestamp"] == expected


def test_ecs_line_outside_of_a_request_has_no_ids_of_one():
    line = line_of(make_record())

    assert not {"tracking_id", "trace.id", "span.id", "labels", "error.type"} & set(line)


def test_every_field_of_an_ecs_line_is_one_of_ecs_and_takes_its_value():
    record = make_record(exc_info=error_info(), amount=5, **{"http.request.method": "GET"})
    record.stack_info = "Stack"
    ecs = schema("ecs", **{"service.version": "1.2", "deployment.environment.name": "live", "service.instance.id": "a"})
    with use_tracking_id("order-1"):
        lines = [ecs.line(record), ecs.line(access()), ecs.notice("log-open", "it begins", {"pid": 1})]

    for line in map(parse, lines):
        for field, value in line.items():
            if field not in ("tracking_id", "labels"):
                assert takes(ecs_fields()[field], value), (field, value)


def test_ecs_service_is_what_the_resource_says():
    ecs = schema("ecs", **{"service.version": "1.2", "deployment.environment": "old", "deployment.environment.name": "live"})

    line = parse(ecs.line(make_record()))

    assert (line["service.name"], line["service.version"], line["service.environment"]) == ("orders", "1.2", "live")


def test_otel_line_has_the_fields_of_the_data_model():
    with use_tracking_id("order-1"):
        line = line_of(
            make_record("paid %d", (5,), level=logging.CRITICAL, exc_info=error_info(), amount=5, nested={"a": [1, None]}), "otel"
        )

    stack = line["attributes"].pop("exception.stacktrace")
    uid = line["attributes"].pop("log.record.uid")
    timestamp = line.pop("timestamp")
    assert stack.endswith("\nValueError: no card")
    assert re.fullmatch(r"[0-9a-f]{12}-1", uid)
    assert timestamp.endswith("Z")
    assert line == {
        "severity_text": "FATAL",
        "severity_number": 21,
        "body": "paid 5",
        "tracking_id": "order-1",
        "trace_id": derive_trace_id("order-1"),
        "instrumentation_scope": {"name": "app"},
        "resource": {"service.name": "orders", "process.pid": os.getpid()},
        "attributes": {
            "code.file.path": "/srv/main.py",
            "code.line.number": 12,
            "code.function.name": "pay",
            "thread.name": "MainThread",
            "exception.type": "ValueError",
            "exception.message": "no card",
            "amount": 5,
            "nested": {"a": [1, None]},
        },
    }


@pytest.mark.parametrize(
    ("level", "text", "number"),
    [
        (10, "DEBUG", 5),
        (20, "INFO", 9),
        (30, "WARN", 13),
        (40, "ERROR", 17),
        (50, "FATAL", 21),
        (25, "Level 25", 11),
        (5, "Level 5", 3),
    ],
)
def test_otel_severity_is_that_of_the_data_model(level, text, number):
    line = line_of(make_record(level=level), "otel")

    assert (line["severity_text"], line["severity_number"]) == (text, number)


@pytest.mark.parametrize("zone", ["UTC0", "CST-8", "EST5EDT", "NPT-5:45"])
@pytest.mark.parametrize("tracking_id", [None, "order-1"])
@pytest.mark.parametrize("message", ["paid", 'zweitens, schön "\\/', "\x00\x1f\x7f\n\t\u2028🎉", ""])
def test_flat_line_is_byte_for_byte_the_origins(zone, tracking_id, message, in_zone):
    in_zone(zone)
    record = make_record("%s", (message,))
    record.processName = "SpawnProcess-3"
    TRACKING_ID.set(tracking_id)

    line = schema("flat").line(record)

    origin = {
        "@timestamp": logging.Formatter().formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        "level": record.levelname,
        "name": record.name,
        "processName": record.processName,
        "tracking_id": tracking_id,
        "loc": f"{record.filename}:{record.lineno}",
        "func": record.funcName,
        "message": message,
    }
    assert line == (json.dumps(origin, ensure_ascii=False, default=str) + "\n").encode()


def test_flat_line_has_the_traceback_after_the_message():
    line = line_of(make_record("not paid", exc_info=error_info()), "flat")

    assert line["message"].startswith("not paid\nTraceback (most recent call last):\n")
    assert line["message"].endswith("\nValueError: no card")


@EVERY_SCHEMA
def test_stack_info_is_in_the_line(name):
    record = make_record()
    record.stack_info = "Stack (most recent call last):\n  here"

    assert "Stack (most recent call last):\\n  here" in json.dumps(line_of(record, name))


@EVERY_SCHEMA
def test_notice_is_a_line_of_at_least_its_width(name):
    line = schema(name).notice("log-open", "it begins", {"host": "ü", "pid": 1}, width=1100)

    assert len(line) == 1100
    assert "it begins" in json.dumps(parse(line))


def access(client="10.0.0.1:5000", method="GET", target="/pay?a=1", version="1.1", status=200):
    logger = logging.getLogger("uvicorn.access")
    args = (client, method, target, version, status)
    return logger.makeRecord(logger.name, 20, "h11_impl.py", 1, '%s - "%s %s HTTP/%s" %d', args, None, "send", None)


def test_access_line_of_uvicorn_has_its_arguments_as_fields():
    line = line_of(access())

    expected = {
        "message": '10.0.0.1:5000 - "GET /pay?a=1 HTTP/1.1" 200',
        "client.address": "10.0.0.1",
        "client.port": 5000,
        "http.request.method": "GET",
        "url.path": "/pay",
        "url.query": "a=1",
        "http.version": "1.1",
        "http.response.status_code": 200,
        "event.category": ["web"],
        "event.type": ["access"],
    }
    assert {field: line.get(field) for field in expected} == expected


def test_access_line_of_uvicorn_has_otels_attributes():
    attributes = line_of(access(client="::1:5000"), "otel")["attributes"]

    assert attributes["client.address"] == "::1"
    assert attributes["network.protocol.version"] == "1.1"
    assert "event.category" not in attributes


@pytest.mark.parametrize(
    "arguments",
    [
        {"client": ""},
        {"client": "²:²"},
        {"client": None},
        {"method": object()},
        {"status": "²"},
        {"target": b"/\xff"},
        {"version": None},
    ],
)
@EVERY_SCHEMA
def test_access_logger_takes_any_five_arguments(arguments, name):
    line = line_of(access(**arguments), name)

    if name == "ecs":
        for field in ("client.address", "client.port", "http.request.method", "http.version", "http.response.status_code"):
            assert field not in line or takes(ecs_fields()[field], line[field])


@EVERY_SCHEMA
def test_line_is_made_before_the_arguments_change(name):
    items = [1]
    record = make_record("items %s", (items,), items=items)
    line = schema(name).line(record)
    items.append(2)

    assert b"items [1]" in line
    assert b"2]" not in line


def test_numbers_of_lines_count_from_one_without_gaps_whatever_is_logged():
    ecs = schema("ecs")
    broken = make_record()
    del broken.msg
    TRACKING_ID.set(42)  # not a text
    lines = [
        ecs.line(make_record()),
        ecs.line(broken),
        ecs.notice("a", "b", {}),
        ecs.line(make_record("%d", ("x",))),
        ecs.line(make_record()),
    ]

    assert [int(parse(line)["event.id"].rpartition("-")[2]) for line in lines] == [1, 2, 3, 4, 5]
