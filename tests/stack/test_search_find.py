"""The story of an ID from a real Elasticsearch is that from the files, whichever shipper has put the lines there."""

import json
import re
import uuid

import pytest

from stack.documents import as_dead_letter, as_filebeat, as_otel_mode, as_written, documents, store, write
from trackline.cli import main
from trackline.elastic.connection import Connection
from trackline.identity import derive_trace_id
from trackline.search import find_lines as find_in_files
from trackline.search import render_story
from trackline.search.elasticsearch import find, find_lines
from trackline.search.line import parse_when

SHAPES = [as_written, as_filebeat]


@pytest.fixture(scope="module")
def elasticsearch(unprepared):
    """Here indices are made with all kinds of mappings, and with none."""
    return unprepared


@pytest.fixture
def tracking_id():
    return f"order/{uuid.uuid4()}"


@pytest.fixture
def search(elasticsearch, namespace):
    """Give a function that searches the namespace, and gives the lines and the complaints."""

    def search(tracking_id, **options):
        complaints = []
        with Connection(elasticsearch.url) as connection:
            lines = find_lines(tracking_id, connection, index=f"logs-*-{namespace}", warn=complaints.append, **options)
        return lines, complaints

    return search


def story(tracking_id, lines, *, with_times):
    text = render_story(tracking_id, lines, width=200)
    return text if with_times else re.sub(r"[\d.]+ m?s\b|:\d\d\.\d+ UTC|~", "T", re.sub(r" +", " ", text))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_story_is_that_from_the_files(elasticsearch, namespace, search, tmp_path, tracking_id, schema, shape):
    for service in ("gateway", "orders", "payments"):  # one after the other: Filebeat cuts times to milliseconds
        write(tmp_path, service, tracking_id, schema=schema, lines=20)
    files = find_in_files(tracking_id, [tmp_path])
    store(elasticsearch, f"logs-shop-{namespace}", documents(tmp_path, shape))

    lines, complaints = search(tracking_id)

    assert complaints == []
    assert [line.message for line in lines] == [line.message for line in files]
    if schema == "flat" and shape is as_written:  # which says in a file's name alone whose line it is
        return
    assert len(files) == 63
    with_times = shape is as_written
    assert story(tracking_id, lines, with_times=with_times) == story(tracking_id, files, with_times=with_times)


def test_story_of_the_collectors_own_documents_is_that_from_the_files(elasticsearch, namespace, search, tmp_path, tracking_id):
    write(tmp_path, "orders", tracking_id, schema="otel")
    files = find_in_files(tracking_id, [tmp_path])
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path, as_otel_mode), mappings=None)

    lines, _ = search(tracking_id)

    assert story(tracking_id, lines, with_times=True) == story(tracking_id, files, with_times=True)


def test_json_is_the_line_as_it_was_logged(elasticsearch, namespace, search, tmp_path, tracking_id):
    write(tmp_path, "orders", tracking_id)
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path))

    lines, _ = search(tracking_id)

    assert [json.loads(line.raw) for line in lines] == [json.loads(line.raw) for line in find_in_files(tracking_id, [tmp_path])]


def test_numbers_of_any_size_and_odd_texts_come_back_as_they_were(elasticsearch, namespace, search):
    odd = {"@timestamp": "2026-11-22T14:40:01Z", "tracking_id": "odd", "n": 2**70, "f": 1.5, "s": "\ud800\x1b", "é": None}
    store(
        elasticsearch,
        f"logs-a-{namespace}",
        [("1", odd)],
        mappings={"dynamic": False, "properties": {"tracking_id": {"type": "keyword"}}},
    )

    ((line,), _) = search("odd")

    assert json.loads(line.raw) == odd


@pytest.mark.parametrize("mappings", [None, {"properties": {"tracking_id": {"type": "text"}}}], ids=["dynamic", "text"])
@pytest.mark.parametrize("tracking_id", ["order/1742", "a-b_c.d", "7b1c9a52", "<a b>", "Ä+ö"])
def test_id_is_found_whole_where_no_template_made_it_a_keyword(elasticsearch, namespace, search, mappings, tracking_id):
    time = {"@timestamp": "2026-11-22T14:40:01Z"}
    longer = {f"x {tracking_id}", f"{tracking_id} x", tracking_id.upper() + "-1"}
    rows = [time | {"tracking_id": text, "message": "another"} for text in longer]
    rows += [time | {"tracking_id": "x", "message": f"mentions {tracking_id}"}]
    rows += [
        time | {"tracking_id": tracking_id, "message": "found"},
        time | {"trace": {"id": derive_trace_id(tracking_id)}, "message": "found"},
    ]
    rows += [
        time | {"attributes": {"tracking_id": tracking_id}, "message": "found"},
        time | {"labels": {"tracking_id": tracking_id}, "message": "found"},
    ]
    store(elasticsearch, f"logs-a-{namespace}", [(str(number), row) for number, row in enumerate(rows)], mappings=mappings)

    lines, _ = search(tracking_id)

    assert [line.message for line in lines] == ["found"] * 4


