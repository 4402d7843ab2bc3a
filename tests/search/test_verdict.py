"""What somebody who was woken up reads of an audit."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from trackline.search.account import ProcessAudit
from trackline.search.audit import AuditReport
from trackline.search.ledger import BrokenLine
from trackline.search.verdict import render_audit
from trackline.terminal import columns


def process(number=1, **changes):
    facts = {
        "nonce": f"{number:012x}",
        "service": "orders",
        "host": "web-1",
        "pid": str(4700 + number),
        "first": datetime(2026, 11, 22, 14, 40, 1, tzinfo=UTC),
        "last": datetime(2026, 11, 22, 14, 52, 10, tzinfo=UTC),
        "lines": 1000,
        "highest": 1000,
        "is_closed": True,
        "dropped": 0,
        "missing": 0,
        "missing_numbers": (),
        "earlier": 0,
        "duplicated": 0,
        "duplicated_numbers": (),
        "duplicated_in": (),
        "files": (Path("logs/orders.log"),),
    }
    return ProcessAudit(**{**facts, **changes})


def report(*processes, **changes):
    facts = {"broken": (), "broken_count": 0, "uncounted": 0, "uncounted_in": (), "copies": (), "problems": (), "files": ()}
    return AuditReport(processes=processes, **{**facts, **changes})


def told(*processes, width=120, **changes):
    return render_audit(report(*processes, **changes), width=width)


def test_row_a_process_and_the_sum_where_all_is_well():
    assert told(process(1), process(2, lines=1_000_000)) == (
        "   orders pid 4701 on web-1 2026-11-22 14:40:01 – 14:52:10 UTC     1,000 lines closed\n"
        "   orders pid 4702 on web-1 2026-11-22 14:40:01 – 14:52:10 UTC 1,000,000 lines closed\n"
        "2 processes, 1,001,000 lines: nothing missing\n"
    )


def test_what_is_missing_comes_last_with_its_numbers():
    rows = told(process(1, missing=12, missing_numbers=((3, 13), (20, 20))), process(2)).splitlines()

    assert [row[:2] for row in rows[:2]] == ["  ", "!!"]
    assert rows[1].endswith("12 MISSING, closed")
    assert rows[2].strip() == "12 missing at #3–13, #20 (event.id 000000000001-#)"
    assert rows[-1] == "2 processes, 2,000 lines: 12 MISSING"


def test_places_where_declared_drops_may_be_too_are_said_to_be_so():
    assert "12 missing among #3–20" in told(process(missing=12, missing_numbers=((3, 20),), dropped=6))


def test_what_cannot_be_known_is_said_below_the_sum():
    rows = told(process(1, is_closed=False), process(2, earlier=500), process(3, dropped=7)).splitlines()

    assert rows[0].endswith("not closed: unknown after #1,000")
    assert rows[3:] == [
        "3 processes, 3,000 lines: nothing missing",
        "dropped: 7 lines, declared by the log itself: the queue was full",
        "before the oldest file: 500 lines of 1 process, not checked: deleted by retention, or not given here",
        "not closed: 1 process, still running or killed: what came after the last line is unknown",
    ]


def test_broken_lines_are_named_and_the_many_are_counted():
    broken = tuple(BrokenLine(Path("logs/a.log"), number, "half a line") for number in range(1, 1001))

    rows = told(process(), broken=broken, broken_count=12_345).splitlines()

    assert rows[2:4] == ["broken: 12,345 lines", "    logs/a.log:1 half a line"]
    assert rows[-1].strip() == "and 12,335 more"


def test_hundreds_of_processes_that_are_well_do_not_hide_the_one_that_is_not():
    rows = told(*map(process, range(500)), process(501, missing=1, missing_numbers=((5, 5),))).splitlines()

    assert len(rows) == 20 + 1 + 2 + 1
    assert rows[20] == "   and 480 processes more with 480,000 lines"
    assert rows[21].startswith("!!")


def test_many_places_are_cut():
    numbers = tuple((number, number) for number in range(2, 2000, 2))

    assert "and 991 more places" in told(process(missing=999, missing_numbers=numbers))


def test_nothing_to_prove_is_said():
    assert "nothing can be proved" in told(uncounted=3, uncounted_in=(Path("a.log"),))


@given(
    text=st.text(max_size=30),
    width=st.integers(1, 200),
    numbers=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), max_size=20),
)
def test_rows_are_harmless_and_fit_whatever_is_in_the_files(text, width, numbers):
    path = Path(f"logs/{text}.log".replace("\0", ""))
    hostile = process(
        service=text,
        host=text,
        pid=text,
        first=None,
        missing=7,
        missing_numbers=tuple(numbers),
        duplicated=1,
        duplicated_in=(path,) * 9,
    )

    rows = told(hostile, process(is_closed=False), broken=(BrokenLine(path, 1, "half a line"),), broken_count=1, width=width).split(
        "\n"
    )

    assert all(row.isprintable() for row in rows)
    assert all(columns(row) <= max(width, 40) for row in rows)
