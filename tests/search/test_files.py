"""Finding lines: whatever the compression, the place of rotation and the rubbish round them, each exactly once."""

import bz2
import errno
import gzip
import itertools
import json
import lzma
import math
import os
import random
import sys
import threading
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trackline.identity import derive_trace_id
from trackline.search import files, scan
from trackline.search.files import find_lines

ID = "order-1742"
COMPRESSED = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def written(message="paid", second=0, **fields):
    fields = {"@timestamp": f"2026-11-22T14:40:{second:02}.000001Z", "message": message, "tracking_id": ID, **fields}
    return json.dumps(fields).encode() + b"\n"


def search(*paths, tracking_id=ID):
    """Search, and give the messages that were found and the complaints."""
    complaints = []
    return [line.message for line in find_lines(tracking_id, paths, warn=complaints.append)], complaints


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app-sp1.log",
        "app.log.2026-11-21",
        "app.log.2026-11-21.gz",
        "app.log-20261121",
        "app-2026-11-21T00-00-00.log",
        "app-2026-11-21T00-00-00.log.gz",
        "app-2026-11-21T00-00-00.log.zst",
        "app.log.2.xz",
        "below/and/below/app.log.3.bz2",
    ],
)
def test_line_is_found_in_a_file_of_any_name_that_rotation_makes(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(COMPRESSED.get(path.suffix, bytes)(written("other", tracking_id="order-2") + written()))

    (line,) = find_lines(ID, [tmp_path])

    assert (line.message, line.path, line.number, line.raw + b"\n") == ("paid", path, 2, written())


def test_file_that_is_no_log_is_searched_only_if_it_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(written())

    assert search(tmp_path) == ([], [f"no log files in {tmp_path}"])
    assert search(path) == (["paid"], [])


def test_lines_come_in_order_of_time_whichever_file_and_offset(tmp_path):
    (tmp_path / "a.log").write_bytes(written("2", 2) + written("4", 4))
    (tmp_path / "b.log").write_bytes(
        written("3", **{"@timestamp": "2026-11-22T15:40:03+01:00"}) + written("last", **{"@timestamp": "?"})
    )
    (tmp_path / "c.log").write_bytes(written("1", 1))

    assert search(tmp_path)[0] == ["1", "2", "3", "4", "last"]


def test_lines_of_one_time_come_in_the_order_they_were_written(tmp_path):
    (tmp_path / "app.log").write_bytes(b"".join(written(str(n)) for n in range(6, 12)))
    (tmp_path / "app.log.2026-11-20.gz").write_bytes(gzip.compress(b"".join(written(str(n)) for n in range(3))))
    (tmp_path / "app.log.2026-11-21").write_bytes(b"".join(written(str(n)) for n in range(3, 6)))

    assert search(tmp_path)[0] == [str(n) for n in range(12)]


def test_line_that_has_only_the_trace_id_is_found_by_the_tracking_id(tmp_path):
    derived = derive_trace_id(ID)
    (tmp_path / "a.log").write_bytes(written("a", 1, tracking_id=None, trace_id=derived) + written("b", 2, tracking_id=derived))

    assert search(tmp_path)[0] == ["a", "b"]


def test_line_that_mentions_the_id_in_its_message_is_not_found(tmp_path):
    (tmp_path / "a.log").write_bytes(written(f'"tracking_id":"{ID}"', tracking_id="order-2") + f"tracking_id={ID}\n".encode())

    assert search(tmp_path) == ([], [])


def test_id_that_contains_the_id_is_not_found(tmp_path):
    (tmp_path / "a.log").write_bytes(written(tracking_id=ID + "0") + written(tracking_id="x" + ID))

    assert search(tmp_path) == ([], [])


@pytest.mark.parametrize("spelled", ["a/b+c", r"a\/b+c", r"a\u002fb\u002Bc", r"a\u002Fb+c"])
def test_id_is_found_in_whichever_spelling_a_json_writer_gives_it(tmp_path, spelled):
    (tmp_path / "a.log").write_bytes(written(tracking_id="SPELLED").replace(b"SPELLED", spelled.encode()))

    assert search(tmp_path, tracking_id="a/b+c")[0] == ["paid"]


def test_torn_line_does_not_lose_the_line_behind_it(tmp_path):
    (tmp_path / "a.log").write_bytes(written("torn")[:60] + written("whole") + written("after"))

    assert search(tmp_path)[0] == ["whole", "after"]


def test_last_line_counts_once_it_is_whole(tmp_path):
    half, whole = tmp_path / "a.log", tmp_path / "b.log"
    half.write_bytes(written("first") + written("half")[:-9])
    whole.write_bytes(written("whole").rstrip())

    assert search(tmp_path)[0] == ["first", "whole"]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\n\n\n",
        b"Traceback (most recent call last):\n",
        b"order-1742 \xff\xfe\x00\n",
        b'{"tracking_id":"order-1742"\n',
        b'["order-1742"]\n',
        b'"order-1742"\n',
        b'{"a":' * 100_000 + b'"order-1742"\n',
        b'{"tracking_id":"order-1742","n":' + b"9" * 10_000 + b"}\n",
        b"\0" * 5_000_000,
        b"x" * 5_000_000 + b"\n",
    ],
    ids=lambda rubbish: repr(rubbish[:30]),
)
def test_rubbish_round_a_line_does_not_lose_it(tmp_path, rubbish):
    (tmp_path / "a.log").write_bytes(rubbish + written() + rubbish)

    assert "paid" in search(tmp_path)[0]
    assert len(search(tmp_path)[0]) == 1


