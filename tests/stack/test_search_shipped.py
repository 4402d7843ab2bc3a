"""The story and the proof of lines that a real Filebeat and a real Collector have put into a real Elasticsearch."""

import json
import re
import uuid

import pytest

from search.writing import closing, made, opening
from stack.documents import write
from stack.processes import wait_for
from stack.shippers import SHIPPERS
from trackline.elastic.connection import Connection
from trackline.search import find_lines as find_in_files
from trackline.search import render_story
from trackline.search.elasticsearch import audit_arrival, audit_index, find_lines
from trackline.search.elasticsearch.verdict import render_comparison

PATIENCE = 60.0  # seconds in which a line may be on its way; a loaded machine's shipper takes a while


@pytest.fixture(params=SHIPPERS)
def shipping(request, prepared, tmp_path):
    """Give a folder that a shipper reads, and the index that it writes to."""
    namespace = f"t{uuid.uuid4().hex[:8]}"
    (tmp_path / "logs").mkdir()
    shipper = SHIPPERS[request.param]
    binary, environment = request.getfixturevalue(request.param), {"TRACKLINE_NAMESPACE": namespace}
    with shipper(binary, tmp_path / "logs", prepared.url, tmp_path / "shipper", environment=environment):
        yield request.param, tmp_path / "logs", f"logs-*-{namespace}"


def wait_for_the_first(node, index):
    wait_for(lambda: node.count(index), PATIENCE, f"a document in {index}", every=0.2)


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_story_is_that_from_the_files_and_every_line_has_arrived_once(prepared, shipping, schema, request):
    name, logs, index = shipping
    tracking_id = f"order/{uuid.uuid4()}"
    for service in ("gateway", "orders"):
        write(logs, service, tracking_id, schema=schema, lines=50)

    wait_for_the_first(prepared, index)
    with Connection(prepared.url) as connection:
        report = audit_arrival([logs], connection, index=index, patience=PATIENCE)
        assert (report.is_proved, report.missing, report.duplicated) == (True, 0, 0), render_comparison(report)
        assert report.files.lines == 2 * 54
        assert audit_index(connection, index=index, patience=PATIENCE).is_proved
        lines = find_lines(tracking_id, connection, index=index)

    told, expected = (render_story(tracking_id, found, width=200) for found in (lines, find_in_files(tracking_id, [logs])))
    if name == "filebeat" and request.getfixturevalue("cuts_times"):
        told, expected = (re.sub(r" +", " ", re.sub(r"[\d.]+ m?s\b", "T", text)) for text in (told, expected))
    assert len(lines) == 2 * 51
    assert told == expected


@pytest.mark.parametrize("shipping", ["filebeat"], indirect=True)
def test_line_that_elasticsearch_refuses_is_counted_and_found(prepared, shipping):
    _, logs, index = shipping
    nonce = uuid.uuid4().hex[:12]
    refused = json.loads(made(3, nonce=nonce)) | {"_id": "a name that is Elasticsearch's", "tracking_id": nonce}
    lines = [opening(1, nonce=nonce), made(2, nonce=nonce), json.dumps(refused).encode() + b"\n", closing(4, nonce=nonce)]
    lines[0] = lines[0].replace(b"begins", b"begins" + b" " * 1024)  # shippers read no file that is shorter
    (logs / "orders.log").write_bytes(b"".join(lines))

    complaints = []
    wait_for_the_first(prepared, index)
    with Connection(prepared.url) as connection:
        report = audit_arrival([logs], connection, index=index, patience=PATIENCE)
        (line,) = find_lines(nonce, connection, index=index, warn=complaints.append)

    (process,) = report.processes
    assert (process.stored, process.refused, process.missing, process.duplicated) == (3, 1, 0, 0), render_comparison(report)
    assert line.event_id == f"{nonce}-3"
    assert complaints == [f"1 of the lines was refused by the index, and logs-trackline.deadletter-{index[7:]} has them"]
