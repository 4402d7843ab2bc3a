"""Tell what an audit has found, to be read at once by somebody who was woken up: what is wrong comes last, the sum at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackline.search.numbers import size
from trackline.terminal import Text, columns, padded, painted, printable, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trackline.search.account import ProcessAudit
    from trackline.search.audit import AuditReport
    from trackline.search.numbers import Run

_BOLD, _DIM, _RED, _YELLOW, _GREEN = "1", "2", "1;31", "33", "32"
_WELL = 20  # processes with nothing to be said are listed, one row each; what is more is counted
_RUNS = 8
_BROKEN = 10
_FILES = 4


def render_audit(report: AuditReport, *, width: int = 100, color: bool = False) -> str:
    """Tell the report in rows no wider than ``width`` columns, harmless on a terminal: a row a process, and more where it is needed."""
    width = max(width, 40)
    well = [process for process in report.processes if not (process.missing or process.duplicated)]
    wrong = [process for process in report.processes if process.missing or process.duplicated]
    rows = list(_table([*well[:_WELL], *wrong], width))
    if more := well[_WELL:]:
        text = f"   and {counted(len(more), 'process')} more with {counted(sum(process.lines for process in more), 'line')}"
        # Above the first that is wrong.
        at = next((number for number, row in enumerate(rows) if row[0].text == "!!"), len(rows))
        rows.insert(at, [Text(text, _DIM)])
    rows += [row for line in _sum(report) for row in wrapped(line, width)]
    return "".join(painted(row, color) + "\n" for row in rows)


def counted(number: int, noun: str) -> str:
    """
    Say how many there are of something.

    >>> counted(1, "process"), counted(1200, "line")
    ('1 process', '1,200 lines')
    """
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"


def _table(processes: Sequence[ProcessAudit], width: int) -> Iterator[list[Text]]:
    cells = [
        (
            printable(process.service) or "?",
            printable(" on ".join(filter(None, (process.pid and f"pid {process.pid}", process.host)))) or process.nonce,
            _span(process),
            counted(process.lines, "line"),
        )
        for process in processes
    ]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    for process, (service, who, span, lines) in zip(processes, cells, strict=True):
        is_wrong = bool(process.missing or process.duplicated)
        head = [
            Text("!!" if is_wrong else "  ", _RED),
            Text(padded(service, widths[0])),
            Text(padded(who, widths[1])),
            Text(padded(span, widths[2]), _DIM),
            Text(padded(lines, -widths[3])),
        ]
        yield from _hanging(head, list(_state(process)), width)
        for row in _details(process):
            yield from _hanging([Text("    ")], row, width)


def _state(process: ProcessAudit) -> Iterator[Text]:
    if process.missing:
        yield Text(f"{process.missing:,} MISSING,", _RED)
    if process.duplicated:
        yield Text(f"{process.duplicated:,} more than once,", _YELLOW)
    if process.dropped:
        yield Text(f"{process.dropped:,} dropped,", _YELLOW)
    if process.earlier:
        yield Text(f"{process.earlier:,} earlier,", _YELLOW)
    yield Text("closed") if process.is_closed else Text(f"not closed: unknown after #{process.highest:,}", _YELLOW)


def _details(process: ProcessAudit) -> Iterator[list[Text]]:
    if process.missing:
        among = size(process.missing_numbers) > process.missing
        note = f"{process.missing:,} missing {'among' if among else 'at'}"
        yield [Text(note), *_runs(process.missing_numbers), Text(f"(event.id {process.nonce}-#)", _DIM)]
    if process.duplicated:
        names = [printable(str(path)) for path in process.duplicated_in[:_FILES]]
        more = [f"and {len(process.duplicated_in) - _FILES} more"] if len(process.duplicated_in) > _FILES else []
        files = counted(len(process.duplicated_in), "file")
        yield [Text("more than once"), *_runs(process.duplicated_numbers), Text(f"in {files}:"), *map(Text, [*names, *more])]


def _sum(report: AuditReport) -> Iterator[list[Text]]:
    if report.processes:
        yield [
            Text(f"{counted(len(report.processes), 'process')}, {counted(report.lines, 'line')}:", _BOLD),
            Text(f"{report.missing:,} MISSING", _RED) if report.missing else Text("nothing missing", _GREEN),
        ]
    else:
        yield [Text("no line has a number, as an event.id or log.record.uid of Trackline's: nothing can be proved", _RED)]
    for what, number, noun, remark in _remarks(report):
        if number:
            yield [Text(word) for word in f"{what}: {counted(number, noun)}{remark}".split(" ")]
    for path, line, reason in report.broken[:_BROKEN]:
        yield [Text("   "), Text(f"{printable(str(path))}:{line}"), Text(reason, _DIM)]
    if report.broken_count > _BROKEN:
        yield [Text(f"    and {report.broken_count - _BROKEN:,} more")]


def _remarks(report: AuditReport) -> Iterator[tuple[str, int, str, str]]:
    processes = report.processes
    yield "dropped", sum(process.dropped for process in processes), "line", ", declared by the log itself: the queue was full"
    of = counted(sum(bool(process.earlier) for process in processes), "process")
    earlier = sum(process.earlier for process in processes)
    yield "before the oldest file", earlier, "line", f" of {of}, not checked: deleted by retention, or not given here"
    is_open = sum(not process.is_closed for process in processes)
    yield "not closed", is_open, "process", ", still running or killed: what came after the last line is unknown"
    yield "more than once", sum(process.duplicated for process in processes), "line", ""
    files = counted(len(report.uncounted_in), "file")
    yield "without a number", report.uncounted, "line", f" in {files}, of which nothing can be proved: flat, or not ours"
    yield "copies", len(report.copies), "file", ", the same as others or their beginning: not counted twice"
    yield "broken", report.broken_count, "line", ""


def _runs(runs: Sequence[Run]) -> Iterator[Text]:
    shown = [f"#{first:,}" if first == last else f"#{first:,}–{last:,}" for first, last in runs[:_RUNS]]
    yield from (Text(f"{text}," if number < len(runs) - 1 else text) for number, text in enumerate(shown))
    if len(runs) > _RUNS:
        yield Text(f"and {len(runs) - _RUNS:,} more places")


def _hanging(head: list[Text], tail: list[Text], width: int) -> Iterator[list[Text]]:
    """Put words behind a head; where there is no room for them, below it, indented."""
    indent = sum(columns(part.text) + 1 for part in head)
    if indent + max((columns(part.text) for part in tail), default=0) > width:
        yield from wrapped(head, width)
        head, indent = [Text("      ")], 7
    for row in wrapped(tail, max(width - indent, 20)):
        yield [*head, *row]
        head = [Text(" " * (indent - 1))]


def _span(process: ProcessAudit) -> str:
    if process.first is None or process.last is None:
        return ""
    until = f"{process.last:%H:%M:%S}" if process.first.date() == process.last.date() else f"{process.last:%Y-%m-%d %H:%M:%S}"
    return f"{process.first:%Y-%m-%d %H:%M:%S} – {until} UTC"
