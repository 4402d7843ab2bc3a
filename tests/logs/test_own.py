"""A formatter of one's own makes the lines: each is one line, bounded, and there is one whatever the formatter does."""

import json
import logging
from collections import UserDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trackline
from logs.odd import ODD
from logs.reading import MAX_LINE, action, make_record, parse
from trackline import Redaction, use_tracking_id
from trackline.logs.contents import Contents
from trackline.logs.own import OwnSchema
from trackline.logs.resource import Resource


def line(form, record=None, **options):
    return OwnSchema(form, Resource("orders", {}), Contents(**options)).line(record or make_record("paid %d", (5,)))


def test_formatter_of_logging_makes_the_line():
    form = logging.Formatter("%(levelname)s [%(tracking_id)s] %(message)s %(trace_id)s")
    with use_tracking_id("order-1"):
        assert line(form).startswith(b"INFO [order-1] paid 5 ")
    assert line(form) == b"INFO [None] paid 5 None\n"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"msg": "a\nb", "n": 1}, b'{"msg":"a\\nb","n":1}\n'),
        ({1: {2}}, b'{"1":[2]}\n'),
        ("a\nb\r\nc", b"a\\nb\\r\\nc\n"),
        ("a\n", b"a\n"),
        ("\ud800ü", "\ufffdü\n".encode()),
        (b"a\nb\xff", b"a\\nb\xff\n"),
        ("", b"\n"),
    ],
)
def test_what_a_callable_gives_is_one_line(made, expected):
    assert line(lambda _: made) == expected


def test_traceback_of_a_formatter_is_in_the_same_line():
    error = ValueError("no card")
    record = make_record("not paid", exc_info=(ValueError, error, None))

    assert line(logging.Formatter(), record) == b"not paid\\nValueError: no card\n"


@pytest.mark.parametrize("made", ["x" * 2**20, b"\n" * 2**20, "ü" * 2**18, {"a": "x" * 2**20}])
def test_line_is_shorter_than_the_limit_and_says_what_is_cut(made):
    shown = line(lambda _: made)

    assert len(shown) < MAX_LINE
    assert shown.count(b"\n") == 1
    assert " cut] …".encode() in shown


@pytest.mark.parametrize("size", range(MAX_LINE - 4, MAX_LINE + 2))
def test_line_around_the_limit_is_below_it(size):
    shown = line(lambda _: "x" * size)

    assert len(shown) < MAX_LINE
    assert (b"cut" in shown) == (size + 1 >= MAX_LINE)


def failing(record):
    raise RuntimeError(f"no {record.name}")


@pytest.mark.parametrize("form", [failing, lambda: "", lambda _: None, lambda _: 5, logging.Formatter("%(nothing)s").format])
def test_formatter_that_fails_gives_a_line_that_says_so(form):
    shown = parse(line(form))

    assert action(shown) == "format-error"
    assert (shown["labels"]["message"], shown["labels"]["logger"], shown["labels"]["level"]) == ("paid 5", "app", "INFO")
    assert shown["labels"]["error"] in ("RuntimeError", "TypeError", "ValueError")


@pytest.mark.parametrize("odd", sorted(set(ODD) - {"2**40 items", "many keys", "many items"}))  # by name: pytest itself looks at it
def test_odd_values_give_one_line(odd):
    for form in (logging.Formatter("%(message)s %(odd)s"), vars, lambda _: ODD[odd]):
        shown = line(form, make_record("odd", odd=ODD[odd]))
        assert shown.count(b"\n") == 1
        assert len(shown) < MAX_LINE


def test_formatter_changes_nothing_for_other_handlers():
    record = make_record("paid", exc_info=ValueError("no card"), password="hunter2")
    before = dict(vars(record))

    line(logging.Formatter("%(message)s"), record)

    assert vars(record) == before


def test_extras_have_no_secrets_and_messages_where_that_is_asked_for():
    record = make_record("Bearer %s", ("abc",), password="hunter2", url="https://u:hunter2@h/")
    form = logging.Formatter("%(message)s %(password)s %(url)s")

    assert line(form, record) == b"Bearer abc [redacted] https://u:[redacted]@h/\n"
    assert line(form, record, redaction=None) == b"Bearer abc hunter2 https://u:hunter2@h/\n"
    assert line(form, record, redaction=Redaction(messages=True)).startswith(b"Bearer [redacted] [redacted]")
    assert json.loads(line(lambda made: {"a": made.getMessage()}, record, redaction=Redaction(messages=True))) == {
        "a": "Bearer [redacted]"
    }


@given(made=st.text(st.characters(codec=None)) | st.binary())
@settings(max_examples=60)
def test_any_text_is_one_line(made):
    shown = line(lambda _: made)

    assert shown.endswith(b"\n")
    assert shown.count(b"\n") == 1
    assert b"\r" not in shown


def test_setup_takes_a_formatter_and_opens_and_closes_the_log_in_ecs(tmp_path):
    form = logging.Formatter("%(levelname)s %(message)s")
    with trackline.setup_logging("orders", schema=form, log_dir=tmp_path, console=False):
        logging.getLogger("a").info("paid %d", 5, extra={"n": 1})
        logging.getLogger("a").warning("two\nlines")

    first, *lines, last = (tmp_path / "orders.log").read_bytes().splitlines()
    assert (parse(first + b"\n")["event.action"], parse(last + b"\n")["event.action"]) == ("log-open", "log-close")
    assert parse(first + b"\n")["labels"]["schema"] == "own"
    assert lines == [b"INFO paid 5", b"WARNING two\\nlines"]
    numbers = [int(parse(line + b"\n")["event.id"].rpartition("-")[2]) for line in (first, last)]
    assert numbers == [1, 2]


def test_setup_takes_a_callable_that_gives_dicts(tmp_path):
    def form(record):
        return {"msg": record.getMessage(), "id": record.tracking_id}

    with trackline.setup_logging("orders", schema=form, log_dir=tmp_path, console=False), use_tracking_id("order-1"):
        logging.getLogger("a").info("paid %d", 5)

    assert b'{"msg":"paid 5","id":"order-1"}\n' in (tmp_path / "orders.log").read_bytes()


@pytest.mark.parametrize("schema", ["xml", 5, None, UserDict()])
def test_other_schema_is_refused(schema, tmp_path):
    with pytest.raises(ValueError, match=r"schema=.*: expected one of 'ecs', 'otel', 'flat', a logging\.Formatter, or a callable"):
        trackline.setup_logging(schema=schema, log_dir=tmp_path)
