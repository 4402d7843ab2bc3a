"""Runs of numbers against sets of them."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trackline.search import numbers
from trackline.search.numbers import Numbers, common, gaps, merged, size

NUMBERS = st.lists(st.integers(1, 40))


def members(runs):
    return [number for first, last in runs for number in range(first, last + 1)]


def runs_of(values):
    return merged((value, value) for value in values)[0]


@given(values=NUMBERS, loose=st.integers(1, 5), asked=st.integers(0, 40))
def test_numbers_of_any_order_are_those_that_came_and_those_that_came_again(values, loose, asked):
    found = Numbers()
    found._most = loose
    for index, value in enumerate(values):
        found.add(value)
        if index == asked:
            found.runs()

    runs = found.runs()
    assert members(runs) == sorted(set(values))
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(runs))
    assert members(found.again()) == sorted(value for value, count in Counter(values).items() if count > 1)
    assert found.repeats == len(values) - len(set(values))


@given(values=NUMBERS, first=st.integers(1, 45), last=st.integers(0, 45))
def test_gaps_are_what_is_not_there(values, first, last):
    assert members(gaps(runs_of(values), first, last)) == [n for n in range(first, last + 1) if n not in values]


@given(some=NUMBERS, others=NUMBERS)
def test_common_is_what_both_have(some, others):
    assert members(common(runs_of(some), runs_of(others))) == sorted(set(some) & set(others))


def test_million_numbers_nearly_in_order_are_a_handful_of_runs():
    found = Numbers()
    for start in range(1, 1_000_001, 10):
        for value in (start + 1, start, *range(start + 3, start + 10), start + 2):
            found.add(value)
        assert len(found._runs) <= numbers._LOOSE + 1

    assert found.runs() == [(1, 1_000_000)]
    assert size(found.again()) == found.repeats == 0