def test_line_with_bytes_that_are_no_utf8_is_found_as_it_is(tmp_path):
    raw = written("na\0ve").replace(b"\\u0000", b"\xef")
    (tmp_path / "a.log").write_bytes(raw)

    (line,) = find_lines(ID, [tmp_path])

    assert line.raw + b"\n" == raw


def test_line_of_many_megabytes_is_found(tmp_path):
    (tmp_path / "a.log").write_bytes(written("x" * 9_000_000) + written("after", 1))

    assert [len(message) for message in search(tmp_path)[0]] == [9_000_000, 5]


def test_line_longer_than_the_limit_is_left_out_and_the_next_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "LONGEST_LINE", 1 << 20)
    (tmp_path / "a.log").write_bytes(written("x" * 3_000_000) + written("after"))

    assert search(tmp_path)[0] == ["after"]


def test_copy_of_a_file_does_not_double_its_lines(tmp_path):
    text = written("with", 1, **{"event.id": "n-1"}) + written("twice", 2) + written("twice", 2)
    (tmp_path / "app.log").write_bytes(text)
    (tmp_path / "app.log.2026-11-22.gz").write_bytes(gzip.compress(text))
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "other.log").write_bytes(written("with", 1, **{"event.id": "n-1"}))

    assert search(tmp_path)[0] == ["with", "twice", "twice"]


def test_same_line_of_two_services_counts_twice(tmp_path):
    for service in ("orders", "billing"):
        (tmp_path / f"{service}.log").write_bytes(written())

    assert search(tmp_path)[0] == ["paid", "paid"]


def test_file_that_is_listed_twice_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.log"
    path.write_bytes(written())
    (tmp_path / "link.log").symlink_to(path)
    opened = []
    monkeypatch.setattr(files, "decompressed", lambda file, head: opened.append(head) or file)

    search(tmp_path, path, tmp_path)

    assert len(opened) == 1


def test_file_that_is_renamed_and_compressed_during_the_search_is_found(tmp_path, monkeypatch):
    (tmp_path / "a.log").write_bytes(b"")
    live = tmp_path / "b.log"
    live.write_bytes(written("old"))
    real = files.decompressed

    def rotate(file, head):
        if live.exists() and not (tmp_path / "b.log.2026-11-22.gz").exists():
            (tmp_path / "b.log.2026-11-22.gz").write_bytes(gzip.compress(live.read_bytes()))
            live.unlink()
        return real(file, head)

    monkeypatch.setattr(files, "decompressed", rotate)  # called for a.log, when b.log has been listed already

    assert search(tmp_path) == (["old"], [])


