"""What has arrived in a real Elasticsearch, by the numbers of the lines: nothing missing, nothing twice, or which."""

import json
import uuid

import pytest

from search.writing import closing, made, opening
from stack.documents import MAPPED, as_dead_letter, as_filebeat, as_otel_mode, as_written, documents, lines_of, number, store, write
from trackline.cli import main
from trackline.elastic.connection import Connection
from trackline.search.elasticsearch import audit, audit_arrival, audit_index, stored


@pytest.fixture(scope="module")
def elasticsearch(unprepared):
    """Here indices are made with all kinds of mappings, and with none."""
    return unprepared


@pytest.fixture
def index(namespace):
    return f"logs-*-{namespace}"


@pytest.fixture
def run(elasticsearch, index, capsys):
    """Give a function that runs `trackline audit` over an index, and gives status, stdout and stderr."""

    def run(*arguments, wait="0"):
        command = ["audit", *map(str, arguments), "--elasticsearch", elasticsearch.url, "--index", index, "--wait", wait]
        status = main(command)
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


@pytest.fixture
def logs(tmp_path):
    """Give a folder in which two processes have logged ten lines each, those that open and close a file included."""
    folder = tmp_path / "logs"
    for service in ("gateway", "orders"):
        write(folder, service, "order/1742", lines=6)
    return folder


@pytest.mark.parametrize("shape", [as_written, as_filebeat])
def test_lines_that_have_all_arrived_once_are_proved(elasticsearch, namespace, run, logs, shape):
    store(elasticsearch, f"logs-shop-{namespace}", documents(logs, shape))

    status, out, err = run(logs, "--strict")

    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "2 processes, 20 lines in the files: each in the index, once"


def test_lines_of_the_schema_otel_are_proved_too(elasticsearch, namespace, run, tmp_path):
    write(tmp_path, "orders", "order/1742", schema="otel")
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path, as_otel_mode))

    assert run(tmp_path, "--strict")[0] == 0
    assert run("--strict")[1].splitlines()[-1] == "1 process, 9 lines: nothing missing"


def test_line_that_has_not_arrived_is_missing_and_named(elasticsearch, namespace, run, logs):
    every = documents(logs)
    store(elasticsearch, f"logs-shop-{namespace}", [*every[:3], *every[5:]])
    nonce = every[0][0].partition("-")[0]

    status, out, _ = run(logs)

    assert status == 1
    assert f"2 missing at #4–5 (event.id {nonce}-#)" in out
    assert "2 processes, 20 lines in the files: 2 MISSING in the index" in out
    assert [row[:2] for row in out.splitlines()[:2]] == ["  ", "!!"]


def test_line_that_is_missing_at_the_end_is_missing(elasticsearch, namespace, run, logs):
    every = documents(logs)
    store(elasticsearch, f"logs-shop-{namespace}", every[:-1])

    assert run(logs)[0] == 1
    # The numbers that are there have no gap: that there was one more, only the files know.
    status, out, _ = run()
    assert status == 0
    assert "not closed: unknown after #9" in out


def test_process_of_which_nothing_has_arrived_is_missing_as_a_whole(elasticsearch, namespace, run, logs):
    store(elasticsearch, f"logs-shop-{namespace}", documents(logs)[:10])

    status, out, _ = run(logs)

    assert status == 1
    assert "10 MISSING in the index" in out
    assert "not in the index at all: 1 process" in out


def test_line_that_is_stored_under_two_ids_or_in_two_indices_is_there_more_than_once(elasticsearch, namespace, run, logs):
    every = documents(logs)
    store(elasticsearch, f"logs-shop-{namespace}", [*every, (None, every[2][1])])
    store(elasticsearch, f"logs-again-{namespace}", [every[4], every[12]])

    status, out, _ = run(logs)
    process, *_, summary = map(json.loads, run(logs, "--json")[1].splitlines())

    assert status == 1
    assert "2 processes, 20 lines in the files: 3 stored more than once" in out
    assert f"more than once #3, #5 in 2 indexes: logs-again-{namespace} logs-shop-{namespace}" in out
    assert (process["duplicated"], process["duplicated_numbers"], process["missing"]) == (2, [[3, 3], [5, 5]], 0)
    assert (summary["summary"]["duplicated"], summary["summary"]["is_proved"]) == (3, False)
    assert run()[0] == 1
    assert "more than once: 3 lines" in run()[1]


