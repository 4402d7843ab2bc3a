"""Any value to one line of JSON: orjson first, and where that refuses, what a person would still want to read. Never raises."""

from __future__ import annotations

from typing import Any

import orjson

from trackline.logs.plain import Plain, text_of

MAX_LINE = 256 * 1024
"""Every line is shorter, in bytes: shippers split or drop what is longer (and Elasticsearch's keyword fields end far below)."""

# Dates too: orjson ends the process where a tzinfo of the user's raises.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_CUTS = (65_536, 16_384, 4_096, 1_024, 128)
_ROOM = MAX_LINE - 1024


def dump(fields: dict[str, Any], most: int = MAX_LINE) -> bytes:
    """
    Give a dict as one line of JSON, UTF-8, with its newline, shorter than ``most`` bytes.

    NaN and infinity become null, as orjson has it; lone surrogates become U+FFFD; integers beyond 64 bits, bytes, cycles and objects
    of any class become text. What is too long is cut, and says so: the values first, then fields from the end.
    The result holds no more memory than its length.
    """
    try:
        # The newline is added by `+`, not by an option: what orjson returns holds a buffer of 4 KiB for as long as it waits in a queue.
        line = orjson.dumps(fields, default=text_of, option=_OPTIONS) + b"\n"
    except Exception:  # noqa: BLE001  (TypeError by its documentation; but __str__ of the user's own classes is called from there)
        line = _encode(Plain().of(fields))
    return line if len(line) < most else _shortened(fields, most)


def json_text(value: Any) -> str:
    """Give a value of any kind as JSON in a text."""
    return orjson.dumps(Plain().of(value), option=_OPTIONS).decode()


def _encode(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=_OPTIONS) + b"\n"


def _shortened(fields: dict[str, Any], most: int) -> bytes:
    for cut in _CUTS:
        line = _encode(Plain(cut).of(fields))
        if len(line) < most:
            return line
    # Thousands of fields, each short. Ours come first, and so does in each what the contract promises.
    kept, dropped = _fitting(fields, [_ROOM])
    if dropped:
        kept["labels"] = {**kept.get("labels", {}), "trackline_cut": f"{dropped} fields more, cut"}
    return _encode(kept)


def _fitting(fields: dict[str, Any], room: list[int], depth: int = 1) -> tuple[dict[str, Any], int]:
    """Give the fields that there is room for, from the first, and how many there were more."""
    kept: dict[str, Any] = {}
    dropped = 0
    for key, value in fields.items():
        if depth and type(value) is dict:
            kept[key], more = _fitting(value, room, depth - 1)
            if more:
                kept[key]["trackline_cut"] = f"{more} more, cut"
            continue
        short = Plain(128).of({key: value})
        size = len(_encode(short))
        if dropped or size > room[0]:
            dropped += 1
        else:
            kept.update(short)
            room[0] -= size
    return kept, dropped