@pytest.mark.parametrize("renames", [30, math.inf], ids=["for a while", "without end"])
def test_file_that_is_renamed_whenever_it_is_to_be_opened_is_found_once_that_ends_and_else_it_is_said(tmp_path, monkeypatch, renames):
    (tmp_path / "b.log.0").write_bytes(written())
    listed = os.scandir
    counted = itertools.count(1)

    def scandir(folder):
        entries = list(listed(folder))
        if (number := next(counted)) <= renames:
            Path(entries[0].path).rename(tmp_path / f"b.log.{number}")
        return entries

    monkeypatch.setattr(files.os, "scandir", scandir)
    if renames == math.inf:
        monkeypatch.setattr(files, "_MOVING_SECONDS", 0.05)
        found, [complaint] = search(tmp_path)
        assert found == []
        assert complaint.startswith("files come and go faster than they can be listed")
    else:
        assert search(tmp_path) == (["paid"], [])


def test_what_takes_long_to_read_is_nothing_that_moves(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: now))
    complaints, read = [], []
    (tmp_path / "0.log").write_bytes(written())
    for path, _ in files.LogFiles([tmp_path], complaints.append):
        read.append(path.name)
        now += 60
        if len(read) < 9:
            (tmp_path / f"{len(read)}.log").write_bytes(written())

    assert (read, complaints) == ([f"{number}.log" for number in range(9)], [])


def test_other_files_that_come_and_go_are_of_no_matter(tmp_path, monkeypatch):
    (tmp_path / "a.log").write_bytes(written())
    listed = os.scandir

    def scandir(folder):
        (tmp_path / "draft.tmp").touch()
        entries = list(listed(folder))
        (tmp_path / "draft.tmp").unlink()
        return entries

    monkeypatch.setattr(files.os, "scandir", scandir)
    monkeypatch.setattr(files, "_SWEEPS", 2)
    monkeypatch.setattr(files, "_MOVING_SECONDS", -1)

    assert search(tmp_path) == (["paid"], [])


def test_named_file_that_was_renamed_is_found_under_its_new_name(tmp_path):
    (tmp_path / "b.log.2026-11-22.gz").write_bytes(gzip.compress(written()))

    assert search(tmp_path / "b.log") == (["paid"], [])


