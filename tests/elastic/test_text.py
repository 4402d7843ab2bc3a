"""JSON for people, and the difference between two pieces of it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from trackline.elastic.text import WIDTH, as_text, difference

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=20), inner, max_size=8),
    max_leaves=40,
)


@given(values)
def test_whatever_it_is_it_stays_the_same_value(value):
    assert json.loads(as_text(value)) == value


def test_what_fits_on_a_line_is_on_one_and_no_line_is_too_long():
    text = as_text({"a": {"b": 1, "c": [1, 2]}, "names": [f"name.{number}" for number in range(100)]})

    assert '  "a": {"b": 1, "c": [1, 2]},' in text.splitlines()
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_order_of_keys_is_no_difference():
    assert difference({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}) == []


def test_what_is_new_is_all_added():
    assert difference(None, {"a": 1})[1:] == ['+{"a": 1}']


def test_a_change_is_its_two_rows():
    before = {f"key{number}": "x" * 60 for number in range(9)}

    rows = difference(before, before | {"key4": "y"})

    assert [row for row in rows if row[0] in "+-"] == [f'-  "key4": "{"x" * 60}",', '+  "key4": "y",']
