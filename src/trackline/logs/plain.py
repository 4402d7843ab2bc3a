"""Any value as what JSON has: dicts with text as keys, lists, text, numbers within 64 bits, booleans and None."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 20
_MAX_NODES = 50_000
_CONTAINERS = (dict, list, tuple, set, frozenset)


class Plain:
    """
    Makes values plain, once: one object for one line.

    ``cut`` is how many characters a text may have, None for any number. The number of values is bounded whatever it is, also where a
    few lists that hold each other spell a million of them.
    """

    def __init__(self, cut: int | None = None) -> None:
        self._cut = cut
        self._most = _MAX_NODES if cut is None else max(cut // 8, 64)
        self._left = _MAX_NODES

    def of(self, value: Any, depth: int = _MAX_DEPTH, within: tuple[int, ...] = ()) -> Any:
        """Give a value as plain as JSON."""
        # By its type, not by isinstance(): that asks the object for its __class__, which may be a property that raises.
        kind = type(value)
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            return shorten(clean(value), self._cut)
        if issubclass(kind, int):
            number = int.__index__(value)
            return number if -(2**63) <= number < 2**64 else shorten(text_of(number), self._cut)
        if issubclass(kind, float):
            return float.__float__(value)  # of which orjson makes null where JSON has no such number
        if issubclass(kind, _CONTAINERS):
            if id(value) in within:
                return "<cycle>"
            if not depth:
                return f"<{_name(kind)}: too deep>"
            return self._items(value, depth - 1, (*within, id(value)))
        return shorten(text_of(value), self._cut)

    def _items(self, value: Any, depth: int, within: tuple[int, ...]) -> Any:
        items = _items_of(value)
        given: dict[str, Any] = {}
        listed: list[Any] = []
        # The first level is that of the line itself, whose fields have their own bound.
        most = self._most if len(within) > 1 else _MAX_NODES
        for number, item in enumerate(items):
            self._left -= 1
            if number >= most or self._left < 0:
                more = f"{len(items) - number} more, cut"
                given["trackline_cut"] = more
                listed.append(f"… {more}")
                break
            if type(value) is dict or issubclass(type(value), dict):
                key = self._key(item[0])
                while key in given:
                    key += "_"
                given[key] = self.of(item[1], depth, within)
            else:
                listed.append(self.of(item, depth, within))
        return given if issubclass(type(value), dict) else listed

    def _key(self, key: Any) -> str:
        return shorten(clean(key) if issubclass(type(key), str) else text_of(key), self._cut and min(self._cut, 1024))


def text_of(value: Any) -> str:
    """Give an object as text, by ``str``, a date by ``isoformat``; one whose own method raises says so. Never raises."""
    kind = type(value)
    try:
        if issubclass(kind, str):
            return clean(value)
        if issubclass(kind, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "backslashreplace")
        if issubclass(kind, int) and kind.__str__ is int.__str__ and abs(value) >> 4096:
            return hex(value)  # beyond 4,300 digits str() refuses
        return clean(value.isoformat() if issubclass(kind, date) else str(value))
    except RecursionError:
        return f"<{_name(kind)}: too deep>"
    except Exception as error:  # noqa: BLE001  (anything at all may be wrong with an object that somebody logs)
        return f"<{_name(kind)}: its __str__ raised {_name(type(error))}>"


def clean(text: str) -> str:
    """Give a text, or one of a subclass, as nothing but a text, and lone surrogates as U+FFFD."""
    exact = str.__str__(text)
    return exact if exact.isascii() else _SURROGATE.sub("\ufffd", exact)


def shorten(text: str, cut: int | None) -> str:
    """Cut a text to a number of characters; its beginning and its end stay, for a traceback's end says most."""
    if cut is None or len(text) <= cut:
        return text
    head, tail = cut // 3, cut - cut // 3
    return f"{text[:head]}… [{len(text) - cut} characters cut] …{text[-tail:]}"


def _items_of(value: Any) -> list[Any]:
    # The base class's own methods, as orjson does: a subclass may have others, which raise or never end.
    kind = type(value)
    for base in _CONTAINERS:
        if issubclass(kind, base):
            return list(dict.items(value) if base is dict else base.__iter__(value))
    raise TypeError(kind)


def _name(kind: type) -> str:
    return str(type.__dict__["__name__"].__get__(kind))
