"""What Elasticsearch refuses: with a failure store it is kept there, whole; without one the Collector's log says what it was."""

from __future__ import annotations

import json
import secrets

import pytest

from stack.processes import wait_for
from stack.shippers import Otelcol

TIME = "2026-11-22T14:40:01.123456Z"
REFUSED = {
    "month": {"@timestamp": "2026-13-22T14:40:01Z", "message": "a 13th month", "event.id": "r-1", "service.name": "refused"},
    "alias": {"@timestamp": TIME, "message": "an alias", "event.id": "r-2", "service.name": "refused", "labels": {"tracking_id": "x"}},
    "name": {"@timestamp": TIME, "message": "a field without a name", "event.id": "r-3", "service.name": "refused", "": 1},
}
GOOD = {"@timestamp": TIME, "message": "good", "event.id": "g-1", "service.name": "refused"}


@pytest.fixture
def namespace():
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def shipper(request, otelcol, tmp_path, namespace):
    """Give the Collector for a node, with the lines that are refused and one that is not in its folder."""
    (tmp_path / "logs").mkdir()
    lines = [*REFUSED.values(), GOOD]
    (tmp_path / "logs" / "refused.log").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def shipper(node):
        return Otelcol(otelcol, tmp_path / "logs", node.url, tmp_path / "otelcol", environment={"TRACKLINE_NAMESPACE": namespace})

    return shipper


def test_the_failure_store_has_whole_what_was_refused(with_failure_store, shipper, namespace):
    node = with_failure_store
    stream = f"logs-refused-{namespace}"

    def failures():
        if node.count(stream) == 0:
            return []
        node.request("POST", f"/{stream}::failures/_refresh")
        return [hit["_source"] for hit in node.request("GET", f"/{stream}::failures/_search?size=100")["hits"]["hits"]]

    with shipper(node) as running:
        wait_for(lambda: len(failures()) >= len(REFUSED), 60, running.log, 0.2)
    kept = {failure["document"]["source"]["event.id"]: failure["document"]["source"] for failure in failures()}

    assert node.count(stream) == 1
    assert kept == {line["event.id"]: line for line in REFUSED.values()}
    assert all(failure["document"]["id"] and failure["error"]["type"] and failure["error"]["message"] for failure in failures())


def test_without_one_the_log_says_what_was_refused_and_nothing_else_is(prepared, shipper, namespace):
    stream = f"logs-refused-{namespace}"
    with shipper(prepared) as running:
        wait_for(lambda: prepared.count(stream), 60, running.log, 0.2)
        wait_for(lambda: running.output.read_text().count("failed to index document") >= len(REFUSED), 60, running.log)
    said = running.output.read_text().lower()

    assert prepared.count(stream) == 1
    assert stream in said
    for reason in ("2026-13-22t14:40:01z", "alias [labels.tracking_id]", "field name cannot be an empty string"):
        assert reason in said
