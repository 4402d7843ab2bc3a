"""
What the dashboard for Kibana asks, asked of a real Elasticsearch with the templates, over lines that a service has written.

There is no Kibana here: what Lens would make of each panel, a query and aggregations, is made here in its place.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from collector.conftest import IDS, KIBANA_LENSES, KIBANA_RUNTIME_FIELDS, lines_of

if TYPE_CHECKING:
    from stack.elasticsearch import Elasticsearch

Json = dict[str, Any]
METRICS = {"sum": "sum", "max": "max", "unique_count": "cardinality"}


@pytest.fixture
async def lines(tmp_path):
    """Give the lines of two requests, one of which failed, and of a queue that was too small for a while."""
    return await lines_of("ecs", tmp_path)


@pytest.fixture
def stream(prepared: Elasticsearch, lines) -> str:
    """Give a data stream which has those lines."""
    stream = f"logs-orders-{secrets.token_hex(4)}"
    body = "".join(f'{{"create": {{"_id": "{line["event.id"]}"}}}}\n{json.dumps(line)}\n' for line in lines)
    headers = {"content-type": "application/x-ndjson"}
    answer = prepared.http.post(f"/{stream}/_bulk", params={"refresh": "true"}, content=body, headers=headers).json()
    assert not answer["errors"], answer
    return stream


@pytest.fixture
def ask(prepared: Elasticsearch, stream):
    """Give what answers a panel: rows, each with the value of every column."""
    return lambda panel: list(rows(panel, prepared.request("POST", f"/{stream}/_search", request_of(panel))["aggregations"]))


def columns_of(panel: str) -> tuple[Json, list[str], list[str]]:
    """Give the columns of a panel's only layer, and which of them are buckets and which are metrics, in order."""
    (layer,) = KIBANA_LENSES[panel]["state"]["datasourceStates"]["formBased"]["layers"].values()
    columns, order = layer["columns"], layer["columnOrder"]
    return columns, [name for name in order if columns[name]["isBucketed"]], [name for name in order if not columns[name]["isBucketed"]]


def request_of(panel: str) -> Json:
    """Give the search that a panel stands for."""
    columns, buckets, metrics = columns_of(panel)
    inner = {name: metric(columns[name]) for name in metrics}
    for name in reversed(buckets):
        # Beside the inner buckets the metrics again: by them the outer ones are ordered.
        inner = {name: {**bucket(columns[name]), "aggs": {**{one: metric(columns[one]) for one in metrics}, **inner}}}
    query = KIBANA_LENSES[panel]["state"]["query"]["query"]
    # Kibana sends the data view's runtime fields with each search.
    runtime = KIBANA_RUNTIME_FIELDS
    return {"size": 0, "query": lucene(query) if query else {"match_all": {}}, "aggs": inner, "runtime_mappings": runtime}


def bucket(column: Json) -> Json:
    if column["operationType"] == "date_histogram":
        return {"date_histogram": {"field": column["sourceField"], "fixed_interval": "1h"}}
    order = {order_path(column["params"]["orderBy"]["columnId"]): column["params"]["orderDirection"]}
    return {"terms": {"field": column["sourceField"], "size": column["params"]["size"], "order": order}}


def order_path(name: str) -> str:
    return "_count" if name in {"requests", "n"} else name  # a count is no aggregation of its own


def metric(column: Json) -> Json:
    if column["operationType"] == "count":
        return {"filter": lucene(column["filter"]["query"]) if "filter" in column else {"match_all": {}}}
    if column["operationType"] == "percentile":
        return {"percentiles": {"field": column["sourceField"], "percents": [column["params"]["percentile"]]}}
    return {METRICS[column["operationType"]]: {"field": column["sourceField"]}}


def lucene(kql: str) -> Json:
    """The queries of KQL that the file has are the same in Lucene's syntax, but for the case of the operators."""
    text = kql.replace(" and ", " AND ").replace(" or ", " OR ").replace(" : ", ":")
    return {"query_string": {"query": text}}


def rows(panel: str, aggregations: Json):
    columns, buckets, metrics = columns_of(panel)

    def walk(at: Json, names: list[str], row: Json):
        if not names:
            yield row | {name: value(at[name], columns[name]["operationType"]) for name in metrics}
            return
        for one in at[names[0]]["buckets"]:
            yield from walk(one, names[1:], {**row, names[0]: one["key"]})

    yield from walk(aggregations, buckets, {})


def value(answer: Json, operation: str) -> float:
    if operation == "count":
        return answer["doc_count"]
    return next(iter(answer["values"].values())) if operation == "percentile" else answer["value"]


def durations(lines) -> dict[str, int]:
    return {line["tracking_id"]: line["event.duration"] for line in lines if "event.duration" in line}


def test_figures_are_those_of_the_lines(ask, lines):
    assert ask("requests") == [{"value": 2}]
    assert ask("failed") == [{"value": 1}]
    assert ask("ids") == [{"value": 2}]
    assert ask("errors") == [{"value": sum(line["log.level"] in {"error", "critical"} for line in lines)}]
    assert 0 < ask("p95")[0]["value"] <= max(durations(lines).values())


@pytest.mark.parametrize("panel", ["dropped", "drops"])
def test_dropped_lines_are_summed(panel, ask, lines):
    of_notices = sum(line["labels"]["dropped"] for line in lines if line.get("event.action") == "log-drop")

    assert sum(row.get("value", row.get("lines")) for row in ask(panel)) == of_notices > 0


def test_routes_are_grouped_by_their_template(ask):
    (row,) = ask("routes")

    assert row["route"] == "/orders/{number}"
    assert (row["requests"], row["failed"]) == (2, 1)
    assert 0 < row["p50"] <= row["p95"] <= row["longest"]


def test_slowest_ids_come_first(ask, lines):
    took = durations(lines)

    assert [(row["id"], row["longest"]) for row in ask("slowest")] == sorted(took.items(), key=lambda one: -one[1])
    assert set(took) == set(IDS)


def test_charts_count_every_line_once(ask, lines):
    for panel, label in (("services", "service"), ("levels", "level")):
        assert sum(row["n"] for row in ask(panel)) == len(lines)
        assert all(row[label] for row in ask(panel))
    assert {row["outcome"]: row["n"] for row in ask("outcomes")} == {"success": 1, "failure": 1}


def test_lines_of_an_id_come_in_their_order(prepared, stream, lines):
    """As the search "Story of a tracking ID" sorts them."""
    source = {"query": {"term": {"tracking_id": IDS[0]}}, "sort": [{"@timestamp": "asc"}, {"log.offset": {"order": "asc"}}]}
    hits = prepared.request("POST", f"/{stream}/_search", source)["hits"]["hits"]

    assert [hit["_id"] for hit in hits] == [line["event.id"] for line in lines if line.get("tracking_id") == IDS[0]]
