"""Where extras go: to the field of ECS that takes them, or under labels."""

import datetime

import pytest

from trackline.logs.fields import ecs_fields, place, takes


@pytest.mark.parametrize(
    ("extras", "fields", "labels"),
    [
        ({"http.request.method": "GET"}, {"http.request.method": "GET"}, {}),
        ({"http": {"request": {"method": "GET", "bytes": 5}}}, {"http.request.method": "GET", "http.request.bytes": 5}, {}),
        ({"http": {"request": {"method": "GET", "unknown": 5}}}, {}, {"http": '{"request":{"method":"GET","unknown":5}}'}),
        (
            {"http": {"request.method": "GET", "request": {"method": "PUT"}}},
            {},
            {"http": '{"request.method":"GET","request":{"method":"PUT"}}'},
        ),
        (
            {"http.request.method": "GET", "http": {"request": {"method": "PUT"}}},
            {"http.request.method": "GET"},
            {"http": '{"request":{"method":"PUT"}}'},
        ),
        ({"message": "other"}, {}, {"message": "other"}),
        ({"http.request.id": "a"}, {}, {"http_request_id": "a"}),
        ({"http": {"request": {"id": "a"}}}, {}, {"http": '{"request":{"id":"a"}}'}),
        ({"labels.tracking_id": "a"}, {}, {"extra_tracking_id": "a"}),
        ({"labels": {"a.b": 1, "c": [1]}}, {}, {"a_b": 1, "c": [1]}),
        ({"labels": 5}, {}, {"labels": 5}),
        ({"a.b": 1, "a_b": 2, "a*b": 3}, {}, {"a_b": 1, "a_b_": 2, "a_b__": 3}),
        ({"data_stream.dataset": "mine"}, {}, {"data_stream_dataset": "mine"}),
        ({"user.id": 42}, {}, {"user_id": 42}),
        ({"tags": ["a", "b"]}, {"tags": ["a", "b"]}, {}),
        ({"event.created": datetime.date(2026, 11, 22)}, {"event.created": "2026-11-22"}, {}),
        ({"": 1}, {}, {"_": 1}),
        ({"odd": {"a": 1}, "empty": {}}, {}, {"odd": '{"a":1}', "empty": "{}"}),
    ],
    ids=",".join,
)
def test_extra_goes_where_it_belongs(extras, fields, labels):
    assert place(extras.items(), {"message": "ours"}) == (fields, labels)


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        ("text", ["a", "", ["a", "b"], []], [1, None, b"a", ["a", 1], [["a"]], ["a"] * 65]),
        ("boolean", [True, [False]], [1, "true", None]),
        ("integer", [0, -(2**63), 2**63 - 1], [2**63, True, 1.5, "1"]),
        ("int32", [0, 2**31 - 1], [2**31, -(2**31) - 1, True]),
        ("number", [0, 1.5, -3e10], [float("nan"), float("inf"), 1e300, 2**70, True, "1"]),
        ("ip", ["10.0.0.1", "fe80::1"], ["fe80::1%eth0", "10.0.0", "10.0.0.1/8", 1, ""]),
        (
            "date",
            ["2026-11-22", "2026-11-22T14:40:01", "2026-11-22T14:40:01.123456789Z", "2026-11-22T14:40:01+08:00"],
            ["14:40:01", "2026-foo", "2026-13-01", "2026-11-22 14:40:01", "2026-11-22T14:40:01+08:00:30", 5, "²⁰²⁶-11-22"],
        ),
    ],
)
def test_field_takes_what_elasticsearch_takes(kind, taken, refused):
    assert [value for value in taken if not takes(kind, value)] == []
    assert [value for value in refused if takes(kind, value)] == []


def test_kinds_of_all_fields_are_known():
    assert set(ecs_fields().values()) == {"text", "boolean", "integer", "int32", "number", "ip", "date"}
    assert ecs_fields()["@timestamp"] == "date"