def test_field_that_is_a_number_in_one_index_does_not_hide_the_others(elasticsearch, namespace, search):
    row = {"@timestamp": "2026-11-22T14:40:01Z", "tracking_id": "1742"}
    store(elasticsearch, f"logs-a-{namespace}", [("1", row)], mappings={"properties": {"tracking_id": {"type": "long"}}})
    store(elasticsearch, f"logs-b-{namespace}", [("1", row | {"@timestamp": "2026-11-22T14:40:02Z"})])

    assert len(search("1742")[0]) == 2
    assert search("order/1742")[0] == []


def test_pages_give_each_line_once_in_order(elasticsearch, namespace, search, tmp_path, tracking_id, monkeypatch):
    monkeypatch.setattr(find, "_PAGE", 7)
    write(tmp_path, "orders", tracking_id, lines=100)
    found = documents(tmp_path, as_filebeat)
    for number in range(3):
        nanos = {"subobjects": False, "properties": {"@timestamp": {"type": "date_nanos"}}}
        store(elasticsearch, f"logs-{number}-{namespace}", found[number::3], mappings=nanos if number == 1 else None)

    lines, _ = search(tracking_id)

    assert [line.message for line in lines] == [f"orders has paid {number}" for number in range(100)] + ["not paid"]


def test_line_that_is_stored_twice_is_told_once(elasticsearch, namespace, search, tmp_path, tracking_id):
    write(tmp_path, "orders", tracking_id)
    store(elasticsearch, f"logs-a-{namespace}", documents(tmp_path))
    store(elasticsearch, f"logs-b-{namespace}", [(None, fields) for _, fields in documents(tmp_path, as_filebeat)])

    assert len(search(tracking_id)[0]) == 6


def test_since_and_until_leave_out_lines_before_and_after_and_none_without_a_time(elasticsearch, namespace, search):
    rows = [{"@timestamp": f"2026-11-22T14:40:0{second}.123Z", "tracking_id": "a", "message": str(second)} for second in range(5)]
    store(
        elasticsearch,
        f"logs-a-{namespace}",
        [(str(number), row) for number, row in enumerate([*rows, {"tracking_id": "a", "message": "?"}])],
    )

    lines, _ = search("a", since=parse_when("2026-11-22T14:40:01.123456Z"), until=parse_when("2026-11-22T15:40:03.123+01:00"))

    assert [line.message for line in lines] == ["1", "2", "3", "?"]


def test_lines_that_were_refused_are_found_among_the_dead_letters_and_it_is_said(
    elasticsearch, namespace, search, tmp_path, tracking_id
):
    write(tmp_path, "orders", tracking_id)
    refused = documents(tmp_path, as_dead_letter)[4:]
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path)[:4])
    store(elasticsearch, f"logs-trackline.deadletter-{namespace}", refused)
    # Two or three: the line that opens the file may be among the first four, if the writer was quick.
    count = sum(json.loads(document["message"]).get("tracking_id") == tracking_id for _, document in refused)

    lines, complaints = search(tracking_id)

    assert [line.message for line in lines] == [line.message for line in find_in_files(tracking_id, [tmp_path])]
    assert complaints == [f"{count} of the lines were refused by the index, and logs-trackline.deadletter-{namespace} has them"]


def test_command_prints_the_story_and_exits_with_0(elasticsearch, namespace, tmp_path, tracking_id, monkeypatch, capsys):
    write(tmp_path, "orders", tracking_id)
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path))
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch.url)

    assert main(["find", tracking_id, "--elasticsearch", "--index", f"logs-*-{namespace}"]) == 0
    assert "6 lines: orders 6; 1 ERROR" in capsys.readouterr().out
    assert main(["find", "no-such-id", "--elasticsearch", elasticsearch.url, "--index", f"logs-*-{namespace}"]) == 1
    assert capsys.readouterr().err == "trackline: no line with the ID no-such-id\n"
