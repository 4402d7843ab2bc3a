"""Documents as the lines that they were: dotted, nested, wrapped by a shipper, or refused and kept as a text. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackline.search.line import EVENT, SERVICE, first_text, flatten, read_line, read_number
from trackline.search.scan import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackline.search.line import Line

_FILE = ("log.file.path", "log.file.name")
_OFFSET = ("log.offset", "log.file.record_offset")
_TEXTS = ("message", "event.original")
_STREAM = re.compile(r"(?:\.ds-)?logs-([^-]+)-[^-]+").match
_NO_SERVICE = "trackline"  # the dataset of lines that name none


def read_hit(hit: Mapping[str, Any], place: int, *, was_refused: bool = False) -> Line:
    """
    Read a hit as a line. Never raises, whatever a stranger has stored.

    ``path`` is the file that it came from, as far as the shipper says so, else the index; ``number`` is where it began in that file, in
    bytes, else ``place``, which is where among the hits it is.
    """
    source = hit.get("_source") or {}
    fields = refused_line(source) if was_refused else source
    flat = flatten(fields)
    path, offset = (first_text(flat, *keys) or first_text(flatten(source), *keys) for keys in (_FILE, _OFFSET))
    line = read_line(_as_json(fields), Path(path), int(offset) if offset.isascii() and offset.isdigit() else place, fields)
    if path:
        return line
    stream = _STREAM(str(hit.get("_index", "")))
    service = first_text(flat, *SERVICE) or (stream[1] if stream and stream[1] != _NO_SERVICE else "")
    return replace(line, path=Path(str(hit.get("_index", ""))), service=service)


def refused_line(source: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields that a dead letter had as a line; its own where no line is in it. It is a text in one, or an object."""
    flat = flatten(source)
    time = {"@timestamp": source["@timestamp"]} if "@timestamp" in source else {}
    for key in _TEXTS:
        text = flat.get(key)
        found = next(objects(text.encode("utf-8", "surrogateescape")), None) if isinstance(text, str) and text.startswith("{") else None
        if found is not None:
            return {**time, **found[0]}
    document = source.get("document")  # of Elasticsearch's own failure store
    inside = document.get("source") if isinstance(document, dict) else None
    return inside if isinstance(inside, dict) else dict(source)


def refused_number(hit: Mapping[str, Any]) -> tuple[str, int] | None:
    """Give the nonce and the number of the line that a dead letter is about; None where it does not say."""
    source = hit.get("_source") or {}
    flat = flatten(source)
    texts = (
        first_text(flat, *EVENT),
        str(hit.get("_id", "")),
        first_text(flat, "document.id"),
        first_text(flatten(refused_line(source)), *EVENT),
    )
    return next((number for text in texts if (number := read_number(text)) is not None), None)


def same(hit: Mapping[str, Any], line: Line) -> tuple[object, ...]:
    """Give what is the same for two documents of one line: its number, else its place in its file, else all of it."""
    flat = flatten(hit.get("_source") or {})
    if line.event_id:
        return (line.event_id,)
    if first_text(flat, *_FILE) and first_text(flat, *_OFFSET):
        return first_text(flat, "host.name"), line.path, line.number, line.message
    return hit.get("_id"), line.raw


def _as_json(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(fields, separators=(",", ":")).encode()
