"""Lines that were meant to break something: each is stored, as a document or as a dead letter, and none of them silently not."""

import json
import subprocess
import sys
from contextlib import suppress

import pytest

from stack.elasticsearch import Elasticsearch, install_templates
from stack.processes import wait_for
from stack.shippers import Filebeat
from stack.shipping import leaves, lines_in, wait_until_stored

DOCUMENT, DEAD = "logs-trackline-", "logs-trackline.deadletter-"
OPENING = b'{"message":"%b"}\n' % b"opening".ljust(1100)

# Of each: what is written by somebody else into a file of ours, and where it ends up. MARK tells which it is.
LINES = {
    "text": (b"MARK Traceback (most recent call last):", DEAD),
    "text, not UTF-8": (b"MARK caf\xe9 \xff\xfe", DEAD),
    "JSON, not UTF-8": (b'{"message":"MARK caf\xe9 \xff"}', DOCUMENT),
    "half a line, and a whole one after it": (b'{"message":"MARK hal{"message":"whole"}', DEAD),
    "two objects": (b'{"message":"MARK"}{"message":"second"}', DEAD),
    "an object and what is none": (b'{"message":"MARK"} and so on', DEAD),
    "an array": (b'["MARK"]', DEAD),
    "a text": (b'"MARK"', DEAD),
    "an empty key": (b'{"":1,"message":"MARK"}', DEAD),
    "keys of Elasticsearch's": (b'{"_id":"x","_index":"y","message":"MARK"}', DEAD),
    "a key of dots": (b'{"..":1,"message":"MARK"}', None),
    "deep": (b'{"a":' * 200 + b'"MARK"' + b"}" * 200, None),
    "an alias": (b'{"labels.tracking_id":"MARK","message":"alias"}', None),
    "an alias, nested": (b'{"labels":{"tracking_id":"MARK"},"message":"alias"}', None),
    "an object for a keyword": (b'{"tracking_id":{"a":"MARK"}}', None),
    "a text for an object": (b'{"service":"MARK","service.name":5}', None),
    "a text for Filebeat's own object": (b'{"log":"MARK","host":"b"}', None),
    "error and error.type": (b'{"error":"MARK","error.type":"x"}', DOCUMENT),
    "numbers that are none": (b'{"process.pid":"MARK","event.duration":"long"}', DOCUMENT),
    "a timestamp that is none": (b'{"@timestamp":"yesterday","message":"MARK"}', DOCUMENT),
    "a timestamp of an object": (b'{"@timestamp":{"a":1},"message":"MARK"}', DOCUMENT),
    "a number of the event that is none": (b'{"event.id":7,"message":"MARK"}', DOCUMENT),
    "another program's number": (b'{"event.id":"4624","message":"MARK"}', DOCUMENT),
    "the same number of another program's": (b'{"event.id":"4624","message":"MARK"}', DOCUMENT),
    "a number of the event that is too long": (b'{"event.id":"%b","message":"MARK"}' % (b"7" * 600), DOCUMENT),
    "where it is stored": (
        b'{"@metadata":{"_id":"a","raw_index":"evil","op_type":"delete","pipeline":"p"},"message":"MARK"}',
        DOCUMENT,
    ),
    "where else it is stored": (
        b'{"@metadata":{"index":"evil","alias":"evil","dataset":"evil","deadlettered":true,"line":"a"},"message":"MARK"}',
        DOCUMENT,
    ),
    "our own names": (b'{"trackline_line":"a","trackline_file":1,"trackline_offset":{},"message":"MARK"}', DOCUMENT),
    "a service that is no name": (b'{"service.name":"../*?\\"<>|,# -A","message":"MARK"}', "logs-.._________ _a-".replace(" ", "_")),
    "a service with a long name": (b'{"service.name":"%b","message":"MARK"}' % (b"S" * 5000), "logs-" + "s" * 100 + "-"),
    "of Windows": (b'{"message":"MARK"}\r', DOCUMENT),
    "spaces before it": (b'   {"message":"MARK"}', DOCUMENT),
    "a message of 200 KB": (b'{"message":"MARK %b"}' % (b"word " * 40_000), DOCUMENT),
    "a text of 3 MB": (b"MARK " + b"word " * 600_000, DEAD),
    "10,000 fields": (json.dumps({"message": "MARK"} | {f"field{n}": n for n in range(10_000)}).encode(), DOCUMENT),
    "10,000 labels": (json.dumps({"message": "MARK", "labels": {f"label{n}": n for n in range(10_000)}}).encode(), DOCUMENT),
    "a keyword of 100 KB": (json.dumps({"tracking_id": "MARK" + "x" * 100_000}).encode(), DOCUMENT),
    "zero bytes": (b"MARK \0\0\0", DEAD),
}


