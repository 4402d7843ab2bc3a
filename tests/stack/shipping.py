"""What is asked of documents, whoever has shipped them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stack.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.elasticsearch import Elasticsearch
    from stack.shippers import Shipper

    Fields = dict[str, Any]


def leaves(value: Fields, prefix: str = "") -> Fields:
    """Give the fields of a line or a document by their dotted names, however they are nested; lists are values."""
    fields: Fields = {}
    for key, item in value.items():
        fields |= leaves(item, f"{prefix}{key}.") if isinstance(item, dict) and item else {f"{prefix}{key}": item}
    return fields


def instant(text: str, *, cut: bool) -> datetime:
    """Give the microsecond, or the millisecond, that a timestamp is in."""
    moment = datetime.fromisoformat(text)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) if cut else moment


def lines_in(folder: Path) -> Iterator[Fields]:
    """Give each line of all log files as it is there."""
    for path in sorted(folder.glob("*.log")):
        for line in path.read_bytes().splitlines():
            yield json.loads(line)


def wait_until_stored(node: Elasticsearch, index: str, count: int, shipper: Shipper) -> list[Fields]:
    """Give the documents once there are so many."""
    wait_for(lambda: node.count(index) >= count, 60, lambda: f"{count} documents, but {node.count(index)}\n{shipper.log()}", every=0.2)
    return [hit["_source"] | {"_id": hit["_id"], "_index": hit["_index"]} for hit in node.hits(index, source=True)]