def test_refused_line_is_not_lost_and_it_is_said_where_it_is(elasticsearch, namespace, run, logs):
    every, refused = documents(logs), documents(logs, as_dead_letter)
    store(elasticsearch, f"logs-shop-{namespace}", [*every[:3], *every[5:]])
    # One under the name of its line, one that says it only in the text.
    store(elasticsearch, f"logs-trackline.deadletter-{namespace}", [refused[3], (None, refused[4][1])])

    status, out, _ = run(logs)

    assert status == 0
    assert "2 processes, 20 lines in the files: nothing missing, but some refused" in out
    kept = f"refused: 2 lines, not to be found by their fields, and kept in logs-trackline.deadletter-{namespace}"
    assert kept in " ".join(out.split())
    assert run(logs, "--strict")[0] == 1
    status, out, _ = run()
    assert status == 0
    assert "2 processes, 20 lines: nothing missing" in out
    assert kept in " ".join(out.split())


def test_refused_line_that_was_stored_after_all_is_there_once(elasticsearch, namespace, run, logs):
    store(elasticsearch, f"logs-shop-{namespace}", documents(logs))
    store(elasticsearch, f"logs-trackline.deadletter-{namespace}", documents(logs, as_dead_letter)[3:5])

    assert run(logs, "--strict")[0] == 0


def test_lines_that_retention_has_deleted_from_the_files_are_in_the_index_and_no_error(elasticsearch, namespace, run, tmp_path):
    write(tmp_path, "orders", "order/1742")
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path))
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(b"".join(raw for _, _, raw in list(lines_of(tmp_path))[3:]))

    status, out, _ = run(tmp_path)

    assert status == 0
    assert "only in the index: 3 lines of 1 process" in out
    assert run(tmp_path, "--strict")[0] == 0  # each line that there ever was is in the index


def test_what_was_logged_after_the_files_were_read_is_no_matter_of_the_audit(elasticsearch, namespace, run, tmp_path):
    write(tmp_path, "orders", "order/1742")
    store(elasticsearch, f"logs-orders-{namespace}", documents(tmp_path))
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(b"".join(raw for _, _, raw in lines_of(tmp_path) if number(raw) <= 5))

    assert run(tmp_path)[:1] == (0,)
    assert "only in the index" not in run(tmp_path)[1]


def test_numbers_of_the_index_alone_show_a_gap(elasticsearch, namespace, run, logs):
    every = documents(logs, as_filebeat)
    store(elasticsearch, f"logs-shop-{namespace}", [*every[:3], *every[5:]])

    status, out, _ = run()
    gateway, orders, summary = map(json.loads, run("--json")[1].splitlines())

    assert status == 1
    assert "2 missing at #4–5" in out
    assert (gateway["service"], gateway["missing_numbers"], gateway["is_closed"]) == ("gateway", [[4, 5]], True)
    assert (orders["service"], orders["lines"], orders["missing"], bool(orders["pid"]), bool(orders["host"])) == (
        "orders",
        10,
        0,
        True,
        True,
    )
    assert summary["summary"]["missing"] == 2


def test_index_whose_oldest_part_is_deleted_has_earlier_lines_and_no_missing_ones(elasticsearch, namespace, run):
    lines = [opening(1), *map(made, range(2, 9)), opening(9, 2), made(10), closing(11)]
    store(elasticsearch, f"logs-shop-{namespace}", [as_written(None, 0, line) for line in lines[4:]])

    status, out, _ = run()

    assert status == 0
    assert "before the oldest index: 4 lines of 1 process" in out


def test_process_of_which_no_line_opens_a_file_is_named_all_the_same(elasticsearch, namespace, run):
    store(elasticsearch, f"logs-shop-{namespace}", [as_written(None, 0, made(number)) for number in range(5, 9)])

    assert "   orders pid 7 2026-11-22 14:40:05" in run()[1]


def test_dropped_lines_that_the_log_declares_are_not_missing(elasticsearch, namespace, run):
    lines = [opening(1), made(2), made(5, action="log-drop", dropped=2), made(6), closing(7, dropped=2)]
    store(elasticsearch, f"logs-shop-{namespace}", [as_filebeat("a.log", 0, line) for line in lines])

    status, out, _ = run()

    assert status == 0
    assert "dropped: 2 lines, declared by the log itself" in out


