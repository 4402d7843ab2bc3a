"""Whatever is logged: exactly one valid line under 256 KiB, no exception, and no field of ours overwritten."""

import dataclasses
import datetime
import decimal
import json
import logging
import math
import sys
import uuid

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logs.odd import ODD, BadError, BadText, Name, Number, Recursing, cycle
from logs.reading import MAX_LINE, make_record, parse, schema
from trackline import TRACKING_ID
from trackline.logs.fields import ecs_fields, takes
from trackline.logs.schema import SCHEMAS

EVERY_SCHEMA = pytest.mark.parametrize("name", list(SCHEMAS))
OURS = {
    "log.logger": "app",
    "log.origin.file.name": "main.py",
    "log.origin.file.line": 12,
    "log.origin.function": "pay",
    "service.name": "orders",
    "event.dataset": "orders",
    "log.level": "info",
    "tracking_id": "order-1",
}


ODD_VALUES = pytest.mark.parametrize("odd", ODD)  # by name: pytest itself looks at what it is given


@dataclasses.dataclass(frozen=True)
class Odd:
    """Stands for an odd value: Hypothesis looks at what it makes."""

    name: str


def real(value):
    if type(value) is Odd:
        return ODD[value.name]
    if type(value) is dict:
        return {key: real(inner) for key, inner in value.items()}
    return type(value)(map(real, value)) if type(value) in (list, tuple) else value


texts = st.text(st.characters(codec=None), max_size=30)  # surrogates too
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.decimals(),
    st.uuids(),
    st.ip_addresses(),
    st.sampled_from([odd for odd in ODD if "bad" in odd]).map(Odd),
)
keys = st.one_of(texts, st.integers(), st.none(), st.booleans(), st.binary(max_size=5), st.tuples(st.integers()))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
odd_values = st.sampled_from([odd for odd in ODD if odd != "2**40 items"]).map(Odd)  # that one's own str() has no end
RESERVED = {"message", "asctime", "level"}  # logging refuses the first two, the last is an option of make_record
field_names = st.sampled_from(
    [*ecs_fields(), *OURS, "http", "url", "labels", "labels.tracking_id", "http.request.id", "attributes", "resource"]
)
names = (field_names | texts).filter(lambda name: name not in vars(make_record()) and name not in RESERVED)
extras = st.dictionaries(names, values, max_size=5)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def logged(name, record):
    """Give the line of a record, parsed, having checked what each line must be; the tracking ID is order-1."""
    made = schema(name)
    TRACKING_ID.set("order-1")
    line = parse(made.line(record))
    assert "encode-error" not in (line.get("event.action"), line.get("event_name", "")[10:], line.get("func"))  # the last resort
    assert parse(made.line(make_record()))  # and the next one, too
    if name == "ecs":
        for field, value in line.items():
            if field not in ("tracking_id", "labels"):
                assert field in ecs_fields()
                assert takes(ecs_fields()[field], value), (field, value)
        assert "" not in {key.strip() for key in line.get("labels", {})}
        assert "tracking_id" not in line.get("labels", {})
        assert not any("." in key or isinstance(value, dict) for key, value in line.get("labels", {}).items())
    return line


def holds_ours(name, line):
    if name == "ecs":
        assert {field: line.get(field) for field in OURS} == OURS
        assert line["event.id"].endswith("-1")
    elif name == "otel":
        assert (line["tracking_id"], line["resource"]["service.name"], line["instrumentation_scope"]) == (
            "order-1",
            "orders",
            {"name": "app"},
        )
        assert line["attributes"]["log.record.uid"].endswith("-1")
        assert (line["attributes"]["code.line.number"], line["attributes"]["code.function.name"]) == (12, "pay")
        assert "tracking_id" not in line["attributes"]
        assert all(name.strip() for name in line["attributes"])
    else:
        assert list(line) == ["@timestamp", "level", "name", "processName", "tracking_id", "loc", "func", "message"]
        assert (line["tracking_id"], line["loc"], line["func"]) == ("order-1", "main.py:12", "pay")


@EVERY_SCHEMA
@given(extras=extras)
@example(extras=dict.fromkeys(OURS, "other"))
@example(extras={"trace.id": "other", "span.id": "other", "event.id": "other", "http.request.id": "other", "@timestamp": "other"})
@example(extras={"labels": {"tracking_id": 1, "a.b": 1}, "labels.tracking_id": 2, "labels.a_b": 3, "a*b": 4, "a\\b": 5})
@example(
    extras={"log": {"logger": "other", "origin": {"file": {"line": 1}}}, "event": {"id": "other"}, "http": {"request": {"id": "x"}}}
)
@example(
    extras={"log.record.uid": "other", "code.line.number": 1, "resource": 1, "extra.code.line.number": 2, "timestamp": 1, "body": 1}
)
@example(extras={"labels": 5})
@quick
def test_any_extras_give_one_line_and_overwrite_nothing(name, extras):
    line = logged(name, make_record(**real(extras)))

    holds_ours(name, line)
    assert line.get("message", line.get("body")) == "paid"