def test_lines_are_neither_lost_nor_doubled_while_a_writer_rotates_and_compresses(tmp_path):
    stop = threading.Event()
    total = 300

    def write():
        for part in range(total // 10):
            path = tmp_path / "app.log"
            with path.open("ab", buffering=0) as file:
                for n in range(part * 10, part * 10 + 10):
                    file.write(written(str(n)))
            if stop.wait(0.002):
                return
            rotated = path.rename(tmp_path / f"app.log.{part:04}")
            packed = tmp_path / f"app.log.{part:04}.gz.tmp"
            packed.write_bytes(gzip.compress(rotated.read_bytes()))
            packed.rename(packed.with_suffix(""))
            rotated.unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while writer.is_alive():
            found = sorted(map(int, search(tmp_path)[0]))
            assert found == list(range(len(found)))
    finally:
        stop.set()
        writer.join()
    assert sorted(map(int, search(tmp_path)[0])) == list(range(total))


# The small ones have less than is read at once; bzip2 and zstd give nothing before their first block is whole.
@pytest.mark.parametrize(("suffix", "size"), [(".gz", 100), (".xz", 100), (".gz", 3000), (".xz", 3000), (".bz2", 3000), (".zst", 3000)])
def test_compressed_file_that_is_cut_short_gives_the_lines_it_has(tmp_path, suffix, size):
    noise = b"".join(b'{"noise":"%s"}\n' % random.Random(n).randbytes(500).hex().encode() for n in range(size))
    packed = COMPRESSED[suffix](written("first") + noise + written("last"))
    (tmp_path / f"a.log{suffix}").write_bytes(packed[: len(packed) // 2])

    found, complaints = search(tmp_path)

    assert found == ["first"]
    assert len(complaints) == (suffix != ".zst")  # zstandard does not say


@pytest.mark.parametrize("before", ["\ufeff", "\0\0", " \t"], ids=ascii)
def test_what_no_json_allows_before_a_line_does_not_lose_it(tmp_path, before):
    (tmp_path / "a.log").write_text(f'{before}{{"tracking_id":"{ID}","message":"paid"}}\n')

    assert search(tmp_path)[0] == ["paid"]


def test_damaged_file_is_named_and_the_others_are_searched(tmp_path):
    (tmp_path / "a.log.gz").write_bytes(b"\x1f\x8b\x08\x00 damaged")
    (tmp_path / "b.log.zst").write_bytes(b"\x28\xb5\x2f\xfd damaged")
    (tmp_path / "c.log").write_bytes(written())

    found, complaints = search(tmp_path)

    assert found == ["paid"]
    assert [complaint.split(": ")[0] for complaint in complaints] == [str(tmp_path / "a.log.gz"), str(tmp_path / "b.log.zst")]


def test_zstd_without_a_decoder_is_named_once_and_the_others_are_searched(tmp_path, monkeypatch):
    for module in ("zstandard", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("a.log.zst", "b.log.zst"):
        (tmp_path / name).write_bytes(COMPRESSED[".zst"](written()))
    (tmp_path / "c.log").write_bytes(written())

    found, complaints = search(tmp_path)

    assert found == ["paid"]
    assert complaints == [f"{tmp_path}/a.log.zst and 1 more: not searched, zstd needs `pip install zstandard` or CPython 3.14"]


def test_unreadable_files_and_directories_are_named_and_the_others_are_searched(tmp_path, monkeypatch):
    (tmp_path / "a.log").write_bytes(written())
    (tmp_path / "b").mkdir()
    (tmp_path / "c.log").write_bytes(written("readable"))
    # Not by chmod: root may read everything.
    for module, name, path in ((Path, "open", tmp_path / "a.log"), (os, "scandir", tmp_path / "b")):
        monkeypatch.setattr(module, name, refusing(getattr(module, name), path))

    found, complaints = search(tmp_path)

    assert found == ["readable"]
    assert sorted(complaints) == [f"{tmp_path}/a.log: Permission denied", f"{tmp_path}/b: Permission denied"]


def refusing(function, refused):
    def refuse(path, *args):
        if path == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return function(path, *args)

    return refuse


def test_links_to_nowhere_to_themselves_and_round_in_circles_are_named(tmp_path):
    (tmp_path / "nowhere.log").symlink_to("gone.log")
    (tmp_path / "self.log").symlink_to("self.log")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "up").symlink_to(tmp_path)
    (tmp_path / "below" / "a.log").write_bytes(written())

    found, complaints = search(tmp_path)

    assert found == ["paid"]
    assert sorted(complaint.removeprefix(f"{tmp_path}/") for complaint in complaints) == [
        "below/up: a link to a directory that is searched already",
        "nowhere.log: No such file or directory",
        "self.log: Too many levels of symbolic links",
    ]


def test_pipe_in_a_directory_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "a.log").write_bytes(written())

    assert search(tmp_path)[0] == ["paid"]


def test_pipe_that_is_named_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(written()), daemon=True)
    writer.start()

    assert search(tmp_path / "pipe") == (["paid"], [])


def test_path_that_is_not_there_is_named(tmp_path):
    assert search(tmp_path / "gone.log") == ([], [f"{tmp_path}/gone.log: No such file or directory"])
    assert len(search("nul\0byte")[1]) == 1


def test_empty_id_is_refused():
    with pytest.raises(ValueError, match="tracking_id=''"):
        find_lines("", ["logs"])


def test_complaints_go_to_stderr_by_default(tmp_path, capsys):
    find_lines(ID, [tmp_path])

    assert capsys.readouterr().err == f"trackline: no log files in {tmp_path}\n"


MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def emptied(folder):
    for path in folder.iterdir():
        path.unlink()


PIECES = st.binary(max_size=40) | st.sampled_from(
    [written(), written()[:70], ID.encode(), b'{"tracking_id":"order-1742"}', b"\n", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]
)


@MANY
@given(contents=st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=3), suffix=st.sampled_from(list(COMPRESSED)))
def test_any_bytes_in_files_never_raise(folder, contents, suffix):
    emptied(folder)
    for number, content in enumerate(contents):
        (folder / f"{number}.log").write_bytes(content)
        (folder / f"{number}.log.1{suffix}").write_bytes(COMPRESSED[suffix](content))

    search(folder)