def test_documents_without_a_number_are_counted(elasticsearch, namespace, run, logs, tmp_path):
    write(tmp_path / "flat", "old", "order/1742", schema="flat")
    foreign = [("x", {"@timestamp": "2026-11-22T14:40:01Z", "event": {"id": str(uuid.uuid4())}})]
    store(elasticsearch, f"logs-shop-{namespace}", [*documents(logs), *documents(tmp_path / "flat"), *foreign])

    status, out, _ = run()

    assert status == 0
    assert "without a number: 10 lines" in out


@pytest.mark.parametrize("mappings", [None, {"properties": {"@timestamp": {"type": "date_nanos"}}}], ids=["dynamic", "nanoseconds"])
def test_numbers_are_read_where_no_template_made_them_keywords(elasticsearch, namespace, run, logs, mappings):
    every = documents(logs, as_filebeat)
    store(elasticsearch, f"logs-a-{namespace}", every[::2], mappings=mappings)
    store(elasticsearch, f"logs-b-{namespace}", every[1::2], mappings=MAPPED)

    assert run(logs, "--strict")[0] == 0
    status, out, err = run("--strict")
    assert (status, err) == (0, "")
    assert "2 processes, 20 lines: nothing missing" in out


def test_text_that_cannot_be_counted_by_is_said_and_exits_with_2(elasticsearch, namespace, run, logs):
    store(elasticsearch, f"logs-a-{namespace}", documents(logs)[:10])
    store(elasticsearch, f"logs-b-{namespace}", documents(logs)[10:], mappings={"properties": {"event.id": {"type": "text"}}})

    status, _, err = run("--since", "2026-01-01")

    assert status == 2
    assert "event.id is not a keyword in every index, but text" in err


def test_since_leaves_out_what_was_before(elasticsearch, namespace, run, logs):
    store(elasticsearch, f"logs-shop-{namespace}", documents(logs))

    assert "2 processes, 20 lines" in run("--since", "1d")[1]
    status, out, _ = run("--until", "2026-01-01")
    assert status == 2
    assert "nothing can be proved" in out


def test_line_that_is_on_its_way_is_waited_for(elasticsearch, namespace, index, logs, monkeypatch):
    every = documents(logs)
    store(elasticsearch, f"logs-shop-{namespace}", every[:4])
    rest = [every[4:8], every[8:]]

    def sleep(seconds):
        store(elasticsearch, f"logs-shop-{namespace}", rest.pop(0))

    monkeypatch.setattr(audit.time, "sleep", sleep)
    with Connection(elasticsearch.url) as connection:
        report = audit_arrival([logs], connection, index=index, patience=60)

    assert (report.is_proved, rest) == (True, [])


def test_index_alone_is_waited_for_too(elasticsearch, namespace, index, logs, monkeypatch):
    every = documents(logs)
    store(elasticsearch, f"logs-shop-{namespace}", [*every[:3], *every[5:]])
    monkeypatch.setattr(audit.time, "sleep", lambda seconds: store(elasticsearch, f"logs-shop-{namespace}", every[3:5]))

    with Connection(elasticsearch.url) as connection:
        assert audit_index(connection, index=index, patience=60).is_proved


def test_many_processes_and_small_pages_give_the_same(elasticsearch, namespace, index, monkeypatch, tmp_path):
    monkeypatch.setattr(stored, "_PAGE", 7)
    monkeypatch.setattr(stored, "_PROCESSES", 2)
    monkeypatch.setattr(stored, "_SOURCES", 2)
    for service in ("a", "b", "c", "d", "e"):
        write(tmp_path, service, "order/1742", lines=11)
    store(elasticsearch, f"logs-a-{namespace}", documents(tmp_path)[::2])
    store(elasticsearch, f"logs-b-{namespace}", documents(tmp_path)[1::2])

    with Connection(elasticsearch.url) as connection:
        assert audit_arrival([tmp_path], connection, index=index).is_proved
        assert audit_index(connection, index=index).is_proved


def test_audit_of_no_index_exits_with_2_and_says_so(run, logs):
    status, out, err = run(logs)

    assert (status, out) == (2, "")
    assert "there is no such index or data stream" in err
