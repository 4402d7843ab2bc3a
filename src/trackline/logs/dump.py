"""Any value to one line of JSON: orjson first, and where that refuses, what a person would still want to read. Never raises."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

MAX_LINE = 256 * 1024
"""No line is longer, in bytes: shippers split or drop what is (and Elasticsearch's keyword fields end far below)."""

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_UTC_Z
_CUTS = (65_536, 16_384, 4_096, 1_024, 128)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DEPTH = 20
_MAX_ITEMS = 10_000


def dump(fields: dict[str, Any]) -> bytes:
    """
    Give a dict as one line of JSON, UTF-8, with its newline, shorter than `MAX_LINE`.

    NaN and infinity become null, as orjson has it; lone surrogates become U+FFFD; integers beyond 64 bits, bytes, cycles and objects
    of any class become text. What is too long is cut, and says so. The result holds no more memory than its length.
    """
    try:
        # The newline is added by `+`, not by an option: what orjson returns holds a buffer of 4 KiB for as long as it waits in a queue.
        line = orjson.dumps(fields, default=text_of, option=_OPTIONS) + b"\n"
    except Exception:  # noqa: BLE001  (TypeError by its documentation; but __str__ of the user's own classes is called from there)
        line = orjson.dumps(plain(fields), option=_OPTIONS) + b"\n"
    return line if len(line) <= MAX_LINE else _shortened(fields)


def text_of(value: Any) -> str:
    """Give an object as text, by ``str``; one whose ``__str__`` raises says so."""
    try:
        text = bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray | memoryview) else str(value)
        return _clean(text)
    except RecursionError:
        return f"<{type(value).__name__}: too deep>"
    except Exception as error:  # noqa: BLE001  (anything at all may be wrong with an object that somebody logs)
        return f"<{type(value).__name__}: its __str__ raised {type(error).__name__}>"


def plain(value: Any, depth: int = _MAX_DEPTH, within: tuple[int, ...] = (), cut: int | None = None) -> Any:
    """Give a value as what JSON has: dicts with text as keys, lists, text, numbers within 64 bits, booleans and None."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return shorten(_clean(value), cut)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else text_of(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict | list | tuple | set | frozenset):
        if id(value) in within:
            return "<cycle>"
        if not depth:
            return f"<{type(value).__name__}: too deep>"
        return _plain_items(value, depth - 1, (*within, id(value)), cut)
    return shorten(text_of(value), cut)


def _plain_items(value: Any, depth: int, within: tuple[int, ...], cut: int | None) -> Any:
    most = _MAX_ITEMS if cut is None else max(cut // 64, 8)
    items: Any = list(value.items()) if isinstance(value, dict) else list(value)
    more = len(items) - most
    items = items[:most]
    if isinstance(value, dict):
        given = {_key(key, cut): plain(inner, depth, within, cut) for key, inner in items}
        if more > 0:
            given["…"] = f"{more} more, cut"
        return given
    listed = [plain(inner, depth, within, cut) for inner in items]
    return [*listed, f"… {more} more, cut"] if more > 0 else listed


def _key(key: Any, cut: int | None) -> str:
    return shorten(_clean(key) if isinstance(key, str) else text_of(key), cut and min(cut, 1024))


def _clean(text: str) -> str:
    return str(text) if text.isascii() else _SURROGATE.sub("\ufffd", text)


def shorten(text: str, cut: int | None) -> str:
    """Cut a text to a number of characters; its beginning and its end stay, for a traceback's end says most."""
    if cut is None or len(text) <= cut:
        return text
    head, tail = cut // 3, cut - cut // 3
    return f"{text[:head]}… [{len(text) - cut} characters cut] …{text[-tail:]}"


def _shortened(fields: dict[str, Any]) -> bytes:
    for cut in _CUTS:
        line = orjson.dumps(plain(fields, cut=cut), option=_OPTIONS) + b"\n"
        if len(line) <= MAX_LINE:
            return line
    # Thousands of fields, each short: keep what the contract promises, which comes first.
    kept = dict(list(plain(fields, cut=128).items())[:32])
    kept["labels"] = {"trackline_cut": "the line was too long"}
    return orjson.dumps(kept, option=_OPTIONS) + b"\n"
