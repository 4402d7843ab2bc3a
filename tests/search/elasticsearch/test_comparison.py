"""Files against an index, as sets of numbers; and what somebody who was woken up reads of it."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from search.writing import NONCE
from trackline.search.account import account
from trackline.search.audit import AuditReport
from trackline.search.elasticsearch.audit import ComparisonReport
from trackline.search.elasticsearch.comparison import compare
from trackline.search.elasticsearch.stored import StoredLedger
from trackline.search.elasticsearch.verdict import render_comparison
from trackline.search.numbers import merged
from trackline.terminal import columns

NUMBERS = st.lists(st.integers(1, 30), max_size=40)


def ledger(name, numbers):
    made = StoredLedger(Path(name))
    for number in numbers:
        made.parts[NONCE].numbers.add(number)
    return made


def accounted(**by_name):
    ledgers = [ledger(name, numbers) for name, numbers in by_name.items() if numbers]
    return account(NONCE, ledgers) if ledgers else None


def members(runs):
    return [number for first, last in runs for number in range(first, last + 1)]


def compared(files, first=(), second=(), refused=()):
    stored = {*first, *second}
    left = sorted(set(refused) - stored)
    return compare(accounted(logs=files), accounted(first=first, second=second, dead=left), merged((n, n) for n in left)[0])


@given(files=NUMBERS.filter(bool), first=NUMBERS, second=NUMBERS, refused=NUMBERS)
def test_comparison_is_that_of_sets(files, first, second, refused):
    there, stored, dead = set(files), Counter([*first, *second]), set(refused)

    found = compared(files, first, second, refused)

    assert members(found.missing_numbers) == sorted(there - set(stored) - dead)
    assert found.missing == len(members(found.missing_numbers))
    assert found.stored == len(there & set(stored))
    assert found.refused == len((there & dead) - set(stored))
    assert found.stored + found.refused + found.missing == len(there)
    assert found.only_stored == len([n for n in {*stored, *dead} - there if n < max(there)])
    assert members(found.duplicated_numbers) == sorted(n for n, count in stored.items() if count > 1)
    assert found.duplicated == sum(stored.values()) - len(stored)


def test_process_that_the_index_does_not_know_is_missing():
    found = compared([1, 2, 3])

    assert (found.missing, found.stored, found.duplicated, found.is_proved) == (3, 0, 0, False)


def test_line_that_the_files_lack_and_the_index_has_is_not_lost():
    assert compared([1, 2, 5], first=[1, 2, 3, 5]).lost == 1
    assert compared([1, 2, 5], first=[1, 2, 5]).lost == 2


def told(*processes, width=120, **changes):
    files = AuditReport(
        processes=tuple(process.files for process in processes),
        broken=(),
        broken_count=0,
        uncounted=0,
        uncounted_in=(),
        copies=(),
        problems=(),
        files=(Path("logs"),),
    )
    facts = {"indices": (), "refused_in": (Path("logs-trackline.deadletter-default"),), "problems": ()}
    return render_comparison(ComparisonReport(processes=processes, files=files, **{**facts, **changes}), width=width)


def test_verdict_says_what_is_missing_doubled_and_refused():
    text = told(compared(range(1, 11), first=[*range(1, 5), 4], refused=[7, 8]), compared([1, 2], first=[1, 2]))

    assert text == (
        f"   ? {NONCE}   2 lines not closed: unknown after #2\n"
        f"!! ? {NONCE}  10 lines 4 MISSING in the index, 1 stored more than once, 2 refused, not closed: unknown after #10\n"
        f"     4 missing at #5–6, #9–10 (event.id {NONCE}-#)\n"
        "     more than once #4 in 1 index: first\n"
        "2 processes, 12 lines in the files: 4 MISSING in the index, 1 stored more than once\n"
        "refused: 2 lines, not to be found by their fields, and kept in logs-trackline.deadletter-default\n"
        "not closed: 2 processes, still running or killed: what came after the last line is unknown\n"
    )


def test_verdict_of_nothing_says_that_nothing_can_be_proved():
    assert "nothing can be proved" in told()


@given(files=NUMBERS.filter(bool), first=NUMBERS, width=st.integers(1, 200))
def test_rows_fit_whatever_was_found(files, first, width):
    assert max(map(columns, told(compared(files, first), width=width).splitlines())) <= max(width, 40)
