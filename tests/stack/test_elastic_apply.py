"""`trackline elastic apply` on a real node of its own: shown before it is done, done once, and nobody else's is touched."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from stack.elasticsearch import Elasticsearch

ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def node(elasticsearch_home):
    """Give a node that nobody else writes to: what is asked here is what is there at first, and who else has streams."""
    with Elasticsearch(elasticsearch_home) as node:
        yield node


@pytest.fixture(scope="module")
def elastic(node):
    """Give the command, in a process of its own, with nobody at the terminal."""

    def run(*arguments, **options):
        command = [sys.executable, "-m", "trackline", "elastic", *arguments]
        environment = ENVIRONMENT | {"ELASTICSEARCH_URL": node.url}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False, **options
        )

    return run


def write(node, stream, document=None):
    document = {"@timestamp": "2026-11-22T14:40:01.123456Z", **(document or {})}
    return node.request("POST", f"/{stream}/_doc?op_type=create&refresh=true", document)


def objects(node):
    """Give everything that templates are made of, with its content."""
    return node.request("GET", "/_component_template"), node.request("GET", "/_index_template")


def test_without_being_told_to_it_changes_nothing(elastic, node):
    before = objects(node)

    shown = elastic("apply", "--dry-run")
    unasked = elastic("apply")

    assert shown.returncode == 1, shown.stderr
    for part in ("component template trackline-logs-mappings: new", "index template trackline-logs: new"):
        assert part in shown.stdout
    assert '"index_patterns": ["logs-*-*"]' in shown.stdout
    assert (unasked.returncode, unasked.stderr) == (1, "trackline: not done: there is nobody to ask; say --yes\n")
    assert objects(node) == before


def test_others_streams_are_not_taken_over_unless_it_is_said_so(elastic, node):
    others = {"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {}}
    node.request("PUT", "/_index_template/logs", others)
    write(node, "logs-nginx.access-default")
    before = objects(node)

    refused = elastic("apply", "--yes")

    assert refused.returncode == 2
    assert "logs-nginx.access-default (now: logs)" in refused.stdout
    assert "name your streams with --service or --namespace, or say --take-over" in refused.stderr
    assert objects(node) == before
    assert elastic("apply", "--service", "Order-API", "--dry-run").returncode == 1


def test_twice_applied_is_once_changed(elastic, node):
    first = elastic("apply", "--yes", "--service", "Order-API")
    after = objects(node)
    second = elastic("apply", "--yes", "--service", "Order-API")
    dry = elastic("apply", "--dry-run", "--service", "Order-API")

    assert first.returncode == 0, first.stderr
    assert "done, and read back: 5 objects" in first.stdout
    assert (second.returncode, dry.returncode) == (0, 0)
    assert "nothing to change" in second.stdout
    assert "nothing to change" in dry.stdout
    assert objects(node) == after


def test_what_the_node_lacks_is_said_and_replaced(elastic, node):
    said = elastic("apply", "--dry-run", "--service", "Order-API").stdout

    for note in (
        "this server has neither ILM nor the data stream lifecycle: nothing is ever deleted, unless you do it",
        "no field type match_only_text: text is used instead",
        "no field type wildcard: keyword is used instead",
        "no ingest processor dot_expander, rename, set: the ingest pipeline is left out",
        "no failure store",
        "security is off: roles and API keys are left out",
    ):
        assert note in said
    properties = node.request("GET", "/_component_template/trackline-logs-mappings")["component_templates"][0]["component_template"]
    assert properties["template"]["mappings"]["properties"]["message"] == {"type": "text"}


def test_what_a_server_has_not_is_an_error_if_it_was_asked_for(elastic):
    asked = elastic("apply", "--dry-run", "--lifecycle", "ilm")

    assert asked.returncode == 2
    assert asked.stderr.startswith("trackline: lifecycle='ilm': this server (8.")


def test_the_template_is_that_of_the_services_streams_and_of_no_others(elastic, node):
    assert elastic("apply", "--yes", "--service", "Order-API").returncode == 0

    for stream in ("logs-order_api-default", "logs-trackline-live", "logs-billing-default"):
        write(node, stream, {"event": {"duration": "7"}})

    types = {stream: mapped(node, stream).get("event.duration") for stream in ("logs-order_api-default", "logs-trackline-live")}
    assert types == {"logs-order_api-default": {"type": "long"}, "logs-trackline-live": {"type": "long"}}
    assert "event.duration" not in mapped(node, "logs-billing-default")


def mapped(node, stream):
    """Give the properties in the mapping of a data stream's last index."""
    found = node.request("GET", f"/{stream}/_mapping")
    return found[max(found)]["mappings"]["properties"]


def test_a_change_is_shown_as_a_difference(elastic):
    shown = elastic("apply", "--dry-run", "--service", "Order-API", "--replicas", "2").stdout

    assert '-      "index.auto_expand_replicas": "0-1",' in shown
    assert '+      "index.number_of_replicas": "2",' in shown
    assert '"index.codec": "best_compression"' in shown  # around it
    assert "index template trackline-logs: " not in shown  # which stays as it is


