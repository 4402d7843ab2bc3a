"""Tell what an audit has found, to be read at once by somebody who was woken up: what is wrong comes last, the sum at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trackline.search.numbers import size
from trackline.terminal import Text, columns, padded, painted, printable, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from trackline.search.account import ProcessAudit
    from trackline.search.audit import AuditReport
    from trackline.search.numbers import Run

BOLD, _DIM, RED, YELLOW, GREEN = "1", "2", "1;31", "33", "32"
Remark: TypeAlias = tuple[str, int, str, str]

_WELL = 20  # processes with nothing to be said are listed, one row each; what is more is counted
_RUNS = 8
_BROKEN = 10
_FILES = 4


class Row(NamedTuple):
    """What is said of one process: who it is, how many lines, what is wrong in a few words, and where."""

    process: ProcessAudit
    is_wrong: bool
    state: list[Text]
    details: list[list[Text]]


def render_audit(report: AuditReport, *, width: int = 100, color: bool = False) -> str:
    """Tell the report in rows no wider than ``width`` columns, harmless on a terminal: a row a process, and more where it is needed."""
    rows = [
        Row(process, bool(process.missing or process.duplicated), list(_state(process)), list(_details(process, report.kept_in)))
        for process in report.processes
    ]
    return render(rows, list(_sum(report)), width=width, color=color)


def render(rows: Sequence[Row], total: Sequence[list[Text]], *, width: int, color: bool) -> str:
    """Tell the rows, those in which something is wrong last and all of them, and the total."""
    width = max(width, 40)
    well = [row for row in rows if not row.is_wrong]
    wrong = [row for row in rows if row.is_wrong]
    told = list(_table([*well[:_WELL], *wrong], width))
    if more := well[_WELL:]:
        text = f"   and {counted(len(more), 'process')} more with {counted(sum(row.process.lines for row in more), 'line')}"
        # Above the first that is wrong.
        at = next((number for number, row in enumerate(told) if row[0].text == "!!"), len(told))
        told.insert(at, [Text(text, _DIM)])
    told += [row for line in total for row in wrapped(line, width)]
    return "".join(painted(row, color) + "\n" for row in told)


def counted(number: int, noun: str) -> str:
    """
    Say how many there are of something.

    >>> counted(1, "process"), counted(1200, "line")
    ('1 process', '1,200 lines')
    """
    plural = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{plural}"


def _table(rows: Sequence[Row], width: int) -> Iterator[list[Text]]:
    cells = [
        (
            printable(process.service) or "?",
            printable(" on ".join(filter(None, (process.pid and f"pid {process.pid}", process.host)))) or process.nonce,
            _span(process),
            counted(process.lines, "line"),
        )
        for process, *_ in rows
    ]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    for row, (service, who, span, lines) in zip(rows, cells, strict=True):
        head = [
            Text("!!" if row.is_wrong else "  ", RED),
            Text(padded(service, widths[0])),
            Text(padded(who, widths[1])),
            Text(padded(span, widths[2]), _DIM),
            Text(padded(lines, -widths[3])),
        ]
        yield from _hanging(head, row.state, width)
        for detail in row.details:
            yield from _hanging([Text("    ")], detail, width)


def _state(process: ProcessAudit) -> Iterator[Text]:
    if process.missing:
        yield Text(f"{process.missing:,} MISSING,", RED)
    if process.duplicated:
        yield Text(f"{process.duplicated:,} more than once,", YELLOW)
    if process.dropped:
        yield Text(f"{process.dropped:,} dropped,", YELLOW)
    if process.earlier:
        yield Text(f"{process.earlier:,} earlier,", YELLOW)
    yield Text("closed") if process.is_closed else Text(f"not closed: unknown after #{process.highest:,}", YELLOW)


def _details(process: ProcessAudit, kept_in: str) -> Iterator[list[Text]]:
    if process.missing:
        among = size(process.missing_numbers) > process.missing
        note = f"{process.missing:,} missing {'among' if among else 'at'}"
        yield [Text(note), *runs(process.missing_numbers), Text(f"(event.id {process.nonce}-#)", _DIM)]
    if process.duplicated:
        yield doubles(process.duplicated_numbers, process.duplicated_in, kept_in)


def doubles(numbers: Sequence[Run], paths: Sequence[Path], kept_in: str) -> list[Text]:
    """Say which lines are there more than once, and where."""
    names = [printable(str(path)) for path in paths[:_FILES]]
    more = [f"and {len(paths) - _FILES} more"] if len(paths) > _FILES else []
    return [Text("more than once"), *runs(numbers), Text(f"in {counted(len(paths), kept_in)}:"), *map(Text, [*names, *more])]


def named(paths: Sequence[Path]) -> str:
    """Name some of the paths, harmless on a terminal."""
    names = [printable(str(path)) for path in paths[:_FILES]]
    return ", ".join([*names, *([f"and {len(paths) - _FILES} more"] if len(paths) > _FILES else [])])


def _sum(report: AuditReport) -> Iterator[list[Text]]:
    if report.processes:
        yield [
            Text(f"{counted(len(report.processes), 'process')}, {counted(report.lines, 'line')}:", BOLD),
            Text(f"{report.missing:,} MISSING", RED) if report.missing else Text("nothing missing", GREEN),
        ]
    else:
        yield [Text("no line has a number, as an event.id or log.record.uid of Trackline's: nothing can be proved", RED)]
    yield from remarked(_remarks(report))
    for path, line, reason in report.broken[:_BROKEN]:
        yield [Text("   "), Text(f"{printable(str(path))}:{line}"), Text(reason, _DIM)]
    if report.broken_count > _BROKEN:
        yield [Text(f"    and {report.broken_count - _BROKEN:,} more")]


def remarked(remarks: Iterable[Remark]) -> Iterator[list[Text]]:
    """Say what there is any of: what it is, how many, of what, and what is to be said about it."""
    for what, number, noun, remark in remarks:
        if number:
            yield [Text(word) for word in f"{what}: {counted(number, noun)}{remark}".split(" ")]


def _remarks(report: AuditReport) -> Iterator[Remark]:
    processes, kept_in = report.processes, report.kept_in
    yield "dropped", sum(process.dropped for process in processes), "line", ", declared by the log itself: the queue was full"
    of = counted(sum(bool(process.earlier) for process in processes), "process")
    earlier = sum(process.earlier for process in processes)
    yield f"before the oldest {kept_in}", earlier, "line", f" of {of}, not checked: deleted by retention, or not given here"
    is_open = sum(not process.is_closed for process in processes)
    yield "not closed", is_open, "process", ", still running or killed: what came after the last line is unknown"
    yield "more than once", sum(process.duplicated for process in processes), "line", ""
    yield "refused", report.refused, "line", f", not to be found by their fields, and kept in {named(report.refused_in)}"
    files = counted(len(report.uncounted_in), kept_in)
    yield "without a number", report.uncounted, "line", f" in {files}, of which nothing can be proved: flat, or not ours"
    yield "copies", len(report.copies), "file", ", the same as others or their beginning: not counted twice"
    yield "broken", report.broken_count, "line", ""


def runs(numbers: Sequence[Run]) -> Iterator[Text]:
    """Say which numbers, as long as they are few."""
    shown = [f"#{first:,}" if first == last else f"#{first:,}–{last:,}" for first, last in numbers[:_RUNS]]
    yield from (Text(f"{text}," if number < len(numbers) - 1 else text) for number, text in enumerate(shown))
    if len(numbers) > _RUNS:
        yield Text(f"and {len(numbers) - _RUNS:,} more places")


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
