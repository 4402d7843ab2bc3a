"""Documents read as lines: from whichever shipper, refused or not, and from whoever writes there as well."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.search.elasticsearch.hits import read_hit, refused_line, refused_number, same

LINE = {"@timestamp": "2026-11-22T14:40:01.123Z", "tracking_id": "order-1", "event": {"id": "0123456789ab-12"}, "message": "paid"}
INDEX = ".ds-logs-orders-default-2026.11.22-000001"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["message", "log.file.path", "log.offset", "document", "event", "event.original", "error", "@timestamp", "tracking_id", "log"]
)


def hit(source, **more):
    return {"_index": INDEX, "_id": "1", "_source": source, **more}


def test_line_has_the_file_and_the_place_that_the_shipper_names():
    line = read_hit(hit({**LINE, "log": {"offset": 4711, "file": {"path": "/var/log/orders/orders-17.log"}}}), 3)

    assert (line.path, line.number, line.service, line.process) == (Path("/var/log/orders/orders-17.log"), 4711, "orders", "17")


def test_line_of_a_shipper_that_names_no_file_has_the_index_and_its_place_among_the_hits():
    line = read_hit(hit(LINE), 3)

    assert (line.path, line.number, line.service, line.process, line.event_id) == (Path(INDEX), 3, "orders", "", "0123456789ab-12")


@pytest.mark.parametrize("index", ["logs-trackline-default", ".ds-logs-trackline-default-2026.11.22-000001", "some-index-000001"])
def test_index_that_names_no_service_gives_none(index):
    assert read_hit(hit(LINE, _index=index), 1).service == ""


def test_service_of_the_line_wins_over_the_name_of_the_index():
    assert read_hit(hit({**LINE, "service": {"name": "billing"}}), 1).service == "billing"


FILEBEAT = {
    "@timestamp": LINE["@timestamp"],
    "message": json.dumps({k: v for k, v in LINE.items() if k[0] != "@"}),
    "error": {"type": 400},
}
FAILURE_STORE = {"@timestamp": "2026-11-26T00:00:00Z", "document": {"id": "0123456789ab-12", "source": LINE}, "error": {"type": "x"}}
VECTOR = {"@timestamp": LINE["@timestamp"], "message": "no json", "event": {"original": json.dumps(LINE)}, "error.message": "refused"}


@pytest.mark.parametrize("source", [FILEBEAT, FAILURE_STORE, VECTOR], ids=["Filebeat", "failure store", "event.original"])
def test_refused_line_is_read_from_the_dead_letter(source):
    line = read_hit(hit(source), 1, was_refused=True)

    assert (line.message, line.tracking_id, line.event_id) == ("paid", "order-1", "0123456789ab-12")
    assert line.time.isoformat() == "2026-11-22T14:40:01.123000+00:00"
    assert refused_number(hit(source)) == ("0123456789ab", 12)


def test_number_of_a_refused_line_is_known_by_the_documents_name_alone():
    assert refused_number(hit({"message": "half a li"}, _id="0123456789ab-3")) == ("0123456789ab", 3)
    assert refused_number(hit({"document": {"id": "0123456789ab-4"}})) == ("0123456789ab", 4)
    assert refused_number(hit({"message": "half a li"})) is None


def test_dead_letter_in_which_no_line_is_is_its_own():
    assert refused_line({"message": '{"half a li', "error": 1}) == {"message": '{"half a li', "error": 1}


def test_two_documents_of_one_line_are_the_same_and_two_lines_are_not():
    def key(source, **more):
        found = hit(source, **more)
        return same(found, read_hit(found, 1))

    flat = {"@timestamp": "2026-11-22T15:40:01+01:00", "tracking_id": "order-1", "message": "paid"}
    in_file = {**flat, "log.offset": 7, "log.file.path": "a.log"}
    assert key(LINE) == key({**LINE, "host.name": "web-1"}, _id="2")
    assert key(in_file) == key({**in_file, "agent.id": "x"}, _id="2")
    assert key(in_file) != key({**in_file, "log.offset": 8})
    assert key(in_file) != key({**in_file, "host.name": "web-2"})
    assert key(flat) == key(flat, _index="another")
    assert key(flat) != key(flat, _id="2")


@given(source=st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=6))
def test_nothing_that_somebody_stores_raises(source):
    for was_refused in (False, True):
        line = read_hit(hit(source), 1, was_refused=was_refused)
        assert isinstance(line.raw, bytes)
        same(hit(source), line)
    refused_number(hit(source))