@pytest.fixture(scope="module")
def prepared(elasticsearch_home):
    """Start a node of their own: what 10,000 fields cost grows with all that the others have left in a cluster's state."""
    with Elasticsearch(elasticsearch_home) as node:
        install_templates(node)
        yield node


@pytest.fixture(scope="module")
def stored(filebeat, prepared, tmp_path_factory):
    """Ship them all; give each document with where it is."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "logs").mkdir()
    lines = [line.replace(b"MARK", f"mark{number}mark".encode()) for number, (line, _) in enumerate(LINES.values())]
    (folder / "logs" / "foreign.log").write_bytes(OPENING + b"".join(line + b"\n" for line in lines))
    with Filebeat(
        filebeat, folder / "logs", prepared.url, folder / "filebeat", environment={"TRACKLINE_NAMESPACE": "hostile"}
    ) as shipper:
        with suppress(AssertionError):  # the tests say which is missing
            wait_for(lambda: prepared.count("logs-*-hostile") > len(lines), 120)
        return wait_until_stored(prepared, "logs-*-hostile", 1, shipper)


@pytest.mark.parametrize("name", LINES)
def test_a_foreign_line_is_stored_whatever_it_is(stored, name):
    mark = f"mark{list(LINES).index(name)}mark"
    line, wanted = LINES[name]
    found = [document for document in stored if mark in json.dumps(document)]

    assert len(found) == 1
    if wanted is not None:
        assert found[0]["_index"].startswith(f".ds-{wanted}hostile")
    if DEAD in found[0]["_index"]:
        assert leaves(found[0])["error.message"], "the reason"
        # Refused by Elasticsearch: the document as JSON. No JSON: the line.
        wanted_text = line.rstrip(b"\r").decode("utf-8", "replace").replace("MARK", mark)
        assert found[0]["message"] == wanted_text or mark in json.dumps(json.loads(found[0]["message"]))


def test_nothing_else_is_there(stored, prepared):
    assert len(stored) == len(LINES) + 1
    assert prepared.request("GET", "/evil*,logs-evil-*") == {}


def test_no_part_of_a_line_that_is_stored_as_a_document_is_missing(stored):
    document = next(one for one in stored if "label9999" in one.get("labels", {}))

    assert document["labels"] == {f"label{n}": n for n in range(10_000)}
    assert sorted(len(one["message"]) // 100_000 for one in stored if "word word" in str(one.get("message"))) == [2, 30]


def test_a_half_line_waits_for_its_other_half(filebeat, prepared, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    with (
        (logs / "half.log").open("ab", buffering=0) as file,
        Filebeat(filebeat, logs, prepared.url, tmp_path / "filebeat", environment={"TRACKLINE_NAMESPACE": "half"}) as shipper,
    ):
        file.write(OPENING + b'{"message":"first"}\n{"message":"sec')
        wait_until_stored(prepared, "logs-*-half", 2, shipper)
        file.write(b'ond"}\n{"message":"third"}\n')
        documents = wait_until_stored(prepared, "logs-*-half", 4, shipper)

    assert sorted(document["message"].strip() for document in documents) == ["first", "opening", "second", "third"]


WRITE = """if True:
    import logging, sys, trackline
    handle = trackline.setup_logging("hostile", log_dir=sys.argv[1], console=False, max_queue_bytes=2**28)
    log = logging.getLogger("app")
    with trackline.use_tracking_id("order-1742"):
        log.info("m" * 200_000)
        log.info("extras", extra={f"field{n}": n for n in range(10_000)})
        log.info("long extras", extra={f"text{n}": "x" * 2_000 for n in range(100)})
        for number in range(240):
            log.info("bulk of %d " % number + "y" * 240_000)
    assert handle.close(30) == 0
"""


def test_the_largest_lines_that_trackline_writes_are_documents(filebeat, prepared, tmp_path):
    """Those of 240 KB are together more than Elasticsearch takes in one request, here a tenth of 512 MB."""
    subprocess.run([sys.executable, "-c", WRITE, tmp_path / "logs"], check=True)
    lines = {line["event.id"]: line for line in lines_in(tmp_path / "logs")}
    environment = {"TRACKLINE_NAMESPACE": "large"}
    with Filebeat(filebeat, tmp_path / "logs", prepared.url, tmp_path / "filebeat", environment=environment) as shipper:
        wait_for(lambda: prepared.count("logs-*-large") >= len(lines), 120, shipper.log, every=0.5)

    of_request = {"term": {"tracking_id": "order-1742"}}
    assert prepared.count("logs-hostile-large", of_request) == 243
    assert prepared.count("logs-trackline.deadletter-large") == 0
    for hit in prepared.search("logs-hostile-large", of_request, size=10, sort=["log.offset"]):
        wanted, found = leaves(lines[hit["_id"]]), leaves(hit["_source"])
        assert {name: found.get(name) for name in wanted} | {"@timestamp": None} == wanted | {"@timestamp": None}