@MANY
@given(
    lines=st.lists(st.tuples(st.integers(0, 59), st.text(max_size=20), st.booleans()), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    packed=st.lists(st.sampled_from(list(COMPRESSED)), min_size=4, max_size=4),
    block=st.integers(1, 300),
    copied=st.booleans(),
)
def test_line_is_found_exactly_once_whatever_the_compression_and_place_of_rotation(folder, lines, cuts, packed, block, copied):
    emptied(folder)
    texts = [written(text, second, **({"event.id": f"n-{n}"} if counted else {})) for n, (second, text, counted) in enumerate(lines)]
    edges = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    split = [texts[start:end] for start, end in pairwise(edges)]
    # The same text on the same line number without an event.id is a copy or is not: nobody can tell.
    places = [place for part in split for place in enumerate(part)]
    assume(len(set(places)) == len(places))
    parts = [b"".join(part) for part in split]
    for number, (part, suffix) in enumerate(zip(parts[:-1], packed, strict=False)):
        path = folder / f"app.log.2026-11-{number + 1:02}{suffix}"
        path.write_bytes(COMPRESSED[suffix](part))
        if copied and suffix:
            path.with_suffix("").write_bytes(part)
    (folder / "app.log").write_bytes(parts[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BLOCK", block)
        found = find_lines(ID, [folder])

    assert sorted(line.raw + b"\n" for line in found) == sorted(texts)
    assert [line.time for line in found] == sorted(line.time for line in found)


@MANY
@given(tracking_id=st.text(min_size=1, max_size=20), ascii_only=st.booleans())
def test_any_id_that_is_logged_is_found(folder, tracking_id, ascii_only):
    if not ascii_only:
        tracking_id = tracking_id.encode("utf-8", "replace").decode()
    fields = {"@timestamp": "2026-11-22T14:40:01Z", "message": "paid", "tracking_id": tracking_id}
    (folder / "app.log").write_bytes(json.dumps(fields, ensure_ascii=ascii_only).encode() + b"\n")

    assert search(folder, tracking_id=tracking_id)[0] == ["paid"]


def at(second):
    return datetime(2026, 11, 22, 14, 40, second, 1, tzinfo=UTC)


def test_since_and_until_leave_out_what_is_before_and_after(tmp_path):
    (tmp_path / "a.log").write_bytes(b"".join(written(str(n), n) for n in range(1, 6)) + written("no time", **{"@timestamp": None}))

    found = [line.message for line in find_lines(ID, [tmp_path], since=at(2), until=at(4))]

    assert found == ["2", "3", "4", "no time"]


def test_file_that_was_last_written_to_before_is_not_read(tmp_path):
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    for path in (old, new):
        path.write_bytes(written(path.stem, 30))
    os.utime(old, (0, at(10).timestamp() - 61))
    os.utime(new, (0, at(10).timestamp() - 59))

    assert [line.message for line in find_lines(ID, [tmp_path], since=at(10))] == ["new"]


def test_default_of_the_path_type_is_any_path_like(tmp_path):
    (tmp_path / "a.log").write_bytes(written())

    assert search(str(tmp_path))[0] == search(Path(tmp_path))[0] == ["paid"]
