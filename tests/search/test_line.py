"""Reading one line back: three schemas and strangers, one view."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.search.line import file_name, in_order, parse_when, read_line, read_number, read_time

ECS = {
    "@timestamp": "2026-11-22T14:40:01.123456Z",
    "log.level": "error",
    "message": "not paid",
    "ecs.version": "9.0",
    "tracking_id": "order-1",
    "trace.id": "t" * 32,
    "span.id": "s" * 16,
    "event.id": "n-1",
    "service.name": "orders",
    "log.logger": "app",
    "log.origin.file.name": "main.py",
    "log.origin.file.line": 12,
    "log.origin.function": "pay",
    "process.pid": 7,
    "process.thread.name": "MainThread",
    "error.type": "ValueError",
    "error.message": "no card",
    "error.stack_trace": "Traceback …",
    "labels": {"amount": 5},
    "http.request.method": "GET",
}
FLAT = {
    "@timestamp": "2025-11-29T21:07:09+0800",
    "level": "INFO",
    "name": "app",
    "processName": "SpawnProcess-3",
    "tracking_id": "order-1",
    "loc": "main.py:39",
    "func": "get_asdf",
    "message": "paid",
}
OTEL = {
    "timestamp": "2026-11-22T14:40:01.123456789Z",
    "severity_text": "INFO",
    "severity_number": 9,
    "body": "paid",
    "trace_id": "t" * 32,
    "span_id": "s" * 16,
    "trace_flags": "01",
    "tracking_id": "order-1",
    "attributes": {
        "tracking_id": "order-1",
        "code.file.path": "main.py",
        "code.line.number": 12,
        "code.function.name": "pay",
        "exception.type": "ValueError",
        "exception.message": "no card",
        "exception.stacktrace": "Traceback …",
        "amount": 5,
        "log.record.uid": "n-1",
        "thread.name": "MainThread",
    },
    "resource": {"service.name": "orders", "process.pid": 7},
    "instrumentation_scope": {"name": "app"},
}


def nested(fields):
    """Expand dotted keys to objects, as Filebeat does."""
    tree = {}
    for key, value in fields.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def read(fields, path="logs/app.log"):
    return read_line(b"", Path(path), 1, fields)


@pytest.mark.parametrize("fields", [ECS, nested(ECS), {"json": ECS}], ids=["dotted", "nested", "below json"])
def test_ecs_is_read_with_dotted_keys_and_with_nested_ones(fields):
    line = read(fields)

    assert line.time == datetime(2026, 11, 22, 14, 40, 1, 123456, tzinfo=UTC)
    assert (line.level, line.message, line.service, line.process, line.logger) == ("ERROR", "not paid", "orders", "7", "app")
    assert (line.origin, line.function) == ("main.py:12", "pay")
    assert (line.error_type, line.error_message, line.stack) == ("ValueError", "no card", "Traceback …")
    assert (line.tracking_id, line.trace_id, line.span_id, line.event_id) == ("order-1", "t" * 32, "s" * 16, "n-1")
    assert line.extra == {"amount": 5, "http.request.method": "GET"}
    assert line.is_error


def test_flat_is_read_with_the_service_from_the_name_of_the_file():
    line = read(FLAT, "logs/billing-sp3.log.2025-11-29.gz")

    assert line.time == datetime(2025, 11, 29, 13, 7, 9, tzinfo=UTC)
    assert (line.level, line.message, line.service, line.process, line.logger) == ("INFO", "paid", "billing", "sp3", "app")
    assert (line.origin, line.function, line.tracking_id, line.extra) == ("main.py:39", "get_asdf", "order-1", {})


def test_otel_is_read_with_attributes_and_resource():
    line = read(OTEL)

    assert line.time == datetime(2026, 11, 22, 14, 40, 1, 123456, tzinfo=UTC)
    assert (line.level, line.message, line.service, line.process, line.logger) == ("INFO", "paid", "orders", "7", "app")
    assert (line.origin, line.function) == ("main.py:12", "pay")
    assert (line.error_type, line.error_message, line.stack) == ("ValueError", "no card", "Traceback …")
    assert (line.tracking_id, line.trace_id, line.span_id, line.event_id) == ("order-1", "t" * 32, "s" * 16, "n-1")
    assert line.extra == {"amount": 5}


def test_otel_severity_number_alone_gives_the_level():
    assert [read({"severity_number": number}).level for number in (1, 5, 9, 13, 17, 21, 24)] == [
        "TRACE",
        "DEBUG",
        "INFO",
        "WARNING",
        "ERROR",
        "CRITICAL",
        "CRITICAL",
    ]


def test_otel_body_that_is_an_object_is_the_message_as_json():
    assert json.loads(read({"body": {"paid": True}}).message) == {"paid": True}


@pytest.mark.parametrize(
    "fields",
    [
        {"tracking_id": "x"},
        {"labels": {"tracking_id": "x"}, "tracking_id": "y"},
        {"labels.tracking_id": "x"},
        {"attributes": {"tracking_id": "x"}},
        {"http.request.id": "x"},
        {"http": {"request": {"id": "x"}}},
        {"trace.id": "x"},
        {"trace": {"id": "x"}},
        {"trace_id": "x"},
        {"traceId": "x"},
        {"attributes": {"trace_id": "x"}},
        {"request_id": "x"},
    ],
    ids=str,
)
def test_value_of_a_key_that_names_an_id_is_an_id_of_the_line(fields):
    assert "x" in read(fields).ids


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "x"},
        {"labels": {"order": "x"}},
        {"span.id": "x"},
        {"event.id": "x"},
        {"tracking_id": ["x"]},
        {"tracking_id": "y", "request_id": "x"},
        {"x": "tracking_id"},
    ],
    ids=str,
)
def test_value_of_any_other_key_is_no_id_of_the_line(fields):
    assert "x" not in read(fields).ids


def test_traceback_inside_the_message_is_taken_for_the_stack():
    stack = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: no card'

    line = read({"message": f"not paid\n{stack}"})

    assert (line.message, line.stack) == ("not paid", stack)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T14:40:01.5Z",
        "2026-11-22T15:40:01.500000000+01:00",
        "2026-11-22 14:40:01,500",
        1795358401.5,
        1795358401500,
        1795358401500000,
        1795358401500000000,
        "1795358401500000000",
    ],
    ids=str,
)
def test_time_is_read_from_text_and_from_numbers_of_any_unit(value):
    assert read_time(value) == datetime(2026, 11, 22, 14, 40, 1, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, "", "soon", True, [], 10**40, float("inf"), float("nan"), "0001-01-01T00:00:00+14:00"], ids=str
)
def test_time_that_is_none_gives_none(value):
    assert read_time(value) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app.log", ("app", "", "app", "~")),
        ("app-sp1.log", ("app", "sp1", "app-sp1", "~")),
        ("app-1234.log", ("app", "1234", "app-1234", "~")),
        ("app-1234-0a1b2c.log.2026-11-21.1.gz", ("app", "1234", "app-1234-0a1b2c", "2026-11-21.1")),
        ("app.log.2026-11-21", ("app", "", "app", "2026-11-21")),
        ("app.log.2026-11-21.gz", ("app", "", "app", "2026-11-21")),
        ("app-sp1.log.2026-11-21_000012.zst", ("app", "sp1", "app-sp1", "2026-11-21_000012")),
        ("app-7.log.2026-11-21T14-30-00_000001", ("app", "7", "app-7", "2026-11-21T14-30-00_000001")),
        ("app-2026-11-21T00-00-00.log.zst", ("app", "", "app", "2026-11-21T00-00-00")),
        ("app-sp1-2026-11-21T00-00-00.log", ("app", "sp1", "app-sp1", "2026-11-21T00-00-00")),
        ("app.log-20261121", ("app", "", "app", "20261121")),
        ("my-app.json", ("my-app", "", "my-app", "json")),
        (".log", (".log", "", "", "~")),
    ],
)
def test_file_name_tells_service_process_and_when_it_was_rotated(name, expected):
    service, process, family, rotated = expected

    assert file_name(Path("logs") / name) == (service, process, str(Path("logs") / family), rotated)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.sampled_from([*ECS, *FLAT, *OTEL, "a"]), child, max_size=4),
)


@given(st.dictionaries(st.sampled_from([*ECS, *FLAT, *OTEL]) | st.text(max_size=5), JSON, max_size=8))
def test_any_json_object_is_read_without_raising(fields):
    read(fields)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200), ("0s", 0)])
def test_age_is_the_time_so_long_ago(text, seconds):
    before = datetime.now(UTC)
    when = parse_when(text)

    assert before <= when + timedelta(seconds=seconds) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["2026-11-22T14:40", "2026-11-22 14:40:00", "2026-11-22T15:40+01:00", "2026-11-22T14:40:00Z"])
def test_time_without_an_offset_is_of_utc(text):
    assert parse_when(text) == datetime(2026, 11, 22, 14, 40, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "-2h", "2w", "999999999d", "14:40", "٣h"])
def test_what_is_no_time_says_what_would_be_one(text):
    with pytest.raises(ValueError, match="expected a time such as"):
        parse_when(text)


def test_lines_of_one_process_are_ordered_by_their_numbers_where_the_times_are_the_same(tmp_path):
    lines = [
        read_line(b"", tmp_path / "a.log", place, {"@timestamp": "2026-11-22T14:40:01.123Z", "event.id": f"0123456789ab-{number}"})
        for place, number in enumerate([10, 9, 100, 2])
    ]

    assert [line.event_id.partition("-")[2] for line in in_order(lines)] == ["2", "9", "10", "100"]


def test_time_that_was_cut_to_milliseconds_does_not_put_a_line_before_the_one_before_it(tmp_path):
    times = {1: "40:01.123400", 2: "40:01.123", 3: "40:01.123600", 4: "40:01.123", 5: "40:01.125", 6: "40:01.124"}
    lines = [
        read_line(b"", tmp_path / "a.log", 0, {"@timestamp": f"2026-11-22T14:{time}Z", "event.id": f"0123456789ab-{number}"})
        for number, time in reversed(times.items())
    ]

    # The last is from another millisecond: a thread was slow, and it stays where its time says.
    assert [line.event_id[-1] for line in in_order(lines)] == ["1", "2", "3", "4", "6", "5"]


@pytest.mark.parametrize(
    "event_id", ["", "0123456789ab-0", "0123456789ab-01", "0123456789AB-1", "550e8400-e29b-41d4-a716-446655440000", "1"]
)
def test_id_that_is_not_ours_has_no_number(event_id):
    assert read_number(event_id) is None


@pytest.mark.parametrize(
    ("fields", "message", "stack"),
    [
        ({"body": {"text": "paid"}, "error": {"stacktrace": "here"}}, "paid", "here"),  # the Collector's exporter, in its two modes
        ({"body": {"stringValue": "paid"}, "attributes": {"exception.stacktrace": "here"}}, "paid", "here"),
    ],
)
def test_message_and_stack_are_read_from_what_the_collector_makes_of_them(tmp_path, fields, message, stack):
    line = read_line(b"", tmp_path, 1, fields)

    assert (line.message, line.stack) == (message, stack)


def test_what_shippers_add_is_no_extra(tmp_path):
    added = {"input": {"type": "filestream"}, "agent": {"id": "1"}, "host": {"name": "a"}, "log": {"offset": 1, "file": {"path": "x"}}}
    added |= {"kubernetes": {"pod": {"name": "p"}}, "container.id": "c", "stream": "stdout", "data_stream": {"type": "logs"}}

    line = read_line(b"", tmp_path, 1, {**added, "labels": {"amount": 5}, "dropped_attributes_count": 0})
    own = read_line(b"", tmp_path, 1, {"labels": {"stream": "audio", "container.id": 7}})

    assert line.extra == {"amount": 5}
    assert own.extra == {"stream": "audio", "container.id": 7}
