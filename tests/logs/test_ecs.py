"""Whatever is logged: each ECS line holds Elastic's logging specification, and each field has the type of Elastic's field reference."""

import json
import logging
import re
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trackline
from logs.odd import ODD
from logs.reading import make_record, parse, schema
from logs.test_anything import Odd, names, real, texts, values
from trackline import use_tracking_id
from trackline.logs.fields import ECS_VERSION, ecs_fields

DATA = Path(__file__).parents[1] / "data" / "ecs"
SPEC = json.loads((DATA / "ecs-logging-spec.json").read_text())["fields"]
OURS = {"tracking_id"}  # at the top level, by our contract
NEVER = {"constant_keyword", "flattened", "nested", "object", "geo_point"}
DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def types():
    """Give the type of each field of ECS, and whether it is a list."""
    found, of = {}, ""
    for line in (DATA / "ecs-types.txt").read_text().splitlines():
        if line.startswith("["):
            of = line.strip("[]")
        else:
            found[line.removesuffix("[]")] = of, line.endswith("[]")
    return found


def is_a(of, value):
    """Say whether Elasticsearch takes a value for a field of a type; it takes a list of such values, too."""
    if type(value) is list:
        return all(type(one) is not list and is_a(of, one) for one in value)
    if of in ("keyword", "wildcard", "match_only_text"):
        return type(value) is str
    if of in ("long", "integer"):
        return type(value) is int and abs(value) < 2 ** (63 if of == "long" else 31)
    if of in ("float", "double", "scaled_float"):
        return type(value) in (int, float) and abs(value) < 3.4e38
    if of == "boolean":
        return type(value) is bool
    if of == "ip":
        return type(value) is str and "%" not in value and ip_address(value) is not None
    if of == "date":
        return type(value) is str and DATE.fullmatch(value) is not None and datetime.fromisoformat(value) is not None
    raise AssertionError(of)


def specified(of, value):
    return {
        "datetime": lambda: type(value) is str and value.endswith("Z") and datetime.fromisoformat(value) is not None,
        "string": lambda: type(value) is str,
        "integer": lambda: type(value) is int,
        "object": lambda: type(value) is dict,
    }[of]()


def holds(line):
    """Give a line, parsed (one line, UTF-8, unique keys, under the limit), having held it against specification and field reference."""
    line = parse(line)
    fields = list(line)
    for name, rule in SPEC.items():
        assert name in line or not rule["required"], name
        if "index" in rule:
            assert fields[rule["index"]] == name
        if name in line:
            assert specified(rule["type"], line[name]), (name, line[name])
    for name, value in line.items():
        if name == "labels":
            for label, inner in value.items():
                assert label.strip()
                assert not any(character in label for character in SPEC["labels"]["sanitization"]["key"]["replacements"])
                for one in inner if type(inner) is list else [inner]:
                    assert type(one) in (str, int, float, bool, type(None)), (label, inner)
        elif name not in OURS:
            of, is_list = types()[name]
            assert of not in NEVER, name
            assert is_a(of, value), (name, of, value)
            assert type(value) is list or not is_list or name not in ("event.category", "event.type"), name
    assert line["ecs.version"] == ECS_VERSION
    return line


def test_our_list_of_fields_is_that_of_the_reference():
    kinds = {
        "text": {"keyword", "wildcard", "match_only_text"},
        "integer": {"long"},
        "int32": {"integer"},
        "number": {"float", "double", "scaled_float"},
        "boolean": {"boolean"},
        "date": {"date"},
        "ip": {"ip"},
    }
    assert {name for name, (of, _) in types().items() if of not in NEVER} - set(ecs_fields()) == set()
    for name, kind in ecs_fields().items():
        assert types()[name][0] in kinds[kind], name


class Custom(Exception):
    pass


kinds = st.sampled_from([ValueError, KeyError, OSError, SyntaxError, UnicodeError, Custom, KeyboardInterrupt])
exceptions = st.recursive(
    kinds.map(lambda kind: kind()),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda members: BaseExceptionGroup("many", members)),
    max_leaves=5,
)


