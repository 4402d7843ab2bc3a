"""The story: what a tired person on call sees, and what a hostile log line cannot do to the terminal."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.search.line import read_line
from trackline.search.story import render_story
from trackline.terminal import columns, printable

START = datetime(2026, 11, 22, 14, 40, 1, 123456, tzinfo=UTC)
TRACEBACK = """\
Traceback (most recent call last):
  File "/app/cards.py", line 3, in find
    return CARDS[number]
           ~~~~~^^^^^^^^
KeyError: 4711

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/a.py", line 1, in outermost
    first()
  File "/app/b.py", line 2, in second
    third()
  File "/app/c.py", line 3, in third
    fourth()
  File "/app/d.py", line 4, in innermost
    raise ValueError("no card")
ValueError: no card
"""


def line(message="paid", after=0.0, **fields):
    fields = {
        "@timestamp": (START + timedelta(seconds=after)).isoformat(),
        "log.level": "info",
        "message": message,
        "tracking_id": "order-1",
        "service.name": "orders",
        "process.pid": 7,
        **fields,
    }
    return read_line(b"", Path("app.log"), 1, fields)


def story(*lines, width=100, color=False):
    return render_story("order-1", lines, width=width, color=color).splitlines()


def test_header_says_id_date_span_services_and_errors():
    header = story(
        line(**{"trace.id": "abc"}),
        line(after=0.0312, **{"service.name": "billing", "log.level": "error"}),
        line(after=0.5),
    )

    assert header[:3] == [
        "tracking ID order-1",
        "trace ID    abc",
        "2026-11-22 14:40:01.123 UTC, 500.0 ms, 3 lines: orders 2, billing 1; 1 ERROR",
    ]


def test_rows_are_aligned_and_count_the_time_from_the_first_line():
    rows = story(line(), line("refused", after=0.0123, **{"service.name": "billing", "process.pid": 9001, "log.level": "warning"}))

    assert rows[-2:] == [
        "    +0.0 ms  orders     7 INFO   paid",
        "!  +12.3 ms  billing 9001 WARN   refused",
    ]


@pytest.mark.parametrize(
    ("after", "shown"),
    [(0.0001, "+0.1 ms"), (1.5, "+1.500 s"), (150, "+0:02:30.0"), (90_000, "+1 d 1:00:00")],
)
def test_time_is_told_in_a_unit_that_fits(after, shown):
    assert shown in story(line(), line(after=after))[-1]


def test_time_in_whole_seconds_is_told_as_about():
    assert "~+1.000 s" in story(line(after=-0.123456), line(after=0.876544))[-1]


def test_line_without_a_time_is_told_with_a_question_mark():
    assert story(line(**{"@timestamp": "soon"}))[-1].split()[0] == "?"


def test_error_has_a_mark_that_survives_without_colour():
    marked = [row for row in story(line(), line(**{"log.level": "error"})) if row.startswith("!!")]

    assert len(marked) == 1


def test_extras_and_origin_follow_the_message():
    row = story(line(**{"labels": {"amount": 5, "note": "two words"}, "log.origin.file.name": "main.py", "log.origin.file.line": 3}))[
        -1
    ]

    assert row.endswith('paid  amount=5 note="two words" [main.py:3]')


def test_duration_of_an_event_is_told_in_milliseconds():
    assert story(line(**{"event.duration": 12_345_678}))[-1].endswith("paid  duration=12.3ms")


def test_line_of_another_tracking_id_in_the_same_trace_says_so():
    assert "tracking_id=order-2" in story(line(tracking_id="order-2"))[-1]


def test_exception_is_told_as_type_message_last_frames_and_cause():
    rows = story(line("not paid", **{"error.type": "ValueError", "error.message": "no card", "error.stack_trace": TRACEBACK}))

    assert [row.strip() for row in rows[-9:]] == [
        "ValueError: no card",
        "… 1 before",
        "/app/b.py:2 second",
        "third()",
        "/app/c.py:3 third",
        "fourth()",
        "/app/d.py:4 innermost",
        'raise ValueError("no card")',
        "after KeyError: 4711",
    ]


def test_exception_without_a_type_is_told_by_the_last_line_of_its_traceback():
    assert "ValueError: no card" in [row.strip() for row in story(line(**{"error.stack_trace": TRACEBACK}))]


def test_stack_of_another_language_is_told_from_its_top():
    stack = (
        "java.lang.IllegalState: no card\n" + "".join(f"\tat Card{i}.java\n" for i in range(50)) + "Caused by: java.io.IOException\n"
    )

    rows = [row.strip() for row in story(line(**{"error.stack_trace": stack}))]

    assert rows[rows.index("at Card0.java") - 1] == "java.lang.IllegalState: no card"
    assert {"at Card49.java", "Caused by: java.io.IOException"}.isdisjoint(rows)


def test_message_of_several_lines_cannot_pass_for_a_line_of_its_own():
    rows = story(line("paid\n!! +0.1 ms  orders 7 ERROR  forged"))

    assert rows[-1].startswith(" " * 20)
    assert rows[-1].strip().startswith("!! +0.1 ms")


def test_message_of_megabytes_is_cut_and_says_so():
    rows = story(line("x" * 5_000_000))

    assert len(rows) < 20
    assert "… cut: --json has all of it" in rows[-1]


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b2J", "\u202e", "\x7f", "\u2028", "\udcff", "\0"])
@pytest.mark.parametrize(
    "field",
    [
        "message",
        "service.name",
        "log.level",
        "labels.a",
        "error.message",
        "error.stack_trace",
        "log.origin.function",
        "trace.id",
        "tracking_id",
    ],
)
def test_control_characters_of_a_field_do_not_reach_the_terminal(field, hostile):
    text = render_story("order-1", [line(**{field: f"a{hostile}b"})], width=100)

    assert text.replace("\n", "").isprintable()
    assert hostile not in text


def test_control_characters_of_an_extra_key_and_of_the_id_do_not_reach_the_terminal():
    text = render_story("\x1b[2J", [line(labels={"\x1b[2J": 1})], width=100)

    assert "\x1b" not in text


def test_printable_text_stays_as_it_is():
    assert printable("naïve 日本 🎉") == "naïve 日本 🎉"


def test_wide_characters_count_two_columns_and_combining_ones_none():
    assert [columns(text) for text in ("paid", "日本", "e\u0301")] == [4, 4, 1]


def test_colour_is_there_only_if_asked_for():
    lines = [line(**{"log.level": "error", "log.origin.file.name": "main.py"})]
    colored = render_story("order-1", lines, width=100, color=True)

    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render_story("order-1", lines, width=100)


def test_story_of_no_lines_has_a_header_only():
    assert story() == ["tracking ID order-1", "0 lines"]


FIELDS = ("service.name", "log.level", "error.type", "error.message", "error.stack_trace", "log.origin.file.name", "a", "日")
TEXT = st.text(max_size=300) | st.sampled_from(["日" * 200, "e\u0301" * 200, "word " * 100, TRACEBACK, "\t" * 50])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"message": TEXT},
            optional=dict.fromkeys(FIELDS, TEXT),
        ),
        max_size=4,
    ),
    st.integers(20, 200),
)
def test_no_row_is_wider_than_the_terminal(lines, width):
    for row in render_story("order-1", [line(**fields) for fields in lines], width=width).splitlines():
        assert columns(row) <= width


def test_line_of_our_own_access_log_is_its_message():
    ours = line(
        "GET /charges/7 200 in 3.8 ms",
        **{"log.logger": "trackline.access", "event.duration": 3_800_000, "labels": {"http_route": "/charges/{n}"}},
        **{"log.origin.file.name": "access_log.py", "log.origin.file.line": 73, "http.request.method": "GET"},
    )

    assert story(ours)[-1].endswith("INFO   GET /charges/7 200 in 3.8 ms")


def test_access_line_shows_neither_the_client_nor_its_fields_a_second_time():
    access = line(
        '127.0.0.1:49132 - "POST /charges HTTP/1.1" 201',
        **{"log.logger": "uvicorn.access", "client.port": 49132, "url.path": "/charges", "log.origin.file.name": "httptools_impl.py"},
    )

    assert story(access)[-1].endswith('INFO   "POST /charges HTTP/1.1" 201')


def test_value_that_is_too_long_for_its_column_is_not_broken():
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    rows = story(line(labels={"traceparent": traceparent}), width=75)

    assert rows[-1] == f"        traceparent={traceparent}"


def test_place_is_shortened_before_it_takes_a_row_of_its_own():
    place = {"log.origin.file.name": "main.py", "log.origin.file.line": 12, "log.origin.function": "pay_by_card"}

    assert story(line(**place), width=80)[-1].endswith("paid  [main.py:12 pay_by_card]")
    assert story(line("paid by the card of a customer", **place), width=80)[-1].endswith("customer  [main.py:12]")
