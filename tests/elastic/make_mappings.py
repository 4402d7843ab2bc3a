"""
Makes collector/elasticsearch/mappings.json: `python tests/elastic/make_mappings.py`.

Types are those of Elastic's field reference (tests/data/ecs). Fields that Trackline writes are mapped one by one; all other fields of
ECS, which an `extra=` or a shipper may bring, by dynamic templates: they take no room in the mapping of an index before there is one.
A test holds that the file is what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trackline.elastic.text import as_text

Mapping = dict[str, Any]

ROOT = Path(__file__).parents[2]
FILE = ROOT / "collector" / "elasticsearch" / "mappings.json"
ECS_TYPES = ROOT / "tests" / "data" / "ecs" / "ecs-types.txt"

KEYWORD: Mapping = {"type": "keyword", "ignore_above": 1024}
LONG: Mapping = {"type": "long"}
TEXT: Mapping = {"type": "match_only_text"}
LEAF: Mapping = {"unmatch_mapping_type": "object"}
"""Else an object would be mapped as such a field, and what is in it as a field of another's."""

ECS = """
@timestamp log.level message ecs.version trace.id span.id event.id
service.name service.version service.environment service.node.name event.dataset
log.logger log.origin.file.name log.origin.file.line log.origin.function process.pid process.thread.name
error.type error.message error.stack_trace
event.action event.category event.type event.outcome event.reason event.duration
http.request.method http.request.body.bytes http.response.status_code http.response.body.bytes http.version
url.path url.query url.domain client.address client.ip client.port client.bytes server.bytes user_agent.original
data_stream.type data_stream.dataset data_stream.namespace
event.ingested log.file.path host.name
""".split()  # noqa: SIM905
"""What is written in the schema `ecs`; the last two lines are what shippers and the ingest pipeline add."""

SHIPPERS: Mapping = {"log.offset": LONG, "input.type": KEYWORD}

FLAT = ["level", "name", "processName", "loc", "func"]
"""The keys of the schema `flat` which no other schema has. The origin's users search by these names."""

OTEL: Mapping = {
    "timestamp": {"type": "date_nanos"},
    "severity_text": KEYWORD,
    "severity_number": {"type": "byte"},
    # So that one query, and the link from a trace in APM, finds the lines of all schemas. Not service.name as well: beside a document
    # whose `service` is a text, which others have, nothing can be copied to it, and the document would be refused.
    "body": {**TEXT, "copy_to": "message"},
    "trace_id": {**KEYWORD, "copy_to": "trace.id"},
    "span_id": KEYWORD,
    "resource.service.name": KEYWORD,
    "trace_flags": KEYWORD,
    "event_name": KEYWORD,
    "instrumentation_scope.name": KEYWORD,
    "resource.process.pid": LONG,
    "attributes.log.record.uid": KEYWORD,
    "attributes.code.file.path": KEYWORD,
    "attributes.code.line.number": LONG,
    "attributes.code.function.name": KEYWORD,
    "attributes.code.stacktrace": TEXT,
    "attributes.thread.name": KEYWORD,
    "attributes.exception.type": KEYWORD,
    "attributes.exception.message": TEXT,
    "attributes.exception.stacktrace": TEXT,
    "attributes.error.type": KEYWORD,
    "attributes.http.request.method": KEYWORD,
    "attributes.http.request.body.size": LONG,
    "attributes.http.response.status_code": LONG,
    "attributes.http.response.body.size": LONG,
    "attributes.http.route": KEYWORD,
    "attributes.http.server.request.duration": {"type": "double"},
    "attributes.network.protocol.version": KEYWORD,
    "attributes.url.path": {"type": "wildcard"},
    "attributes.url.query": KEYWORD,
    "attributes.client.address": KEYWORD,
    "attributes.client.port": LONG,
    "attributes.client.bytes": LONG,
    "attributes.server.address": KEYWORD,
    "attributes.server.bytes": LONG,
    "attributes.user_agent.original": KEYWORD,
    "attributes.websocket.close_code": LONG,
    "attributes.websocket.messages_received": LONG,
    "attributes.websocket.messages_sent": LONG,
}
"""The schema `otel`."""

ALIASES = ["labels.tracking_id", "http.request.id"]
MORE: dict[str, Mapping] = {
    "@timestamp": {"ignore_malformed": False},  # the one field without which a data stream takes no document
    "data_stream.type": {"value": "logs"},
    "error.stack_trace": {"fields": {"text": TEXT}},
    "user_agent.original": {"fields": {"text": TEXT}},
}
DYNAMIC = ["boolean", "date", "double", "float", "geo_point", "integer", "ip", "long", "match_only_text", "scaled_float", "wildcard"]
"""All other fields are keywords."""


def ecs_types() -> dict[str, str]:
    """Give the type of each field of ECS."""
    found, of = {}, ""
    for line in ECS_TYPES.read_text("ascii").splitlines():
        if line.startswith("["):
            of = line.strip("[]")
        else:
            found[line.removesuffix("[]")] = of
    return found


def mappings() -> Mapping:
    """Give the body of the component template."""
    types = ecs_types()
    properties: dict[str, Mapping] = {name: {**_mapping(types[name]), **MORE.get(name, {})} for name in ECS}
    properties["tracking_id"] = KEYWORD
    properties |= {name: {"type": "alias", "path": "tracking_id"} for name in ALIASES}
    properties |= SHIPPERS | dict.fromkeys(FLAT, KEYWORD) | OTEL
    dynamic = []
    for of in DYNAMIC:
        names = [name for name, its in types.items() if its == of and name not in properties]
        if names:
            dynamic.append({f"ecs_{of}": {"path_match": names, **({} if of == "geo_point" else LEAF), "mapping": _mapping(of)}})
    # Numbers and booleans, too: two types in one list would refuse the document. ECS has it so for labels.
    dynamic.append({"others": {"path_match": "*", **LEAF, "mapping": KEYWORD}})
    return {
        "_meta": {"managed_by": "trackline", "description": "The fields of Trackline's log lines, with the types of ECS 9.5.0"},
        "template": {
            "mappings": {
                "subobjects": False,
                "date_detection": False,
                "dynamic_templates": dynamic,
                "properties": dict(sorted(properties.items())),
            }
        },
    }


def _mapping(of: str) -> Mapping:
    if of == "keyword":
        return KEYWORD
    return {"type": of, "scaling_factor": 1000} if of == "scaled_float" else {"type": of}


if __name__ == "__main__":
    FILE.write_text(as_text(mappings()) + "\n", "ascii")