@st.composite
def raised(draw):
    """Give an exception that was raised, with others as its causes and contexts, and notes."""
    error = draw(exceptions)
    error.args = (error.args[0], error.args[1]) if isinstance(error, BaseExceptionGroup) else tuple(draw(st.lists(texts, max_size=3)))
    for note in draw(st.lists(texts, max_size=2)):
        error.add_note(note)
    before = draw(st.none() | exceptions)
    try:
        if draw(st.booleans()):
            raise error from before
        try:
            if before is not None:
                raise before
        finally:
            raise error
    except BaseException as caught:
        return caught


odd = st.sampled_from([name for name in ODD if name != "2**40 items"]).map(Odd)
numbers = st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**31 - 1, 1e39])
of_kind = {kind: sorted(name for name in ecs_fields() if ecs_fields()[name] == kind) for kind in ecs_fields().values()}
typed = st.tuples(st.sampled_from(sorted(of_kind)).flatmap(lambda kind: st.sampled_from(of_kind[kind])), values | numbers)
extras = st.dictionaries(names, values | odd, max_size=5) | st.lists(typed, max_size=5).map(dict)
levels = st.sampled_from([10, 20, 30, 40, 50, 7, 25])
words = st.text(st.characters(codec="utf-8"), max_size=200) | texts


@given(message=words | values, args=st.tuples() | st.tuples(values), extra=extras, error=st.none() | raised(), level=levels)
@quick
def test_any_record_holds_the_contract(message, args, extra, error, level):
    record = make_record(real(message), real(args), level=level, exc_info=error, **real(extra))
    with use_tracking_id("order-1"):
        holds(schema("ecs").line(record))


access_arguments = st.tuples(
    st.sampled_from(["10.0.0.1:5000", "::1:80", "", "unix:"]) | texts,
    st.sampled_from(["GET", "POST"]) | texts,
    st.sampled_from(["/", "/pay?a=1&token=b"]) | texts,
    st.sampled_from(["1.1", "2"]) | texts,
    st.integers() | texts,
)


@given(args=access_arguments, extra=extras)
@quick
def test_any_line_of_an_access_log_holds_the_contract(args, extra):
    record = make_record('%s - "%s %s HTTP/%s" %d', (), **real(extra))
    record.name, record.args = "uvicorn.access", args

    holds(schema("ecs", **{"service.version": "1.2", "deployment.environment.name": "live"}).line(record))


facts = st.dictionaries(st.from_regex("[a-z_]{1,9}", fullmatch=True), st.integers(0, 2**40) | st.text(), max_size=4)


@given(action=st.sampled_from(["log-open", "log-close", "encode-error"]), message=words, facts=facts)
@quick
def test_any_notice_holds_the_contract(action, message, facts):
    holds(schema("ecs").notice(action, message, facts, 1100))


@pytest.mark.parametrize("size", [10_000, 300_000])
def test_line_with_large_parts_is_under_the_limit(size):
    extra = {"a": "\x00" * size, "b": ["x" * 10] * size}

    holds(schema("ecs").line(make_record("%s", ("é" * size,), exc_info=ValueError("e" * size), **extra)))


def test_any_call_of_a_logger_is_one_line_of_the_file_that_holds_the_contract(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own refuse arguments that do not fit
    logger = logging.getLogger("orders.payment")
    plain = st.text(st.characters(codec="utf-8"), max_size=40) | st.integers() | st.floats() | st.booleans() | st.none()
    wanted = []

    @given(
        message=st.sampled_from(["paid", "paid %s", "%d of %s", "100 %"]) | words,
        args=st.lists(plain, max_size=2),
        extra=st.none() | st.dictionaries(names, plain, max_size=4) | extras,
        level=levels,
        error=st.none() | raised(),
    )
    @quick
    def log(message, args, extra, level, error):
        wanted.append(1)
        logger.log(level, message, *args, extra=extra and real(extra), exc_info=error)

    with trackline.setup_logging("orders", level=1, log_dir=tmp_path, console=False, capture=False) as handle:
        log()
        assert handle.flush()
        path = handle.stats().path

    lines = [holds(line) for line in path.read_bytes().splitlines(keepends=True)]
    assert sum(line["log.logger"] == "orders.payment" for line in lines) == len(wanted)
    assert sorted(int(line["event.id"].rpartition("-")[2]) for line in lines) == list(range(1, len(lines) + 1))
