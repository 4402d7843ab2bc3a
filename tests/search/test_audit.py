"""The audit's account of each process against what was really written, dropped, lost and written twice."""

import gzip
import json
import os
import random

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.search.writing import NONCE, Process, closing, made, opening

from trackline.search import audit, live

PACKED = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Files that a test has written are new, but nobody writes on."""
    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 0)


def log(path, *lines):
    path.write_bytes(b"".join(lines))
    return path


def only(*paths):
    """Audit, and give the only process that there is."""
    (process,) = audit(paths).processes
    return process


def test_log_that_is_whole_is_proved(tmp_path):
    log(tmp_path / "a.log", opening(1), made(2), made(3), closing(4))

    report = audit([tmp_path])

    assert report.is_proved
    (process,) = report.processes
    assert (process.service, process.host, process.pid) == ("orders", "web-1", "7")
    assert (process.lines, process.highest, process.is_closed) == (4, 4, True)
    assert [f"{time:%H:%M:%S}" for time in (process.first, process.last)] == ["14:40:01", "14:40:04"]


def test_lines_that_nobody_has_are_missing_with_their_numbers(tmp_path):
    log(tmp_path / "a.log", opening(1), made(2), made(5), made(7), closing(8))

    process = only(tmp_path)

    assert (process.missing, process.missing_numbers) == (3, ((3, 4), (6, 6)))
    assert not process.is_proved


def test_lines_that_were_declared_dropped_are_not_missing(tmp_path):
    notice = made(9, action="log-drop", dropped=3)
    log(tmp_path / "a.log", opening(1), made(2), made(5), made(7), notice, closing(10, 4))

    process = only(tmp_path)

    assert (process.dropped, process.missing) == (4, 0)


def test_line_behind_the_notice_is_not_covered_by_it(tmp_path):
    log(tmp_path / "a.log", opening(1), made(4), made(5, action="log-drop", dropped=2), made(7), closing(8, 2))

    process = only(tmp_path)

    assert (process.dropped, process.missing, process.missing_numbers) == (2, 1, ((6, 6),))


def test_drop_that_is_said_a_notice_later_is_no_other_line(tmp_path):
    # 2 and 3 are absent before the first notice, 5 and 6 before the second: one had its number and was dropped after the first.
    first, second = made(4, action="log-drop", dropped=1), made(7, action="log-drop", dropped=3)
    log(tmp_path / "a.log", opening(1), first, second, closing(8, 4))

    assert only(tmp_path).missing == 0


def test_total_of_a_notice_declares_what_a_notice_that_is_lost_had_declared(tmp_path):
    log(tmp_path / "a.log", opening(1), made(2), made(6, action="log-drop", dropped=1, dropped_total=2), closing(7, 2))

    process = only(tmp_path)

    assert (process.dropped, process.missing) == (2, 1)


def test_declaration_is_spent_once(tmp_path):
    first, second = made(4, action="log-drop", dropped=1), made(7, action="log-drop", dropped=2)
    log(tmp_path / "a.log", opening(1), first, second, closing(8, 3))

    process = only(tmp_path)

    assert (process.dropped, process.missing, process.missing_numbers) == (3, 1, ((2, 3),))


def test_lines_before_the_oldest_file_are_not_missing(tmp_path):
    # 98 waited in the queue while the file was opened; whether 99 was in the file before nobody can tell.
    log(tmp_path / "a.log", opening(100, 7), made(98), made(101), made(103), closing(104))

    process = only(tmp_path)

    assert (process.earlier, process.missing, process.missing_numbers) == (98, 1, ((102, 102),))


def test_old_line_that_is_there_again_does_not_make_a_later_file_the_oldest(tmp_path):
    log(tmp_path / "a.log", opening(3, 2), made(2), made(5), made(7))
    log(tmp_path / "b.log", opening(8, 3), made(2))

    process = only(tmp_path)

    assert (process.earlier, process.missing_numbers) == (1, ((4, 4), (6, 6)))


def test_lines_whose_file_has_lost_its_beginning_are_missing_from_the_first_on(tmp_path):
    log(tmp_path / "a.log", made(5), made(2), opening(6, 2))

    process = only(tmp_path)

    assert (process.earlier, process.missing_numbers) == (1, ((3, 4),))


def test_lines_before_the_first_file_of_a_process_are_missing(tmp_path):
    log(tmp_path / "a.log", opening(3), made(2), made(4), closing(5))

    process = only(tmp_path)

    assert (process.earlier, process.missing_numbers) == (0, ((1, 1),))


def test_drops_that_files_which_are_gone_declared_excuse_no_other_line(tmp_path):
    log(tmp_path / "a.log", opening(100, 7), made(102), closing(103, 50))

    process = only(tmp_path)

    assert (process.dropped, process.missing) == (50, 1)


def test_process_that_has_not_closed_is_said_to_be_open(tmp_path):
    log(tmp_path / "a.log", opening(1), made(2), closing(3), opening(4), made(5))

    process = only(tmp_path)

    assert (process.is_closed, process.highest, process.missing) == (False, 5, 0)


def test_process_whose_last_line_declares_drops_is_open(tmp_path):
    log(tmp_path / "a.log", opening(1), made(3, action="log-drop", dropped=1))

    process = only(tmp_path)

    assert (process.is_closed, process.missing) == (False, 0)


def test_line_that_is_there_twice_is_duplicated_in_both_files(tmp_path):
    a = log(tmp_path / "a.log", opening(1), made(2), made(3), made(3), closing(4))
    b = log(tmp_path / "b.log", made(2), made(3))
    log(tmp_path / "c.log", opening(5, 2), closing(6))

    process = only(tmp_path)

    assert (process.lines, process.duplicated, process.duplicated_numbers) == (6, 3, ((2, 3),))
    assert set(process.duplicated_in) == {a, b}


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_file_and_what_it_is_compressed_to_count_once(tmp_path, suffix):
    text = opening(1) + b"".join(made(n) for n in range(2, 300)) + closing(300)
    log(tmp_path / "a.log.2026-11-21", text)
    packed = log(tmp_path / f"a.log.2026-11-21{suffix}", PACKED[suffix](text))

    report = audit([tmp_path])

    assert (report.is_proved, report.copies) == (True, (packed,))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kept", [0.02, 0.9], ids=["hardly begun", "nearly done"])
def test_compression_in_progress_is_no_duplicate_and_no_damage(tmp_path, suffix, kept):
    rng = random.Random(1)
    text = opening(1) + b"".join(made(n, rng.randbytes(300).hex()) for n in range(2, 300)) + closing(300)
    packed = PACKED[suffix](text)
    log(tmp_path / "a.log.2026-11-21", text)
    log(tmp_path / f"a.log.2026-11-21{suffix}", packed[: int(kept * len(packed))])

    report = audit([tmp_path])

    assert report.problems == ()
    assert report.is_proved


def test_file_that_grew_after_it_was_copied_counts_once(tmp_path):
    lines = [opening(1), made(2), made(3), closing(4)]
    copy = log(tmp_path / "a.log.1", *lines[:3])
    log(tmp_path / "a.log", *lines)

    report = audit([tmp_path])

    assert (report.is_proved, report.copies) == (True, (copy,))


def test_damaged_file_is_a_problem_and_its_first_lines_count(tmp_path):
    rng = random.Random(1)
    packed = gzip.compress(opening(1) + b"".join(made(n, rng.randbytes(300).hex()) for n in range(2, 300)))
    log(tmp_path / "a.log.2026-11-21.gz", packed[: len(packed) // 2])

    report = audit([tmp_path])

    (problem,) = report.problems
    assert "a.log.2026-11-21.gz" in problem
    assert report.lines > 10


def test_half_line_is_broken_and_the_line_behind_it_counts(tmp_path):
    path = log(tmp_path / "a.log", opening(1), made(2)[:50], made(3), made(4)[:50] + b"\n", closing(5))

    report = audit([tmp_path])

    assert [tuple(line) for line in report.broken] == [(path, 2, "half a line"), (path, 3, "half a line")]
    assert report.processes[0].missing_numbers == ((2, 2), (4, 4))


def test_half_line_at_the_end_is_broken_unless_the_file_is_being_written(tmp_path):
    path = log(tmp_path / "a.log", opening(1), made(2), made(3)[:50])

    assert audit([tmp_path]).broken_count == 0
    os.utime(path, (1, 1))
    assert [line.number for line in audit([tmp_path]).broken] == [3]


def test_whole_line_at_the_end_counts_without_its_newline(tmp_path):
    log(tmp_path / "a.log", opening(1), closing(2)[:-1])

    assert audit([tmp_path]).is_proved


@pytest.mark.parametrize("rubbish", [b"Killed\n", b"\0" * 5000 + b"\n", b"[1]\n", b'"x"\n', b"7\n", b"{\n", b'{"a":\xff}\n'], ids=repr)
def test_rubbish_is_broken_with_its_place(tmp_path, rubbish):
    path = log(tmp_path / "a.log", opening(1), rubbish, closing(2))

    report = audit([tmp_path])

    assert [line[:2] for line in report.broken] == [(path, 2)]
    assert report.processes[0].is_proved


@pytest.mark.parametrize("blank", [b"\n", b" \r\n", b"\xef\xbb\xbf"], ids=repr)
def test_blank_line_is_not_broken(tmp_path, blank):
    log(tmp_path / "a.log", opening(1), blank, closing(2))

    assert audit([tmp_path]).is_proved


def test_line_that_is_longer_than_memory_should_be_is_broken_once(tmp_path, monkeypatch):
    monkeypatch.setattr("trackline.search.ledger.LONGEST_LINE", 1 << 18)
    path = log(tmp_path / "a.log", opening(1), made(2, "x" * (1 << 20)), made(3), closing(4))

    report = audit([tmp_path])

    assert [line[:2] for line in report.broken] == [(path, 2)]
    assert report.processes[0].missing_numbers == ((2, 2),)


def test_time_that_a_container_runtime_puts_in_front_breaks_no_line(tmp_path):
    lines = (b"2026-11-22T14:40:01.123456789Z stdout F " + line for line in (opening(1), made(2), closing(3)))
    log(tmp_path / "0.log", *lines)

    assert audit([tmp_path]).is_proved


def test_file_of_somebody_else_is_not_broken_but_not_counted(tmp_path):
    log(tmp_path / "a.log", opening(1), closing(2))
    foreign = log(tmp_path / "nginx.log", b'127.0.0.1 - "GET / HTTP/1.1" 200\n' * 3)

    report = audit([tmp_path])

    assert report.broken_count == 0
    assert (report.uncounted, report.uncounted_in) == (3, (foreign,))
    assert report.is_proved


def test_flat_has_no_numbers_and_proves_nothing(tmp_path):
    log(tmp_path / "a.log", b'{"@timestamp": "2026-11-22T14:40:01+0000", "level": "INFO", "loc": "a.py:1", "message": "paid"}\n')

    report = audit([tmp_path])

    assert (report.processes, report.uncounted, report.is_proved) == ((), 1, False)


@pytest.mark.parametrize(
    "event_id", ["6ba7b810-9dad-11d1-80b4-004372000099", f"{NONCE}-007", f"{NONCE}-0", f"{NONCE}--3", 7, None, "x"]
)
def test_event_id_of_somebody_else_is_no_number(tmp_path, event_id):
    foreign = json.dumps({"message": "theirs", "event.id": event_id}).encode() + b"\n"
    log(tmp_path / "a.log", opening(1), foreign, closing(2))

    report = audit([tmp_path])

    assert report.is_proved
    assert report.uncounted == 1


@pytest.mark.parametrize("schema", ["ecs", "otel", "shipped"])
@pytest.mark.parametrize(
    "hostile",
    [
        f'","event.id":"{NONCE}-99',
        f'{{"event.id":"{NONCE}-99"}}',
        f'\\","event.id":"{NONCE}-99","x":"\\',
        f'\n{{"@timestamp":"","event.id":"{NONCE}-99"}}\n',
        f"event.id={NONCE}-99",
    ],
    ids=repr,
)
def test_id_that_a_message_mentions_is_no_line(tmp_path, schema, hostile):
    line = made(2, hostile, schema=schema, **{"event.id": f"{NONCE}-98", "x": {"event": {"id": f"{NONCE}-97"}}})
    log(tmp_path / "a.log", opening(1, schema=schema), line, closing(3, schema=schema))

    process = only(tmp_path)

    assert (process.highest, process.is_proved) == (3, True)


def test_notice_that_a_user_logs_declares_nothing(tmp_path):
    forged = made(3, action="log-drop", dropped=1).replace(b'"log.logger":"trackline"', b'"log.logger":"app"')
    log(tmp_path / "a.log", opening(1), forged, closing(4))

    assert only(tmp_path).missing == 1


@pytest.mark.parametrize("schema", ["ecs", "otel", "shipped"])
def test_every_schema_that_has_numbers_is_read(tmp_path, schema):
    drop = made(4, action="log-drop", dropped=1, schema=schema)
    log(tmp_path / "a.log", opening(1, schema=schema), made(2, schema=schema), drop, closing(6, 1, schema=schema))

    process = only(tmp_path)

    assert (process.lines, process.missing_numbers, process.dropped) == (4, ((5, 5),), 1)
    assert (process.service, process.host, process.pid, process.is_closed) == ("orders", "web-1", "7", True)


def test_process_in_a_file_of_others_has_an_account_of_its_own(tmp_path):
    other = "ba9876543210"
    log(tmp_path / "a.log", opening(1), opening(1, nonce=other), made(3), made(2, nonce=other), closing(3, nonce=other), closing(4))

    found = {process.nonce: process.missing_numbers for process in audit([tmp_path]).processes}

    assert found == {NONCE: ((2, 2),), other: ()}


def test_line_that_is_written_after_its_file_was_read_is_there(tmp_path, monkeypatch):
    first = log(tmp_path / "a.log", opening(1), made(2, "x" * 1000))
    log(tmp_path / "b.log", opening(4, 2), closing(5))
    hold = live.LiveFiles._hold

    def append(self, reader, ledger):
        hold(self, reader, ledger)
        if ledger.path == first:
            with first.open("ab") as file:
                file.write(made(3))

    monkeypatch.setattr(live.LiveFiles, "_hold", append)

    assert audit([tmp_path]).is_proved


@pytest.mark.parametrize(
    ("begun", "name", "rest"),
    [(b"", "a.log", made(3)), (made(3)[:40], "a.log", made(3)[40:]), (b"", "b.log", made(3))],
    ids=["in the same file", "half of it there", "in the next file"],
)
def test_line_that_is_on_its_way_is_waited_for(tmp_path, monkeypatch, begun, name, rest):
    log(tmp_path / "a.log", opening(1), made(2), made(4), begun)
    texts = [rest, closing(5)]

    def write(_):
        with (tmp_path / name).open("ab") as file:
            file.write(texts.pop(0) if texts else b"")

    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 60)
    monkeypatch.setattr(live.time, "sleep", write)

    process = only(tmp_path)

    assert process.missing == 0
    assert process.highest == 4


def test_files_that_came_and_went_before_a_process_closed_are_looked_for(tmp_path, monkeypatch):
    log(tmp_path / "a.log", opening(1), made(2))
    log(tmp_path / "c.log", opening(5, 3), closing(6))

    def write(_):
        log(tmp_path / "b.log", opening(3, 2), made(4))

    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 60)
    monkeypatch.setattr(live.time, "sleep", write)

    assert audit([tmp_path]).is_proved


def test_line_that_comes_while_another_is_waited_for_is_not_judged(tmp_path, monkeypatch):
    path = log(tmp_path / "a.log", opening(1), made(3))

    def write(_):
        if path.stat().st_size < 1000:
            with path.open("ab") as file:
                file.write(made(2) + made(5))  # 4 is on its way

    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 60)
    monkeypatch.setattr(live.time, "sleep", write)

    process = only(tmp_path)

    assert (process.highest, process.lines, process.missing) == (3, 3, 0)


def test_process_that_begins_during_the_audit_is_left_out(tmp_path, monkeypatch):
    log(tmp_path / "a.log", opening(1), made(3))

    def write(_):
        log(tmp_path / "b.log", made(2), opening(2, nonce="ba9876543210"))

    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 60)
    monkeypatch.setattr(live.time, "sleep", write)

    assert only(tmp_path).missing == 0


def test_path_that_is_not_there_is_a_problem(tmp_path):
    report = audit([tmp_path / "gone"])

    assert report.problems == (f"{tmp_path / 'gone'}: No such file or directory",)
    assert not report.is_proved


ACTIONS = ["line"] * 4 + ["drop", "notice"] * 2 + ["lose", "tear", "again", "again before", "rotate", "rotate late"]
MESSAGES = st.sampled_from(["paid", f'","event.id":"{NONCE}-9"', "\\", '{"a":"'])


def act(process, action, draw):
    if action == "line":
        process.line(draw(MESSAGES))
    elif action == "lose":
        process.next()
    elif action == "tear":
        process.tear(draw(st.floats(0, 1)))
    elif action.startswith("again"):
        process.write_again(-1 if action == "again" else 0)
    elif action.startswith("rotate"):
        process.rotate(is_late=action == "rotate late")
    else:
        getattr(process, action)()


def store(folder, name, text, draw):
    """Write a file as it may be found: plain, compressed, just being compressed or copied; say whether there is a copy."""
    kind = draw(st.sampled_from([*PACKED, "both", "packing", "copying"]))
    if kind in PACKED:
        (folder / (name + kind)).write_bytes(PACKED[kind](text))
        return
    (folder / name).write_bytes(text)
    if kind == "copying":
        (folder / f"{name}.part").write_bytes(text[: draw(st.integers(1, len(text)))])
    else:
        packed = gzip.compress(text)
        (folder / f"{name}.gz").write_bytes(packed if kind == "both" else packed[: draw(st.integers(20, len(packed) - 1))])


def is_json(line):
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


def members(runs):
    return {number for first, last in runs for number in range(first, last + 1)}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), shared=st.booleans(), count=st.integers(1, 3), gone=st.integers(0, 2), block=st.sampled_from([1 << 17, 700, 64]))
def test_account_is_what_happened(tmp_path_factory, monkeypatch, data, shared, count, gone, block):
    folder = tmp_path_factory.mktemp("audit")
    monkeypatch.setattr("trackline.search.numbers._LOOSE", 1)
    monkeypatch.setattr(live, "BLOCK", block)
    files = {}

    def write(slot, segment, line):
        files.setdefault((slot, segment), []).append(line)

    schemas = st.sampled_from(["ecs", "otel", "shipped"])
    processes = [Process(0 if shared else n, f"{n:x}" * 12, data.draw(schemas), write) for n in range(count)]
    for index, action in data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.sampled_from(ACTIONS)), max_size=50)):
        act(processes[index], action, data.draw)
    for process in processes:
        if data.draw(st.booleans()):
            process.close()
    kept = {place: lines for place, lines in files.items() if place[1] >= gone}  # retention deletes the first
    for (slot, segment), lines in kept.items():
        store(folder, f"app-{slot}.log.{segment}", b"".join(lines), data.draw)

    report = audit([folder])

    found = {process.nonce: process for process in report.processes}
    for process in processes:
        if (expected := process.expected(gone)) is None:
            continue
        account, (facts, sets) = found.pop(process.nonce), expected
        assert {name: getattr(account, name) for name in facts} == facts
        assert sets["undeclared"] <= members(account.missing_numbers) <= sets["absent"]
        assert members(account.duplicated_numbers) == sets["duplicated"]
    assert not found
    assert report.broken_count == sum(not is_json(line) for lines in kept.values() for line in lines)
    assert not report.files or not report.problems
