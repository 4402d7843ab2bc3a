"""Lines of real processes, and the documents that shippers make of them, stored in an index by hand: each shape when it is wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from stack.elasticsearch import Elasticsearch

    Fields = dict[str, Any]
    Document = tuple[str | None, Fields]
    """Its _id, and what is in it."""

KEYWORD = {"type": "keyword"}
MAPPED = {
    "subobjects": False,
    "properties": {
        "@timestamp": {"type": "date"},
        "message": {"type": "text"},
        **dict.fromkeys(("tracking_id", "trace.id", "trace_id", "event.id", "attributes.log.record.uid", "event.action"), KEYWORD),
        "labels.tracking_id": {"type": "alias", "path": "tracking_id"},
    },
}
WRITE = """if True:
    import logging, sys, trackline
    folder, service, schema, lines, tracking_id = sys.argv[1:6]
    handle = trackline.setup_logging(service, log_dir=folder, console=False, schema=schema, level="DEBUG")
    log = logging.getLogger("shop")
    with trackline.use_tracking_id(tracking_id):
        for number in range(int(lines)):
            log.info("%s has paid %d", service, number, extra={"amount": number, "nested": {"a": [1, 2]}})
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("not paid")
    log.info("nothing to do with it, but %s", tracking_id)
    assert handle.close(30) == 0
"""


def write(folder: Path, service: str, tracking_id: str, *, lines: int = 5, schema: str = "ecs") -> None:
    """Run a process that logs so many lines and an exception under an ID, and one line without it."""
    subprocess.run([sys.executable, "-c", WRITE, folder, service, schema, str(lines), tracking_id], check=True)


def lines_of(folder: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Give each line, with its file and where it begins there."""
    for path in sorted(folder.glob("*.log*")):
        offset = 0
        for raw in path.read_bytes().splitlines(keepends=True):
            yield path, offset, raw
            offset += len(raw)


def as_written(path: Path, offset: int, raw: bytes) -> Document:
    """The line is the document, as the Collector's `bodymap` stores it."""
    fields = json.loads(raw)
    if "timestamp" in fields:
        fields = {"@timestamp": fields["timestamp"], **fields}
    return event_id(fields), fields


def as_filebeat(path: Path, offset: int, raw: bytes) -> Document:
    """Dots became objects, the time was cut to milliseconds, and much was added."""
    fields = json.loads(raw)
    time = fields.pop("@timestamp", None) or fields["timestamp"]
    if len(time) > 24 and time.endswith("Z"):
        time = time[:23] + "Z"
    more = {
        "log.offset": offset,
        "log.file.path": str(path),
        "input.type": "filestream",
        "agent.version": "7.17.29",
        "agent.type": "filebeat",
    }
    more |= {"host.name": "web-1", "host.os.family": "debian", "container.id": "c1", "kubernetes.pod.name": "p", "stream": "stdout"}
    return event_id(fields) or f"{path}-{offset}", {"@timestamp": time, **nested(fields | more)}


def as_otel_mode(path: Path, offset: int, raw: bytes) -> Document:
    """What the Collector's exporter makes in its mode `otel` of a line of `schema="otel"`."""
    fields = json.loads(raw)
    fields["@timestamp"] = fields.pop("timestamp").replace("Z", "000Z")
    fields["body"] = {"text": fields["body"]}
    fields["scope"] = fields.pop("instrumentation_scope")
    fields["resource"] = {"attributes": fields["resource"]}
    fields["attributes"]["tracking_id"] = fields.pop("tracking_id", None)
    return None, {**fields, "dropped_attributes_count": 0, "data_stream": {"type": "logs"}}


def as_dead_letter(path: Path, offset: int, raw: bytes) -> Document:
    """What Filebeat 7.17 stores in its dead-letter index: the fields as a text, under the same _id."""
    name, fields = as_filebeat(path, offset, raw)
    time = fields.pop("@timestamp")
    reason = '{"type":"document_parsing_exception","reason":"failed to parse field [labels.amount]"}'
    return name, {"@timestamp": time, "message": json.dumps(fields), "error": {"type": 400, "message": reason}}


def store(node: Elasticsearch, index: str, documents: Iterable[Document], mappings: object = MAPPED) -> None:
    """Store the documents in an index, which is made if it is not there, and make them visible."""
    if node.http.head(f"/{index}").status_code == 404:
        node.request("PUT", f"/{index}", {"mappings": mappings} if mappings else {})
    rows: list[object] = []
    for name, fields in documents:
        rows += [{"index": {"_id": name} if name else {}}, fields]
    if rows:
        content = "".join(json.dumps(row) + "\n" for row in rows)
        response = node.http.post(f"/{index}/_bulk", content=content, headers={"Content-Type": "application/x-ndjson"})
        answer = response.json()
        assert response.is_success, answer
        assert not answer["errors"], [item for item in answer["items"] if item["index"]["status"] >= 300][:3]
    node.refresh(index)


def documents(folder: Path, shape: Callable[[Path, int, bytes], Document] = as_written) -> list[Document]:
    """Give the document of each line in a folder: file by file, each in the order of its numbers."""
    return [shape(*line) for line in sorted(lines_of(folder), key=lambda line: (line[0], number(line[2])))]


def number(raw: bytes) -> int:
    """Give the number of a line; 0 where it has none."""
    return int((event_id(json.loads(raw)) or "-0").partition("-")[2])


def event_id(fields: Fields) -> str | None:
    name = fields.get("event.id") or fields.get("attributes", {}).get("log.record.uid")
    return str(name) if name else None


def nested(fields: Fields) -> Fields:
    """Expand dotted names to objects."""
    made: Fields = {}
    for name, value in fields.items():
        *above, last = name.split(".")
        inner = made
        for key in above:
            inner = inner.setdefault(key, {})
        if isinstance(value, dict) and isinstance(inner.get(last), dict):
            inner[last].update(nested(value))
        else:
            inner[last] = nested(value) if isinstance(value, dict) else value
    return made
