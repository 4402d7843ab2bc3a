"""Tell what a comparison of files with an index has found: what is wrong comes last, the sum at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackline.search.numbers import size
from trackline.search.verdict import BOLD, GREEN, RED, YELLOW, Row, counted, doubles, named, remarked, render, runs
from trackline.terminal import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackline.search.elasticsearch.audit import ComparisonReport
    from trackline.search.elasticsearch.comparison import ProcessComparison
    from trackline.search.verdict import Remark


def render_comparison(report: ComparisonReport, *, width: int = 100, color: bool = False) -> str:
    """Tell the report in rows no wider than ``width`` columns, harmless on a terminal: a row a process, and more where it is needed."""
    rows = [
        Row(process.files, bool(process.missing or process.duplicated or process.lost), list(_state(process)), list(_details(process)))
        for process in report.processes
    ]
    return render(rows, list(_sum(report)), width=width, color=color)


def _state(process: ProcessComparison) -> Iterator[Text]:
    if process.missing:
        yield Text(f"{process.missing:,} MISSING in the index,", RED)
    if process.lost:
        yield Text(f"{process.lost:,} MISSING in the files,", RED)
    if process.duplicated:
        yield Text(f"{process.duplicated:,} stored more than once,", YELLOW)
    if process.refused:
        yield Text(f"{process.refused:,} refused,", YELLOW)
    if process.files.dropped:
        yield Text(f"{process.files.dropped:,} dropped,", YELLOW)
    if process.only_stored:
        yield Text(f"{process.only_stored:,} only in the index,")
    highest = process.files.highest
    yield Text("closed") if process.files.is_closed else Text(f"not closed: unknown after #{highest:,}", YELLOW)


def _details(process: ProcessComparison) -> Iterator[list[Text]]:
    files = process.files
    if process.missing:
        yield [Text(f"{process.missing:,} missing at"), *runs(process.missing_numbers), Text(f"(event.id {files.nonce}-#)")]
    if process.lost:
        among = size(files.missing_numbers) > process.lost
        note = f"{process.lost:,} missing in the files {'among' if among else 'at'}"
        yield [Text(note), *runs(files.missing_numbers), Text(f"(event.id {files.nonce}-#)")]
    if process.duplicated:
        yield doubles(process.duplicated_numbers, process.duplicated_in, "index")


def _sum(report: ComparisonReport) -> Iterator[list[Text]]:
    if not report.processes:
        text = "no line in the files has a number, as an event.id or log.record.uid of Trackline's: nothing can be proved"
        yield [Text(word, RED) for word in text.split(" ")]
        return
    wrong = [f"{report.missing:,} MISSING in the index"] if report.missing else []
    wrong += [f"{report.duplicated:,} stored more than once"] if report.duplicated else []
    verdict = Text(", ".join(wrong), RED) if wrong else Text("each in the index, once", GREEN)
    if not wrong and any(process.refused for process in report.processes):
        verdict = Text("nothing missing, but some refused", YELLOW)
    yield [Text(f"{counted(len(report.processes), 'process')}, {counted(report.files.lines, 'line')} in the files:", BOLD), verdict]
    yield from remarked(_remarks(report))


def _remarks(report: ComparisonReport) -> Iterator[Remark]:
    processes, files = report.processes, report.files
    yield "missing in the files", report.lost, "line", ", not declared dropped, and not in the index either"
    refused = sum(process.refused for process in processes)
    yield "refused", refused, "line", f", not to be found by their fields, and kept in {named(report.refused_in)}"
    yield "dropped", sum(process.files.dropped for process in processes), "line", ", declared by the log itself: the queue was full"
    of = counted(sum(bool(process.only_stored) for process in processes), "process")
    only = sum(process.only_stored for process in processes)
    yield "only in the index", only, "line", f" of {of}: no longer in the files, or not given here"
    nowhere = sum(not (process.stored or process.refused) for process in processes)
    yield "not in the index at all", nowhere, "process", ": is its file read by the shipper, and is it this index?"
    is_open = sum(not process.files.is_closed for process in processes)
    yield "not closed", is_open, "process", ", still running or killed: what came after the last line is unknown"
    yield "broken in the files", files.broken_count, "line", ""
    in_files = counted(len(files.uncounted_in), "file")
    yield "without a number", files.uncounted, "line", f" in {in_files}, of which nothing can be proved: flat, or not ours"
