"""Lines that a data stream has refused and Elasticsearch has kept in its failure store are not lost, and it is said where they are."""

import json
import uuid

import pytest

from search.writing import closing, made, opening
from trackline.elastic.connection import Connection
from trackline.search.elasticsearch import audit_arrival, audit_index


@pytest.fixture
def stream(with_failure_store):
    """Give the node, and a data stream with a failure store, in which `amount` is a number."""
    name = f"logs-refused-t{uuid.uuid4().hex[:8]}"
    mappings = {"properties": {"amount": {"type": "long"}, "event.id": {"type": "keyword"}}}
    template = {"data_stream_options": {"failure_store": {"enabled": True}}, "mappings": mappings}
    body = {"index_patterns": [name], "priority": 500, "data_stream": {}, "template": template}
    with_failure_store.request("PUT", f"/_index_template/{name}", body)
    return with_failure_store, name


def test_line_in_the_failure_store_is_refused_and_not_missing(stream, tmp_path):
    node, name = stream
    lines = [opening(1), made(2), made(3), closing(4)]
    (tmp_path / "orders.log").write_bytes(b"".join(lines))
    rows = []
    for number, line in enumerate(lines, 1):
        fields = json.loads(line) | {"amount": "none" if number == 3 else number}
        rows += [{"create": {"_index": name, "_id": fields["event.id"]}}, fields]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    answer = node.http.post("/_bulk?refresh=true", content=content, headers={"Content-Type": "application/x-ndjson"}).json()
    assert [item["create"].get("failure_store") for item in answer["items"]] == [None, None, "used", None]

    with Connection(node.url) as connection:
        report = audit_arrival([tmp_path], connection, index=name, patience=0)
        alone = audit_index(connection, index=name, patience=0)

    (process,) = report.processes
    assert (process.stored, process.refused, process.missing, process.is_proved) == (3, 1, 0, False)
    assert (alone.missing, alone.refused) == (0, 1)
    assert [str(path)[:4] for path in report.refused_in] == [".fs-"]
