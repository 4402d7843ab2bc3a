"""
Makes `trackline.ndjson`: the data view, the searches and the dashboard that Kibana imports.

    python build.py          writes it anew, beside this file

The format is that of Kibana 8.9, the oldest that can import it; newer ones (8.x, 9.x) migrate it as they import it. To change the
dashboard, change it here, or in Kibana: then export it with its references, and that file is yours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lens import VIEW, count, datatable, histogram, largest, metric, panel, percentile, search_panel, total, unique, values, xy

Json = dict[str, Any]

# What the lines call these things: docs/logging.md. Each of them is in the mapping of ../elasticsearch.
REQUESTS = 'event.category : "web" and event.type : "access"'
FAILED = 'event.outcome : "failure"'
ERRORS = 'log.level : ("error" or "critical")'
DROPS = 'event.action : "log-drop"'
OWN = '"log-open" or "log-close" or "log-drop" or "log-sample"'

# `../app` and not `/app`: the only one of the two that a Kibana with a base path, or in a space, resolves to itself.
TRACE_LINK = "../app/apm/link-to/trace/{{value}}?rangeFrom=now-7d&rangeTo=now"
STORY_LINK = (
    "../app/discover#/view/trackline-story?_g=(time:(from:now-7d,to:now))"
    "&_a=(query:(language:kuery,query:'tracking_id:%22{{value}}%22'))"
)


# Numbers of the log's own notices. Labels are keywords, as ECS has them, which nothing can sum; a runtime field without a script takes
# the value from the document itself. Few lines have them, and only panels that filter for those ask.
COUNTS = ["labels.dropped", "labels.dropped_total", "labels.lines"]


def data_view() -> Json:
    """Every `logs-*-*` data stream, with what the fields of a line look like and lead to."""
    nanoseconds = {"inputFormat": "nanoseconds", "outputFormat": "humanizePrecise", "outputPrecision": 1, "useShortSuffix": True}
    formats = {
        "tracking_id": {"id": "url", "params": {"urlTemplate": STORY_LINK, "labelTemplate": "{{value}}", "openLinkInCurrentTab": True}},
        "trace.id": {"id": "url", "params": {"urlTemplate": TRACE_LINK, "labelTemplate": "{{value}}"}},
        "trace_id": {"id": "url", "params": {"urlTemplate": TRACE_LINK, "labelTemplate": "{{value}}"}},  # of the schema otel
        "event.duration": {"id": "duration", "params": {**nanoseconds, "showSuffix": True, "includeSpaceWithSuffix": True}},
        "http.request.body.bytes": {"id": "bytes"},
        "http.response.body.bytes": {"id": "bytes"},
        "log.level": {"id": "color", "params": {"fieldType": "string", "colors": [colour(*one) for one in COLOURS]}},
        # A port and a process are no quantities: no thousands separators.
        "client.port": {"id": "number", "params": {"pattern": "0"}},
        "process.pid": {"id": "number", "params": {"pattern": "0"}},
        "log.origin.file.line": {"id": "number", "params": {"pattern": "0"}},
        "http.response.status_code": {"id": "number", "params": {"pattern": "0"}},
    }
    labels = {
        "labels.http_route": {"customLabel": "route"},
        "event.duration": {"customLabel": "duration"},
        "tracking_id": {"customLabel": "tracking ID"},
    }
    attributes = {
        "title": "logs-*-*",
        "name": "Trackline",
        "timeFieldName": "@timestamp",
        "fieldFormatMap": dumps(formats),
        "fieldAttrs": dumps(labels),
        "fields": "[]",
        "runtimeFieldMap": dumps({field: {"type": "long"} for field in COUNTS}),
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return saved_object("index-pattern", VIEW, "8.0.0", attributes, [])


COLOURS = (("error", "#ffffff", "#bd271e"), ("critical", "#ffffff", "#7d0c05"), ("warning", "#000000", "#fec514"))


def colour(regex: str, text: str, background: str) -> Json:
    """Give what the colour formatter wants of one value."""
    return {"regex": regex, "range": "-Infinity:Infinity", "text": text, "background": background}


def search(name: str, title: str, description: str, query: str, columns: list[str], direction: str = "desc") -> Json:
    """Lines in Discover, in the order of time; those of one millisecond in that of the file, where the shipper tells it."""
    source = {
        "query": {"query": query, "language": "kuery"},
        "filter": [],
        "highlightAll": True,
        "version": True,
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    }
    attributes = {
        "title": title,
        "description": description,
        "columns": columns,
        "sort": [["@timestamp", direction], ["log.offset", direction]],
        "grid": {"columns": {column: {"width": WIDTHS[column]} for column in columns if column in WIDTHS}},
        "hideChart": False,
        "isTextBasedQuery": False,
        "timeRestore": True,
        "timeRange": {"from": "now-7d", "to": "now"},
        "kibanaSavedObjectMeta": {"searchSourceJSON": dumps(source)},
    }
    reference = {"name": "kibanaSavedObjectMeta.searchSourceJSON.index", "type": "index-pattern", "id": VIEW}
    return saved_object("search", name, "8.0.0", attributes, [reference])


WIDTHS = {"service.name": 120, "resource.service.name": 120, "log.level": 90, "severity_text": 90, "level": 90, "event.id": 180}


def searches() -> list[Json]:
    """The story of an ID, in each schema; the errors; what the log says about itself."""
    story = 'Type the ID into the query: tracking_id : "…". The trace ID leads to the trace in APM.'
    errors = "Lines at ERROR and above, and requests that failed, the latest first. The tracking ID leads to the story."
    own = "What each process says about its log: opened, dropped, left out by sampling, closed."
    of_ecs = ["service.name", "log.level", "message", "error.type", "trace.id", "event.id"]
    of_otel = ["resource.service.name", "severity_text", "body", "attributes.exception.type", "trace_id", "attributes.log.record.uid"]
    of_errors = ["service.name", "log.level", "message", "error.type", "error.message", "tracking_id"]
    of_log = ["service.name", "process.pid", "event.action", "message", "labels.dropped", "labels.lines", "event.id"]
    with_id = "tracking_id : *"
    return [
        search("trackline-story", "Story of a tracking ID", story, with_id, of_ecs, "asc"),
        search("trackline-story-otel", "Story of a tracking ID (schema otel)", story, with_id, of_otel, "asc"),
        search(
            "trackline-story-flat", "Story of a tracking ID (schema flat)", story, with_id, ["level", "name", "message", "loc"], "asc"
        ),
        search("trackline-errors", "Errors [Trackline]", errors, f"({ERRORS}) or ({FAILED})", of_errors),
        search("trackline-log", "The log about itself [Trackline]", own, f"event.action : ({OWN})", of_log),
    ]


def panels() -> list[Json]:
    """The dashboard, 48 columns wide: figures on top, then requests, routes and IDs, then lines, drops and errors."""
    by_route = {
        "route": values("labels.http_route", "Route", 50, by="requests"),
        "requests": count("Requests"),
        "failed": count("Failed", FAILED),
        "p50": percentile("event.duration", 50, "Median"),
        "p95": percentile("event.duration", 95, "p95"),
        "longest": largest("event.duration", "Longest"),
    }
    slowest = {
        "id": values("tracking_id", "Tracking ID", 25, by="longest"),
        "route": values("labels.http_route", "Route", 1, by="longest", missing=True),
        "longest": largest("event.duration", "Longest request"),
        "requests": count("Requests"),
        "failed": count("Failed", FAILED),
    }
    drops = {
        "when": histogram(),
        "service": values("service.name", "Service", 10, by="lines"),
        "lines": total("labels.dropped", "Lines"),
    }
    over_time = {"when": histogram(), "p50": percentile("event.duration", 50, "Median"), "p95": percentile("event.duration", 95, "p95")}
    return [
        panel("requests", (0, 0, 8, 6), "", metric(count("Requests"), REQUESTS)),
        panel("failed", (8, 0, 8, 6), "", metric(count("Failed requests", FAILED), REQUESTS)),
        panel("p95", (16, 0, 8, 6), "", metric(percentile("event.duration", 95, "p95 of requests"), REQUESTS)),
        panel("ids", (24, 0, 8, 6), "", metric(unique("tracking_id", "Tracking IDs"))),
        panel("errors", (32, 0, 8, 6), "", metric(count("Lines at ERROR and above"), ERRORS)),
        panel("dropped", (40, 0, 8, 6), "", metric(total("labels.dropped", "Lines dropped by the log"), DROPS)),
        panel(
            "outcomes",
            (0, 6, 24, 12),
            "Requests by outcome",
            xy(
                "bar_stacked",
                {"when": histogram(), "outcome": values("event.outcome", "Outcome", 3, by="n"), "n": count("Requests")},
                REQUESTS,
            ),
        ),
        panel("latency", (24, 6, 24, 12), "Duration of requests", xy("line", over_time, REQUESTS)),
        panel("routes", (0, 18, 24, 16), "Routes", datatable(by_route, REQUESTS, sort="requests")),
        panel("slowest", (24, 18, 24, 16), "Slowest IDs", datatable(slowest, REQUESTS, sort="longest")),
        panel(
            "services",
            (0, 34, 16, 12),
            "Lines by service",
            xy("bar_stacked", {"when": histogram(), "service": values("service.name", "Service", 10, by="n"), "n": count("Lines")}),
        ),
        panel(
            "levels",
            (16, 34, 16, 12),
            "Lines by level",
            xy("bar_stacked", {"when": histogram(), "level": values("log.level", "Level", 6, by="n"), "n": count("Lines")}),
        ),
        panel("drops", (32, 34, 16, 12), "Lines dropped by the log", xy("bar_stacked", drops, DROPS)),
        search_panel("latest", (0, 46, 48, 16), "Errors", "trackline-errors"),
    ]


def controls() -> list[tuple[str, str, str]]:
    """What the dashboard can be narrowed to: an ID, a service, a level."""
    return [("tracking_id", "Tracking ID", "large"), ("service.name", "Service", "small"), ("log.level", "Level", "small")]


def dashboard() -> Json:
    """The dashboard, with its controls."""
    shown = panels()
    references = [reference for one in shown for reference in one.pop("references")]
    group: Json = {}
    for order, (field, title, width) in enumerate(controls()):
        name = field.replace(".", "_")
        explicit = {"id": name, "fieldName": field, "title": title, "selectedOptions": [], "enhancements": {}}
        group[name] = {"order": order, "width": width, "grow": order == 0, "type": "optionsListControl", "explicitInput": explicit}
        references.append({"name": f"controlGroup_{name}:optionsListDataView", "type": "index-pattern", "id": VIEW})
    heed = {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
    options = {"useMargins": True, "syncColors": True, "syncCursor": True, "syncTooltips": False, "hidePanelTitles": False}
    attributes = {
        "title": "Trackline: requests",
        "description": "Requests, errors, latency by route, the slowest IDs, and what the logs dropped.",
        "timeRestore": True,
        "timeFrom": "now-24h",
        "timeTo": "now",
        "refreshInterval": {"pause": True, "value": 60000},
        "controlGroupInput": {
            "controlStyle": "oneLine",
            "chainingSystem": "HIERARCHICAL",
            "panelsJSON": dumps(group),
            "ignoreParentSettingsJSON": dumps(heed),
        },
        "panelsJSON": dumps(shown),
        "optionsJSON": dumps(options),
        "kibanaSavedObjectMeta": {"searchSourceJSON": dumps({"query": {"query": "", "language": "kuery"}, "filter": []})},
        "version": 1,
    }
    return saved_object("dashboard", "trackline-requests", "8.9.0", attributes, references)


def saved_object(kind: str, name: str, version: str, attributes: Json, references: list[Json]) -> Json:
    """Give what a line of an export is. The versions say which migrations have been applied: all up to 8.9."""
    return {
        "id": name,
        "type": kind,
        "attributes": attributes,
        "references": references,
        "managed": False,
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": version,
    }


def dumps(value: object) -> str:
    """Give compact JSON, the same for the same value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def export() -> str:
    """Give the whole file: what is referred to comes first, and a summary last, as Kibana writes it."""
    objects = [data_view(), *searches(), dashboard()]
    summary = {
        "exportedCount": len(objects),
        "missingRefCount": 0,
        "missingReferences": [],
        "excludedObjectsCount": 0,
        "excludedObjects": [],
    }
    return "".join(f"{dumps(one)}\n" for one in [*objects, summary])


if __name__ == "__main__":
    Path(__file__).with_name("trackline.ndjson").write_text(export(), "utf-8")
