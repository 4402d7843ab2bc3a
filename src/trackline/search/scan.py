"""The fast part of a search: which lines of a file could carry the ID, and the JSON that is in them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trackline.search.compressed import Reader

    Finder = Callable[[bytes, int], int]

BLOCK = 1 << 17  # bytes: small enough for the cache of a core, which makes it faster than larger ones
LONGEST_LINE = 64 << 20  # bytes; a longer one is not held in memory and not searched

_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9 \-._~:@|;,]+").fullmatch
_LINE_START = re.compile(r'\{"@?timestamp"')
_DECODER = json.JSONDecoder()


def finder(text: str) -> Finder:
    r"""
    Give a function which says where in a block the text comes next as a whole string of JSON, from a position on, or -1.

    In whichever spelling a JSON writer gives it: PHP writes ``\/``, .NET ``\u002B`` for ``+``, Go ``\u0026`` for ``&``. Nobody
    escapes letters and digits, so that most IDs are one search for bytes, at several GB/s.
    """
    if _NEVER_ESCAPED(text):
        needle = b'"%s"' % text.encode()
        return lambda block, start: block.find(needle, start)
    pattern = re.compile(b'"%s"' % b"".join(map(_spellings, text)))

    def find(block: bytes, start: int) -> int:
        match = pattern.search(block, start)
        return match.start() if match else -1

    return find


def scan(file: Reader, finders: Sequence[Finder]) -> Iterator[tuple[bytes, int]]:
    """Give each line in which a finder finds something, and its number, from 1. Memory: a block, or the longest line."""
    before = 1
    for block in _whole_lines(file):
        starts = {start for find in finders for start in _line_starts(block, find)}
        for start in sorted(starts):
            end = block.find(b"\n", start)
            yield block[start : end if end >= 0 else None], before + block.count(b"\n", 0, start)
        before += block.count(b"\n")


def objects(raw: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """
    Give the JSON objects of a line and the bytes of each: one, or none where it is no JSON.

    A process that died in the middle of a line leaves a torn one, and the next line starts behind it: that one is not lost.
    Bytes that are not UTF-8 become lone surrogates, as in the names of files, and do not lose the line.
    """
    text = raw.decode("utf-8", "surrogateescape").strip("\0 \t\r\n\ufeff")
    position = 0
    while position < len(text):
        try:
            found, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if isinstance(found, dict):
                yield found, text[position:end].encode("utf-8", "surrogateescape")
        start = _LINE_START.search(text, end)
        position = start.start() if start else len(text)


def _whole_lines(file: Reader) -> Iterator[bytes]:
    """Give blocks which end on a newline, save the last: it may be half a line that is being written."""
    parts: list[bytes] = []
    held = 0
    while block := file.read1(BLOCK):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join((*parts, block[:cut]))
            parts, held = [], 0
        parts.append(block[cut:])
        held += len(block) - cut
        if held > LONGEST_LINE:
            parts, held = [], 0
    yield b"".join(parts)


def _line_starts(block: bytes, find: Finder) -> Iterator[int]:
    at = find(block, 0)
    while at >= 0:
        yield block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        at = find(block, end) if end >= 0 else -1


def _spellings(character: str) -> bytes:
    if _NEVER_ESCAPED(character):
        return re.escape(character.encode())
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(r"\u" + units[i : i + 4] for i in range(0, len(units), 4))
    spellings = [re.escape(character.encode("utf-8", "surrogatepass")), b"(?i:" + re.escape(escaped.encode()) + b")"]
    if (short := json.dumps(character)[1:-1].encode()) != character.encode("utf-8", "surrogatepass"):
        spellings.append(re.escape(short))
    if character == "/":
        spellings.append(rb"\\/")
    return b"(?:" + b"|".join(spellings) + b")"
