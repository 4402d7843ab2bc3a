"""Tell the lines of one request as a story: one time line over all services, to be read at once on a terminal. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from trackline.terminal import Text, clipped, columns, padded, painted, printable, words, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from trackline.search.line import Line

_BOLD, _DIM, _RED, _YELLOW = "1", "2", "1;31", "33"
_SERVICE_COLORS = ("36", "35", "34", "32", "96", "95", "94", "92")  # no red and no yellow: those mean something
_LEVEL_COLORS = {"ERROR": _RED, "WARNING": _YELLOW, "DEBUG": _DIM, "TRACE": _DIM}
_SHORT_LEVELS = {"WARNING": "WARN", "CRITICAL": "CRIT"}

_ROWS = 12  # of one message: more is cut, and says so
_FRAMES = 3  # of a traceback: the last
_VALUE = 200  # columns of one extra value
_EXTRAS = 30  # of one line
_ROOM = 30  # columns that a message needs beside its line's head; with fewer it goes below

# The lines of the servers: where in the server they were logged says nothing, and an access line's fields repeat its message.
_SERVER = re.compile(r"(uvicorn|gunicorn|hypercorn|_?granian)\b|trackline\.access$")
_OF_ACCESS = re.compile(r"(client|http|url|network|user_agent|event)\.(?!duration)|http_route$")
_CLIENT = re.compile(r"^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:\[\]]*:[0-9a-fA-F:\[\]]*):\d+ - (?=\")")

_FRAME = re.compile(r'^[ |+]*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_CARETS = re.compile(r"^[ |~^]*$")
_CHAINED = re.compile(r"\n(?:The above exception was the direct cause of|During handling of the above exception).*\n")


def render_story(tracking_id: str, lines: Sequence[Line], *, width: int = 100, color: bool = False) -> str:
    r"""
    Tell the lines, which are in order of time, as a story of rows no wider than ``width`` columns.

    Whatever was logged is harmless on a terminal: control characters and escape sequences come out as ``\x1b`` and the like.
    """
    width = max(width, 20)
    rows = list(_header(tracking_id, lines, width))
    if lines:
        rows.append([])
        rows += _body(tracking_id, lines, width)
    return "".join(painted(row, color) + "\n" for row in rows)


def _header(tracking_id: str, lines: Sequence[Line], width: int) -> Iterator[list[Text]]:
    yield from wrapped([Text("tracking ID"), Text(printable(tracking_id), _BOLD)], width)
    traces = dict.fromkeys(line.trace_id for line in lines if line.trace_id not in ("", tracking_id))
    if traces:
        shown = [Text(printable(trace)) for trace in list(traces)[:3]]
        more = [Text(f"and {len(traces) - 3} more")] if len(traces) > 3 else []
        yield from wrapped([Text("trace ID   "), *shown, *more], width)
    times = [line.time for line in lines if line.time]
    span = [f"{times[0]:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC,", f"{_duration(times[-1] - times[0])},"] if times else []
    services = Counter(line.service for line in lines)
    levels = Counter(line.level for line in lines if line.is_error or line.level == "WARNING")
    counts = [f"{len(lines)} line{'s' * (len(lines) != 1)}"]
    if services:
        counts[0] += ":"
        counts += [f"{printable(service) or '?'} {count}," for service, count in services.items()]
        counts[-1] = counts[-1].rstrip(",")
    if levels:
        counts[-1] += ";"
    worst = [Text(f"{count} {printable(level)}", _LEVEL_COLORS.get(level, _RED)) for level, count in levels.items()]
    yield from wrapped([*map(Text, span + counts), *worst], width)


def _body(tracking_id: str, lines: Sequence[Line], width: int) -> Iterator[list[Text]]:
    start = next((line.time for line in lines if line.time), None)
    # A time in whole seconds, as `flat` has it, says little about the order.
    about = ["" if line.time and line.time.microsecond else "~" for line in lines]
    times = [f"{sign}+{_duration(line.time - start)}" if line.time and start else "?" for line, sign in zip(lines, about, strict=True)]
    names = [clipped(printable(line.service), 20) for line in lines]
    processes = [clipped(printable(line.process), 16) for line in lines]
    colors = {name: _SERVICE_COLORS[i % len(_SERVICE_COLORS)] for i, name in enumerate(dict.fromkeys(names))}
    time_width, name_width, process_width = (max(map(columns, column)) for column in (times, names, processes))

    for line, time, name, process in zip(lines, times, names, processes, strict=True):
        style = _LEVEL_COLORS.get(line.level, _RED if line.is_error else "")
        mark = "!!" if line.is_error else "! " if line.level == "WARNING" else "  "
        level = clipped(printable(_SHORT_LEVELS.get(line.level, line.level)), 5)
        head = [
            Text(mark, style),
            Text(padded(time, -time_width)),
            Text(" " + padded(name, name_width), colors[name]),
            *([Text(padded(process, -process_width), _DIM)] if process_width else []),
            Text(padded(level, 5), style),
        ]
        indent = sum(columns(part.text) + 1 for part in head) + 1
        beside = width - indent >= _ROOM
        if not beside:
            yield from wrapped(head, width)
            head, indent = [], 4
        for row in _message(tracking_id, line, style if line.is_error else "", width - indent, width - 4):
            # What is longer than there is room begins further left, rather than being broken: it can be copied.
            left = min(indent, width - sum(columns(part.text) + 1 for part in row) + 1)
            yield [*head, Text(""), *row] if beside else [Text(" " * (left - 1)), *row]
            head, beside = [], False


def _message(tracking_id: str, line: Line, style: str, room: int, whole: int) -> Iterator[list[Text]]:
    is_access, is_server = line.logger.endswith(".access"), bool(_SERVER.match(line.logger))
    message = _CLIENT.sub("", line.message) if is_access or is_server else line.message
    extra = {key: value for key, value in line.extra.items() if not is_access or not _OF_ACCESS.match(key)}
    if line.logger == "trackline.access":
        extra.pop("event.duration", None)  # its message has it
    if line.tracking_id and line.tracking_id != tracking_id:
        extra["tracking_id"] = line.tracking_id
    duration = extra.pop("event.duration", None)
    # By their names: shippers keep no order of fields, and a story is the same wherever it comes from.
    details = [Text(f"{clipped(printable(key), _VALUE)}={_value(value)}") for key, value in sorted(extra.items())[:_EXTRAS]]
    if len(extra) > _EXTRAS:
        details.append(Text(f"… {len(extra) - _EXTRAS} more fields", _DIM))
    if isinstance(duration, int) and 0 < duration < 10**15:  # ECS counts it in nanoseconds
        details.append(Text(f"duration={duration / 1e6:,.1f}ms"))
    long = [detail for detail in details if room < columns(detail.text) <= whole]
    details = [detail for detail in details if detail not in long]
    if details:
        details.insert(0, Text(""))  # two spaces, so that the message ends where it ends

    most = _ROWS * room
    *paragraphs, last = message[:most].rstrip().split("\n", _ROWS)
    last, *rest = last.split("\n", 1)
    for text in paragraphs:
        yield from wrapped(words(text, style), room)
    if rest or message[most:]:
        details.insert(0, Text("… cut: --json has all of it", _DIM))
    *rows, row = wrapped([*words(last, style), *details], room)
    yield from rows
    yield from wrapped([*row, *_origin(line, room - sum(columns(part.text) + 1 for part in row) - 1, spaced=not details)], room)
    yield from ([detail] for detail in long)
    if line.stack or line.error_type or line.error_message:
        for row in _exception(line, style, room - 2):
            yield [Text(" "), *row]


def _origin(line: Line, left: int, *, spaced: bool) -> Iterator[Text]:
    """Give where in the program a line was logged; without the function, if that is what fits beside the message."""
    if _SERVER.match(line.logger):
        return
    both, place = (f"[{printable(' '.join(filter(None, parts)))}]" for parts in ((line.origin, line.function), (line.origin,)))
    if len(both) > 2:
        if spaced:
            yield Text("")  # two spaces, so that the message ends where it ends
        yield Text(place if columns(both) > left >= columns(place) > 2 else both, _DIM)


def _exception(line: Line, style: str, room: int) -> Iterator[list[Text]]:
    *causes, stack = _CHAINED.split(line.stack.replace("\r\n", "\n").strip("\n"))
    title = ": ".join(filter(None, (line.error_type, line.error_message))) or _title(stack)
    yield from wrapped(words(title[: _ROWS * room].replace("\n", " "), style), room)
    frames = [text for text in stack.split("\n") if text.strip() and not _CARETS.match(text)]
    starts = [number for number, text in enumerate(frames) if _FRAME.match(text)]
    if starts:
        if len(starts) > _FRAMES:
            yield [Text(clipped(f"… {len(starts) - _FRAMES} before", room), _DIM)]
        for number in starts[-_FRAMES:]:
            place = _FRAME.sub(r"\g<file>:\g<line> \g<function>", frames[number]).rstrip()
            yield [Text(clipped(printable(place), -room))]
            source = frames[number + 1] if number + 1 < len(frames) else ""
            if source.startswith(" ") and number + 1 not in starts:
                yield [Text(clipped("  " + printable(source.strip(" |")), room), _DIM)]
    else:
        # Not Python's: others print the innermost frame first.
        yield from ([Text(clipped(printable(text), room), _DIM)] for text in frames[: 2 * _FRAMES] if text.strip() != title)
    for cause in causes[: -_FRAMES - 1 : -1]:
        yield [Text(clipped(printable(f"after {_title(cause)}"), room))]


def _title(stack: str) -> str:
    rows = stack.split("\n")
    if any(map(_FRAME.match, rows)):
        rows.reverse()  # Python says last what the exception was, others say it first
    return next((text for text in rows if text[:1].strip(" \t|+")), "")


def _value(value: object) -> str:
    if isinstance(value, str):
        text = value if value and not re.search(r'[\s"=]', value) else json.dumps(value, ensure_ascii=False)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = "…"
    return clipped(printable(text), _VALUE)


def _duration(delta: timedelta) -> str:
    seconds = delta.total_seconds()
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.3f} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours}:{minutes:02}:{int(seconds):02}" if days else f"{hours}:{minutes:02}:{seconds:04.1f}"