def test_what_somebody_has_changed_by_hand_is_shown_and_put_back(elastic, node):
    path = "/_component_template/trackline-logs-settings"
    body = node.request("GET", path)["component_templates"][0]["component_template"]
    body["template"]["settings"]["index"]["refresh_interval"] = "30s"
    node.request("PUT", path, body)

    done = elastic("apply", "--yes", "--service", "Order-API")

    assert '-      "index.refresh_interval": "30s"' in done.stdout
    assert "refresh_interval" not in str(node.request("GET", path))


def test_what_is_not_of_our_making_is_not_overwritten_unless_it_is_said_so(elastic, node):
    path = "/_component_template/trackline-logs-settings"
    node.request("PUT", path, {"template": {"settings": {"index": {"number_of_shards": "3"}}}})

    refused = elastic("apply", "--yes", "--service", "Order-API")

    assert refused.returncode == 2
    assert "component template trackline-logs-settings: not of our making" in refused.stdout
    assert node.request("GET", path)["component_templates"][0]["component_template"]["template"]["settings"]["index"] == {
        "number_of_shards": "3"
    }
    assert elastic("apply", "--yes", "--service", "Order-API", "--take-over").returncode == 0
    assert "number_of_shards" not in str(node.request("GET", path))


def test_fields_of_the_operators_own_are_left_alone_and_count(elastic, node):
    path = "/_component_template/trackline-logs@custom"
    own = {"template": {"mappings": {"properties": {"order": {"properties": {"total": {"type": "double"}}}}}}}
    node.request("PUT", path, own)

    assert elastic("apply", "--yes", "--service", "custom").returncode == 0
    write(node, "logs-custom-default", {"order": {"total": 1}})

    assert node.request("GET", path)["component_templates"][0]["component_template"] == own
    assert mapped(node, "logs-custom-default")["order.total"] == {"type": "double"}
    assert elastic("apply", "--yes", "--service", "Order-API").returncode == 0


def test_streams_of_an_earlier_state_are_named_and_rolled_over_once(elastic, node):
    assert elastic("apply", "--yes", "--service", "Order-API").returncode == 0
    write(node, "logs-order_api-rolled")
    options = ("--yes", "--service", "Order-API", "--timestamp", "date_nanos")

    told = elastic("apply", *options)
    rolled = elastic("apply", *options, "--rollover")
    again = elastic("apply", *options, "--rollover")

    assert "logs-order_api-rolled" in told.stdout
    assert "or now by --rollover" in told.stdout
    assert "nothing to change" in rolled.stdout
    assert "logs-order_api-rolled: .ds-logs-order_api-rolled-" in rolled.stdout
    assert "logs-nginx" not in rolled.stdout
    assert "logs-order_api-rolled" not in again.stdout
    assert mapped(node, "logs-order_api-rolled")["@timestamp"]["type"] == "date_nanos"
    hits = node.search("logs-order_api-rolled", {"match_all": {}}, fields=["@timestamp"])
    assert len(hits) == 1  # what was there before is there


def test_another_template_of_the_same_priority_is_an_error_that_names_it(elastic, node):
    node.request("PUT", "/_index_template/somebodys", {"index_patterns": ["logs-shop-*"], "priority": 110, "data_stream": {}})

    refused = elastic("apply", "--yes", "--service", "shop")

    node.request("DELETE", "/_index_template/somebodys")
    assert refused.returncode == 2
    assert "somebodys" in refused.stderr
    assert "the same priority [110]" in refused.stderr


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("", 1), ("y", 0)])
def test_it_asks_who_sits_at_the_terminal(elastic, node, answer, status):
    assert elastic("apply", "--yes", "--service", "Order-API").returncode == 0
    command = [sys.executable, "-m", "trackline", "elastic", "apply", "--service", "Order-API", "--replicas", "0"]
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode() * 2)  # the second is for the rollover
        done = subprocess.run(
            command,
            env=ENVIRONMENT | {"ELASTICSEARCH_URL": node.url},
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert (done.returncode, done.stderr) == (status, "")
    assert "make this change? [y/N]" in done.stdout or "make these" in done.stdout
    assert ("done, and read back" in done.stdout) == (answer == "y")


def test_all_streams_are_covered_if_it_is_said_so(elastic, node):
    done = elastic("apply", "--yes", "--take-over")
    write(node, "logs-whatever-live", {"event.duration": 7})

    assert done.returncode == 0, done.stderr
    assert mapped(node, "logs-whatever-live")["event.duration"] == {"type": "long"}


def test_the_dead_letters_have_a_template_of_their_own(elastic, node):
    assert elastic("apply", "--yes", "--take-over").returncode == 0

    write(node, "logs-trackline.deadletter-default", {"message": '{"event.duration": {}}', "error": "x", "error.message": "y"})

    assert mapped(node, "logs-trackline.deadletter-default")["message"] == {"type": "text"}
    assert "event.duration" not in mapped(node, "logs-trackline.deadletter-default")
