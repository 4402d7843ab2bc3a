"""Whatever is in the fields: one line of JSON, whichever of its ways it takes."""

import pytest

from logs.odd import ODD
from logs.reading import parse
from trackline.logs.dump import dump


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd != "2**40 items"])  # by name: pytest itself looks at what it is given
def test_any_value_gives_a_line(odd):
    line = parse(dump({"before": 1, "odd": ODD[odd], "after": 2}))

    assert (line["before"], line["after"]) == (1, 2)


def test_fields_are_cut_from_the_end_and_the_line_says_how_many():
    line = parse(dump({f"field {number}": "x" * 200 for number in range(5000)}))

    kept, cut = len(line) - 1, int(line["labels"]["trackline_cut"].split()[0])
    assert list(line)[:-1] == [f"field {number}" for number in range(kept)]
    assert kept + cut == 5000


def test_line_holds_no_more_memory_than_its_length():
    assert dump({"a": 1}).__sizeof__() < 100
