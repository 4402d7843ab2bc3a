"""Text for a terminal: made harmless, measured in columns, wrapped, cut and coloured."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def wants_color(stream: TextIO) -> bool:
    """Say whether to colour what goes to a stream: on a terminal, save that NO_COLOR and FORCE_COLOR have the last word."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (is_terminal(stream) and os.environ.get("TERM") != "dumb")


def is_terminal(stream: TextIO) -> bool:
    """Say whether a stream is a terminal; what somebody has put in the place of one, a notebook's or a test's, may not know."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # ValueError: it is closed
        return False


class Text(NamedTuple):
    """A piece of a row, and its style: the parameters of an SGR escape sequence, such as ``1;31``."""

    text: str
    style: str = ""


def printable(text: str) -> str:
    r"""
    Make text harmless on a terminal: what is no printable character comes out as an escape, spaces of all kinds as a space.

    >>> printable("\x1b[2Jpaid")
    '\\x1b[2Jpaid'
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def words(text: str, style: str) -> list[Text]:
    """Split one line of text into what may be wrapped, made harmless."""
    return [Text(word, style) for word in printable(text.rstrip("\r").expandtabs(4)).split(" ")]


def wrapped(texts: Iterable[Text], room: int) -> Iterator[list[Text]]:
    """Fill rows of so many columns, one row at least; only a text that is longer than a row is broken."""
    row: list[Text] = []
    used = 0
    for text, style in texts:
        rest = text
        while True:
            size = columns(rest)
            if used + bool(row) + size <= room:
                break
            if row:
                yield row
                row, used = [], 0
                continue
            start = _fitting(rest, room)
            yield [Text(rest[:start], style)]
            rest = rest[start:]
        used += bool(row) + size
        row.append(Text(rest, style))
    yield row


def columns(text: str) -> int:
    """Count the columns that printable text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_column(character) for character in text)


def _column(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitting(text: str, room: int) -> int:
    """Count the characters that fit; one at least, so that cutting always comes to an end."""
    used = 0
    for count, character in enumerate(text):
        used += _column(character)
        if used > room:
            return max(count, 1)
    return len(text)


def clipped(text: str, room: int) -> str:
    """Cut to so many columns; where ``room`` is negative, at the front."""
    most = 8 * abs(room)  # measuring is slow, and the text may be megabytes
    text = text[-most:] if room < 0 else text[:most]
    if columns(text) <= abs(room):
        return text
    if room < 0:
        return "…" + text[::-1][: _fitting(text[::-1], -room - 1)][::-1]
    return text[: _fitting(text, room - 1)] + "…"


def padded(text: str, room: int) -> str:
    """Fill up to so many columns; where ``room`` is negative, at the front."""
    gap = " " * (abs(room) - columns(text))
    return gap + text if room < 0 else text + gap


def painted(row: Iterable[Text], color: bool) -> str:
    """Join a row, with escape sequences for the styles if there are to be colours."""
    texts = (f"\x1b[{style}m{text}\x1b[0m" if color and style and text else text for text, style in row)
    return " ".join(texts).rstrip()