@EVERY_SCHEMA
@given(
    message=values,
    args=st.tuples() | st.tuples(values) | st.tuples(values, values) | st.dictionaries(texts, values, max_size=2).map(lambda d: (d,)),
)
@example(message="%s %d", args=(1, "x"))
@example(message="%(a)s", args=({"b": 1},))
@example(message="%", args=(1,))
@example(message="%s", args=())
@quick
def test_any_message_and_arguments_give_one_line(name, message, args):
    line = logged(name, make_record(real(message), real(args)))

    holds_ours(name, line)


@EVERY_SCHEMA
@given(
    given=st.dictionaries(st.sampled_from(sorted({*vars(make_record()), "tracking_id"})), values | odd_values, max_size=6),
    missing=st.lists(st.sampled_from(sorted(vars(make_record()))), max_size=3),
)
@quick
def test_any_broken_record_gives_one_line(name, given, missing):
    record = make_record(amount=5)
    vars(record).update(real(given))
    for key in missing:
        vars(record).pop(key, None)

    logged(name, record)


@EVERY_SCHEMA
@ODD_VALUES
def test_odd_value_as_an_extra(name, odd):
    line = logged(name, make_record(odd=ODD[odd], after=1))

    holds_ours(name, line)


@EVERY_SCHEMA
@ODD_VALUES
def test_odd_value_as_message_and_as_argument(name, odd):
    value = ODD[odd] if odd != "2**40 items" else None  # its own str() has no end
    holds_ours(name, logged(name, make_record(value)))
    holds_ours(name, logged(name, make_record("%s", (value,))))
    holds_ours(name, logged(name, make_record("%d %s", (value,))))


@ODD_VALUES
def test_odd_value_in_the_place_of_the_arguments(odd):
    record = make_record("%(a)d %s")
    record.args = ODD[odd]

    holds_ours("ecs", logged("ecs", record))


@ODD_VALUES
@pytest.mark.parametrize(
    "field", ["http.request.method", "url.port", "host.cpu.usage", "event.created", "source.ip", "faas.coldstart", "tags"]
)
def test_odd_value_for_a_field_of_ecs_is_one_that_it_takes_or_a_label(odd, field):
    line = logged("ecs", make_record(**{field: ODD[odd]}))

    assert field in line or field.replace(".", "_") in line["labels"]


@EVERY_SCHEMA
@ODD_VALUES
def test_odd_value_as_the_tracking_id(name, odd):
    TRACKING_ID.set(ODD[odd])

    assert parse(schema(name).line(make_record()))
    assert parse(schema(name).notice("log-open", "it begins", {}))


@EVERY_SCHEMA
def test_ten_thousand_extras_give_one_line_with_ours_and_say_what_is_cut(name):
    line = logged(name, make_record(**{f"extra_{number}": "x" * 40 for number in range(10_000)}))

    holds_ours(name, line)
    if name != "flat":
        assert "more, cut" in json.dumps(line)


def test_all_fields_of_ecs_at_once_keep_ours():
    extras = {name: ["x" * 200] * 8 for name, kind in ecs_fields().items() if kind == "text" and name != "message"}
    line = logged("ecs", make_record(**extras))

    holds_ours("ecs", line)
    assert len(line) > 200
    assert re_number(line["labels"]["trackline_cut"]) > 0


def re_number(text):
    return int(text.split()[0])


@EVERY_SCHEMA
def test_long_message_is_cut_and_says_how_much(name):
    line = logged(name, make_record("begin" + "x" * 2**20 + "end"))
    message = line.get("message", line.get("body"))

    assert message.startswith("begin")
    assert message.endswith("end")
    assert " characters cut] …" in message


@EVERY_SCHEMA
@pytest.mark.parametrize("size", range(MAX_LINE - 1100, MAX_LINE + 100, 37))
def test_line_is_shorter_than_the_limit_also_just_around_it(name, size):
    assert parse(schema(name).line(make_record("x" * size)))


def chained():
    try:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise ValueError("b") from error
    except ValueError:
        return sys.exc_info()


