"""Lines for a person: what is to be seen at once is there, in each schema, and nothing that was logged breaks the terminal."""

import json
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.odd import ODD
from logs.reading import make_record, schema
from trackline import use_tracking_id
from trackline.logs.pretty import pretty, short_id
from trackline.logs.schema import SCHEMAS

EVERY_SCHEMA = pytest.mark.parametrize("name", list(SCHEMAS))
UUID = "7b1c9a52-5d7e-4a53-9b1f-0c6f5d2e8a11"


def shown(record, name="ecs", *, color=False):
    return pretty(schema(name).line(record), color=color)


def failed():
    try:
        raise ValueError("no money")
    except ValueError:
        return make_record("not paid", level=logging.ERROR, exc_info=sys.exc_info())


@EVERY_SCHEMA
def test_time_level_id_logger_and_message_are_one_row(name, in_zone):
    in_zone("Europe/Berlin")
    record = make_record("paid %d", (12,), level=logging.WARNING)
    record.created = 1_782_000_000.25
    with use_tracking_id("order-1742"):
        row = shown(record, name)

    clock = "02:00:00    " if name == "flat" else "02:00:00.250"
    assert row == f"{clock} WARN  order-1742 app              paid 12\n"


@pytest.mark.parametrize(
    ("tracking_id", "short"),
    [
        ("order-1742", "order-1742"),
        (UUID, "7b1c9a52"),
        ("0af7651916cd43dd0448eb211c80319c", "0af76519"),
        ("eu-west.orders-1742", "…est.orders-1742"),
    ],
)
def test_ids_are_told_apart_by_what_is_shown_of_them(tracking_id, short):
    assert short_id(tracking_id) == short


@pytest.mark.parametrize("name", ["ecs", "otel"])
def test_extras_follow_the_message_and_plumbing_does_not(name):
    extras = {
        "amount": 12,
        "customer": "Ada L.",
        "empty": "",
        "items": {"a": [1]},
        "body": "gold",
        "url.path": "/pay",
        "event.duration": 1_500_000,
    }
    row = shown(make_record(**extras), name)

    expected = {"amount=12", 'customer="Ada L."', 'empty=""', 'items={"a":[1]}', "body=gold", "url.path=/pay", "duration=1.5ms"}
    assert expected == set(re.findall(r'[\w.]+=(?:"[^"]*"|\S+)', row.partition("paid")[2]))


@EVERY_SCHEMA
def test_traceback_is_indented_below_and_said_once(name):
    rows = shown(failed(), name).splitlines()

    assert rows[0].endswith("not paid")
    assert rows[1] == "    Traceback (most recent call last):"
    assert rows[-1] == "    ValueError: no money"
    assert [row for row in rows if "no money" in row] == ['        raise ValueError("no money")', "    ValueError: no money"]


def test_access_line_does_not_say_twice_what_its_message_says():
    record = make_record('%s - "%s %s HTTP/%s" %d', ("10.0.0.1:5000", "GET", "/pay?a=1", "1.1", 200))
    record.name = "uvicorn.access"

    assert shown(record).endswith('uvicorn.access   10.0.0.1:5000 - "GET /pay?a=1 HTTP/1.1" 200\n')


@pytest.mark.parametrize(("status", "style"), [(200, "1"), (404, "33"), (503, "1;31")])
def test_access_line_is_coloured_by_its_status(status, style):
    record = make_record('%s - "%s %s HTTP/%s" %d', ("10.0.0.1:5000", "GET", "/", "1.1", status))
    record.name = "uvicorn.access"

    assert f"\x1b[{style}m10.0.0.1:5000" in shown(record, color=True)


def test_frames_of_libraries_are_dim():
    try:
        json.loads("{")
    except ValueError:
        record = make_record("not read", level=logging.ERROR, exc_info=sys.exc_info())
    rows = shown(record, color=True).splitlines()

    assert [row for row in rows if "json/decoder.py" in row and "\x1b[2m" not in row] == []
    assert [row for row in rows if __file__ in row and "\x1b" not in row] != []
    assert rows[-1].startswith("    \x1b[31mjson.decoder.JSONDecodeError")


def test_further_lines_of_a_message_are_indented():
    assert shown(make_record("one\ntwo")).splitlines()[1:] == ["    two"]


def test_what_is_long_is_cut_and_says_so():
    row = shown(make_record("m" * 10_000, value="v" * 1000))

    assert "m… [2000 characters more]" in row
    assert "v… [700 characters more]" in row


def test_colors_are_only_where_they_are_wanted():
    assert "\x1b" not in shown(failed())
    assert "\x1b[31mERROR\x1b[0m" in shown(failed(), color=True)


def test_line_that_is_no_object_comes_out_as_it_is():
    assert pretty("plain – text\n".encode(), color=True) == "plain – text\n"
    assert pretty(b"[1]\n", color=True) == "[1]\n"


@EVERY_SCHEMA
@pytest.mark.parametrize("odd", ODD)
def test_odd_values_are_shown_in_rows_that_do_no_harm(name, odd):
    text = shown(make_record(value=ODD[odd]), name)

    assert text.endswith("\n")
    assert all(row.isprintable() for row in text.splitlines())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "@timestamp",
    "timestamp",
    "level",
    "log.level",
    "severity_text",
    "message",
    "body",
    "name",
    "tracking_id",
    "labels",
    "attributes",
]
keys = st.sampled_from([*KEYS, "instrumentation_scope", "error.stack_trace", "event.duration"]) | st.text(max_size=8)


@given(st.dictionaries(keys, json_values, max_size=8), st.booleans())
def test_any_object_is_shown(fields, color):
    import orjson

    try:
        line = orjson.dumps(fields) + b"\n"
    except TypeError:  # an integer or a text that is no JSON of orjson's
        return
    text = pretty(line, color=color)

    assert text.encode() != line
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text) if color else text
    assert all(row.isprintable() for row in plain.split("\n"))
