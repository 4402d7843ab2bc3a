"""What one file says, read line by line, of each process that wrote into it: which numbers are there, and its own notices."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from trackline.search.line import EVENT, PROCESS, SERVICE, TIME, first_text, flatten, read_number, read_time
from trackline.search.notice import read_notice
from trackline.search.numbers import Numbers
from trackline.search.scan import LONGEST_LINE, objects

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trackline.search.notice import Notice

_MOST_BROKEN = 1000  # of a file, with their line numbers; all are counted
_TEXT = "no JSON object"
_MOST = 10**18
_SPACE = b"\0 \t\r\n\xef\xbb\xbf"


class BrokenLine(NamedTuple):
    """A line that is not whole."""

    path: Path
    number: int
    reason: str


class Part:
    """What a file has of one process."""

    def __init__(self, first_number: int, fields: dict[str, Any]) -> None:
        self.first_number = first_number
        self.begins_with_opening = False
        self.numbers = Numbers()
        self.notices: list[Notice] = []
        self.first_fields = self.last_fields = fields
        flat = flatten(fields)
        self.service = first_text(flat, *SERVICE)
        self.pid = first_text(flat, *PROCESS)
        self.host = first_text(flat, "host.name", "host.hostname")

    @property
    def times(self) -> list[datetime]:
        """When its first line and its last were logged, as far as they say it."""
        return [time for fields in (self.first_fields, self.last_fields) if (time := _time(fields)) is not None]


class FileLedger:
    """One file's lines, fed in blocks as they are on the disk. Holds no line, and no number: runs of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, Part] = {}
        self.uncounted = 0
        """Lines that have no number: of the schema `flat`, or not ours, which may be no JSON either."""
        self.broken: list[BrokenLine] = []
        self.broken_count = 0
        self._text_count = 0
        self.size = 0
        self.damage: BaseException | None = None
        self._hash = hashlib.sha256()
        self._line = 0
        self._held: list[bytes] = []
        self._held_size = 0
        self._is_too_long = False

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was fed."""
        return self._hash.digest()

    def feed(self, block: bytes) -> None:
        """Take the next bytes; half a line at their end is kept for the next."""
        self.size += len(block)
        self._hash.update(block)
        cut = block.rfind(b"\n") + 1
        if cut and self._is_too_long:
            self._is_too_long, cut, block = False, cut - block.find(b"\n"), block[block.find(b"\n") :]
        if cut:
            self._read(b"".join((*self._held, block[: cut - 1])))
            self._held, self._held_size = [], 0
        self._held.append(block[cut:])
        self._held_size += len(block) - cut
        if self._held_size > LONGEST_LINE or self._is_too_long:
            if not self._is_too_long:
                self._break(self._line + 1, f"longer than {LONGEST_LINE >> 20} MiB")
            self._is_too_long = True
            self._held, self._held_size = [], 0

    def finish(self, *, is_written_to: bool) -> None:
        """Take the end of the file: a last line without a newline, which is broken unless it is whole, or being written right now."""
        rest = b"".join(self._held)
        self._held, self._held_size = [], 0
        if rest.strip(_SPACE) and not (is_written_to and next(objects(rest), None) is None):
            self._read(rest)
        if not self.parts:
            # Nothing here is ours: text is no broken line of ours.
            self.broken = [line for line in self.broken if line.reason != _TEXT]
            self.broken_count -= self._text_count
            self.uncounted += self._text_count

    def _read(self, lines: bytes) -> None:
        number, parts, loads = self._line, self.parts, orjson.loads
        for raw in lines.split(b"\n"):
            number += 1
            try:
                fields = loads(raw)
            except ValueError:
                self._odd(raw, number)
                continue
            try:
                event_id = fields.get("event.id") or fields["attributes"]["log.record.uid"]
                nonce = event_id[:12]
                part, count = parts[nonce], int(event_id[13:])
                # All of a line that is ours and of no interest in itself. What looks like an ID in a message is in a text, not here.
                if event_id == f"{nonce}-{count}" and 0 < count < _MOST and "event.action" not in fields and "event_name" not in fields:
                    part.numbers.add(count)
                    part.last_fields = fields
                    continue
            except (AttributeError, KeyError, TypeError, ValueError):
                pass
            if type(fields) is dict:
                self._take(fields)
            else:
                self._break_text(number)
        self._line = number

    def _take(self, fields: dict[str, Any]) -> None:
        flat = flatten(fields)
        counted = read_number(first_text(flat, *EVENT))
        if counted is None:
            self.uncounted += 1
            return
        nonce, count = counted
        part = self.parts.get(nonce)
        is_first = part is None
        if part is None:
            part = self.parts[nonce] = Part(count, fields)
        part.numbers.add(count)
        part.last_fields = fields
        if (notice := read_notice(flat, count)) is not None:
            part.notices.append(notice)
            if notice.action == "log-open":
                part.begins_with_opening |= is_first
                part.host = first_text(flat, "labels.host", "host") or part.host

    def _odd(self, raw: bytes, number: int) -> None:
        """Read what is no JSON as a whole: a torn line, and perhaps a whole one behind it; or one with something in front of it."""
        text = raw.strip(_SPACE)
        if not text:
            if b"\0" in raw:
                self._break(number, "zero bytes")
            return
        found = list(objects(raw))
        for fields, _ in found:
            self._take(fields)
        if not found and not text.startswith(b"{"):
            self._break_text(number)
            return
        covered = sum(len(piece) for _, piece in found)
        is_prefixed = bool(found) and not text.startswith(b"{") and text.endswith(found[-1][1])  # a container runtime's time, say
        if covered < len(text) and not is_prefixed:
            self._break(number, "half a line")

    def _break_text(self, number: int) -> None:
        self._text_count += 1
        self._break(number, _TEXT)

    def _break(self, number: int, reason: str) -> None:
        self.broken_count += 1
        if len(self.broken) < _MOST_BROKEN:
            self.broken.append(BrokenLine(self.path, number, reason))


def _time(fields: dict[str, Any]) -> datetime | None:
    flat = flatten(fields)
    return next((time for key in TIME if (time := read_time(flat.get(key))) is not None), None)