def grouped():
    try:
        raise ExceptionGroup("many", [ValueError("a"), ExceptionGroup("more", [TypeError("b")])])
    except ExceptionGroup:
        return sys.exc_info()


def recursed():
    def again():
        again()

    try:
        again()
    except RecursionError:
        return sys.exc_info()


def long_chain():
    error = None
    for number in range(3000):
        new = ValueError(number)
        new.__cause__ = error
        error = new
    return ValueError, error, None


@EVERY_SCHEMA
@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (chained(), ["KeyError: 'a'", "direct cause", "ValueError: b"]),
        (grouped(), ["ExceptionGroup: many (2 sub-exceptions)", "TypeError: b"]),
        ((BadError, BadError(), None), ["BadError"]),
        (recursed(), ["Previous line repeated", "RecursionError"]),
        (long_chain(), ["ValueError"]),
        ((ValueError, ValueError("\ud800" + "x" * 2**20), None), ["ValueError"]),
    ],
    ids=["chained", "group", "bad str", "recursion", "long chain", "long"],
)
def test_exception_is_in_the_line(name, info, expected):
    line = logged(name, make_record(exc_info=info))
    stack = line.get("error.stack_trace") or line.get("attributes", {}).get("exception.stacktrace") or line["message"]

    for text in expected:
        assert text in stack
    holds_ours(name, line)


@EVERY_SCHEMA
@pytest.mark.parametrize("info", [True, 1, (None, None, None), (ValueError,), (1, 2, 3), "text", ValueError("alone"), [1]], ids=repr)
def test_exc_info_that_is_none_is_no_error(name, info):
    holds_ours(name, logged(name, make_record(exc_info=info)))


def test_formatted_trace_from_another_process_is_kept():
    record = make_record()
    record.exc_text = "Traceback …\nValueError: there"

    line = logged("ecs", record)

    assert line["error.stack_trace"] == "Traceback …\nValueError: there"
    assert "error.type" not in line


def test_trace_is_ours_not_that_of_another_handlers_formatter():
    record = make_record(exc_info=chained())
    record.exc_text = "\x1b[31mcoloured\x1b[0m"

    assert "coloured" not in logged("ecs", record)["error.stack_trace"]


def test_arguments_that_do_not_fit_are_in_the_message_as_they_are():
    line = logged("ecs", make_record("paid %d of %d", ("one",)))

    assert line["message"] == "paid %d of %d ['one'] [not formatted: TypeError]"


def test_of_a_mapping_that_does_not_fit_only_what_is_asked_for_is_said():
    # hypercorn's access log is logged with a mapping that holds the environment
    record = make_record("%(status)d %(nothing)s", ({"status": "two hundred", "environ": {"PASSWORD": "secret"}},))

    assert logged("ecs", record)["message"] == """%(status)d %(nothing)s {'status': 'two hundred'} [not formatted: TypeError]"""


def test_another_tracking_id_in_extra_is_a_label():
    assert logged("ecs", make_record(tracking_id="order-2"))["labels"] == {"extra_tracking_id": "order-2"}
    assert logged("otel", make_record(tracking_id="order-2"))["attributes"]["extra.tracking_id"] == "order-2"


def test_record_of_any_source_gives_a_line():
    TRACKING_ID.set("order-1")
    for record in (logging.makeLogRecord({}), logging.makeLogRecord({"msg": "a", "unknown": 1}), logging.LogRecord(*[None] * 7)):
        for name in SCHEMAS:
            logged(name, record)


def test_surrogates_become_the_replacement_character():
    line = logged("ecs", make_record("a\ud800b", key="\udfff", **{"\ud800": 1}))

    assert line["message"] == "a\ufffdb"
    assert line["labels"] == {"key": "\ufffd", "\ufffd": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (2**70, str(2**70)),
        (b"\xff", "\\xff"),
        (Name.PAT, "pat"),
        (Number.ONE, 1),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.datetime(2026, 11, 22, 14, 40, 1, tzinfo=datetime.UTC), "2026-11-22T14:40:01+00:00"),
        ([1, "a"], [1, "a"]),
        ([1, None], "[1,null]"),
        ({"a": [1, {"b": math.nan}]}, '{"a":[1,{"b":null}]}'),
        ({1: "a", "1": "b"}, '{"1":"a","1_":"b"}'),
        (cycle(), '[1,{"self":"<cycle>"}]'),
        (BadText(), "<BadText: its __str__ raised Boom>"),
        (Recursing(), "<Recursing: too deep>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_label_is_what_a_person_wants_to_read(value, expected):
    assert logged("ecs", make_record(key=value))["labels"] == {"key": expected}
