"""The demo's three services, with Filebeat beside them: each story in Elasticsearch is the one that is in the files."""

import subprocess
import sys
from collections import defaultdict

import pytest

from stack.processes import wait_for
from stack.shippers import Filebeat
from stack.shipping import lines_in

INDEX = "logs-*-fleet"


@pytest.fixture(scope="module")
def fleet(filebeat, prepared, tmp_path_factory):
    """Run the demo while Filebeat reads; give the lines that are in the files once all are stored."""
    folder = tmp_path_factory.mktemp("fleet")
    logs = folder / "demo" / "logs"
    with Filebeat(filebeat, logs, prepared.url, folder / "filebeat", environment={"TRACKLINE_NAMESPACE": "fleet"}) as shipper:
        shipper.wait_until_up()
        command = [sys.executable, "-m", "trackline", "demo", "--no-color", "--dir", folder / "demo"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = list(lines_in(logs))
        wait_for(lambda: prepared.count(INDEX) >= len(lines), 60, shipper.log, every=0.2)
        shipper.stop()
    return lines


def numbers_by(lines, field):
    """Give the event.ids of the lines with each value of a field."""
    by = defaultdict(set)
    for line in lines:
        if field in line:
            by[line[field]].add(line["event.id"])
    return by


@pytest.mark.parametrize(
    ("field", "of_line"),
    [
        ("tracking_id", "tracking_id"),
        ("labels.tracking_id", "tracking_id"),
        ("http.request.id", "tracking_id"),
        ("trace.id", "trace.id"),
    ],
)
def test_each_story_is_found_whole_by(fleet, prepared, field, of_line):
    stories = numbers_by(fleet, of_line)

    assert len(stories) >= 10
    for value, numbers in stories.items():
        found = prepared.search(INDEX, {"term": {field: value}})
        assert {hit["_source"]["event.id"] for hit in found} == numbers, value


def test_nothing_else_is_there_and_nothing_was_refused(fleet, prepared):
    assert prepared.count(INDEX) == len(fleet)
    assert prepared.count("logs-trackline.deadletter-fleet") == 0
    assert {hit["_index"].split("-")[2] for hit in prepared.hits(INDEX)} == {"gateway", "orders", "payments"}


def test_the_access_lines_have_the_types_of_ecs(fleet, prepared):
    types = {"http.response.status_code": "long", "event.duration": "long", "client.ip": "ip", "url.path": "keyword"}
    types |= {"http.request.method": "keyword", "event.outcome": "keyword", "labels.http_route": "keyword"}
    caps = prepared.request("GET", f"/{INDEX}/_field_caps", fields=",".join(types))["fields"]
    assert {field: set(caps.get(field, {})) - {"unmapped"} for field in types} == {field: {kind} for field, kind in types.items()}

    failed = [line["event.id"] for line in fleet if line.get("http.response.status_code", 0) >= 500]
    found = prepared.search(INDEX, {"range": {"http.response.status_code": {"gte": 500}}})
    assert sorted(hit["_id"] for hit in found) == sorted(failed)
    assert failed
