"""The text of an exception: the traceback module's within the limits, bounded beyond them."""

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs.reading import line_of, make_record, parse, schema
from trackline.logs.contents import Contents
from trackline.logs.resource import Resource
from trackline.logs.schema import SCHEMAS
from trackline.logs.tracebacks import Tracebacks

EVERY_SCHEMA = pytest.mark.parametrize("name", list(SCHEMAS))
LINK = "The above exception was the direct cause of the following exception:"


def fall(depth):
    secret = "local".upper()
    if secret.islower():
        return None
    return climb(depth - 1) if depth else 1 // 0


def climb(depth):
    return fall(depth - 1) if depth else 1 // 0


def raised(make):
    try:
        make()
    except BaseException as error:
        return error


def chain(length):
    error = None
    for number in range(length):
        error, before = ValueError(f"number {number}"), error
        error.__cause__ = before
    return error


def text(error, **limits):
    return Tracebacks(**limits).text(error, error.__traceback__)


def throw(error):
    raise error


def test_within_the_limits_it_is_that_of_the_traceback_module():
    def context():
        try:
            fall(5)
        except ZeroDivisionError:
            {}["key"]

    group = ExceptionGroup("many", [raised(lambda: fall(3)), ExceptionGroup("inner", [ValueError("a")]), chain(3)])
    noted = ValueError("noted")
    noted.add_note("a note")
    for error in (
        raised(lambda: fall(40)),
        raised(context),
        raised(lambda: throw(group)),
        raised(lambda: compile("1 +", "<x>", "exec")),
        raised(lambda: undefined_name),  # noqa: F821
        noted,
        chain(5),
        KeyboardInterrupt(),
    ):
        assert text(error) == "".join(traceback.format_exception(error)).rstrip("\n")


def test_first_and_last_frames_are_kept_and_it_says_how_many_more_there_were():
    error = raised(lambda: fall(200))

    shown = text(error, frames=9)

    assert shown.count('  File "') == 9
    assert shown.index("in raised") < shown.index("[… 194 more frames, left out …]") < shown.index("in climb", shown.index("left out"))
    assert shown.endswith("\nZeroDivisionError: integer division or modulo by zero")


def test_frames_that_are_kept_are_as_the_traceback_module_shows_them():
    error = raised(lambda: fall(201))
    full = "".join(traceback.format_exception(error)).splitlines()

    shown = text(error, frames=9).splitlines()

    cut = shown.index("  [… 195 more frames, left out …]")
    assert shown[:cut] == full[:cut]
    assert shown[cut + 1 :] == full[-(len(shown) - cut - 1) :]


def test_recursion_to_the_limit_is_short():
    def recursing():
        return recursing()

    shown = text(raised(recursing))

    assert len(shown.splitlines()) < 60
    assert shown.splitlines()[-1].startswith("RecursionError: maximum recursion depth exceeded")


def test_of_a_long_chain_the_nearest_exceptions_and_the_first_are_kept():
    shown = text(chain(40))

    assert [line for line in shown.splitlines() if line.startswith("ValueError")] == [
        f"ValueError: number {number}" for number in (0, *range(25, 40))
    ]
    assert "[… 24 more exceptions, left out …]" in shown
    assert shown.count(LINK) == 14


@pytest.mark.parametrize("length", [15, 16, 17])
def test_chain_around_the_limit_has_all_its_exceptions(length):
    shown = text(chain(length))

    assert shown.count("ValueError: number") == min(length, 16)
    assert shown.count("1 more exceptions, left out") == (length == 17)


def test_causes_that_go_round_in_a_circle_end():
    for length, shown, left_out in ((2, 2, ""), (20, 16, "[… 4 more exceptions, left out …]")):
        first = last = chain(length)
        while first.__cause__ is not None:
            first = first.__cause__
        first.__cause__ = last

        assert text(last).count("ValueError") == shown
        assert left_out in text(last)


def test_of_a_wide_group_15_members_are_kept():
    shown = text(ExceptionGroup("many", [ValueError(str(number)) for number in range(500)]))

    assert shown.startswith(
        "ExceptionGroup: many (500 sub-exceptions)\n---------------- 1 of 500 ----------------\n    ValueError: 0\n"
    )
    assert shown.endswith("    ValueError: 14\n[… 485 more exceptions, left out …]")


def test_of_groups_in_groups_no_more_than_50_exceptions_are_kept():
    def tree(levels):
        return ExceptionGroup("g", [tree(levels - 1) if levels else ValueError("leaf") for _ in range(8)])

    shown = text(tree(4))

    assert shown.count("ExceptionGroup: g") + shown.count("ValueError: leaf") <= 50 + 10
    assert "more exceptions, left out" in shown


def test_groups_that_hold_each_other_a_hundred_levels_deep_are_cut():
    error = ValueError("leaf")
    for _ in range(100):
        error = ExceptionGroup("level", [error])

    assert text(error).count("ExceptionGroup: level") == 11


def test_long_text_keeps_its_beginning_and_its_end():
    shown = text(ValueError("ü" * 100_000), most_bytes=2000)

    assert shown.startswith("ValueError: üü")
    assert shown.endswith("üü")
    assert "bytes cut] …" in shown
    assert len(shown.encode()) < 2100


@EVERY_SCHEMA
def test_locals_are_never_in_the_line(name):
    error = raised(lambda: fall(3))
    made = schema(name).line(make_record(exc_info=error)).decode()

    assert "LOCAL" not in made


@EVERY_SCHEMA
def test_limits_hold_for_stacks_and_traces_of_other_processes(name):
    made = SCHEMAS[name](Resource("orders", {}), Contents(tracebacks=Tracebacks(frames=5, most_bytes=1024)))
    record = make_record()
    record.stack_info = record.exc_text = "x" * 5000

    assert len(made.line(record)) < 3500


@EVERY_SCHEMA
def test_exception_that_cannot_be_shown_still_gives_a_line(name):
    class Odd(Exception):
        __cause__ = property(lambda self: 1 // 0)

    line = line_of(make_record("odd", exc_info=raised(lambda: throw(Odd()))), name)

    assert "could not be formatted: ZeroDivisionError" in str(line)


errors = st.recursive(
    st.sampled_from([ValueError, KeyError, OSError, BaseException]).flatmap(lambda kind: st.text(max_size=5).map(kind)),
    lambda inner: st.lists(inner, min_size=1, max_size=20).map(lambda members: BaseExceptionGroup("g", members)),
    max_leaves=8,
)


@given(
    error=errors, others=st.lists(errors, max_size=20), frames=st.integers(1, 8), most=st.integers(1024, 4096), depth=st.integers(0, 20)
)
@settings(max_examples=30, deadline=None)
def test_any_exception_is_within_its_limits(error, others, frames, most, depth):
    last = error
    for number, other in enumerate(others):
        if number % 2:
            last.__cause__ = other
        else:
            last.__context__ = other
        last = other
    for one in (error, *others):
        one.with_traceback(raised(lambda: fall(depth)).__traceback__)
    limits = Tracebacks(frames, most)

    shown = limits.text(error, error.__traceback__)

    assert len(shown.encode("utf-8", "replace")) <= most + 100
    assert parse(SCHEMAS["ecs"](Resource("a", {}), Contents(tracebacks=limits)).line(make_record(exc_info=error)))
