"""What a server can do, found out by asking it: its version does not tell, for modules can be missing and licences differ."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackline.elastic.connection import ElasticError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackline.elastic.connection import Connection

OLDEST = (8, 14)
"""From then on, what is beyond the limit of fields does not refuse a document (`ignore_dynamic_beyond_limit`)."""

OPTIONAL_TYPES = ("match_only_text", "wildcard", "constant_keyword", "scaled_float")
_MISSING = frozenset({400, 404, 405, 410, 500})  # without its module a path is unknown, or taken for another


@dataclass(frozen=True)
class Abilities:
    """What a server has. ``types`` are the types of fields that it lacks, of those that not all have; ``processors`` those it has."""

    version: str
    has_ilm: bool = True
    is_ilm_running: bool = True
    has_data_stream_lifecycle: bool = True
    has_failure_store: bool = True
    has_security: bool = True
    missing_types: frozenset[str] = field(default_factory=frozenset)
    processors: frozenset[str] | None = None
    timestamp: str = "date"


def abilities_of(connection: Connection) -> Abilities:
    """Ask a server. Raises ElasticError where it is no Elasticsearch, too old, or does not answer who asks."""
    about = connection.request("GET", "/")
    version = about.get("version") if isinstance(about, dict) else None
    if not version or "number" not in version:
        raise ElasticError(f"{connection.url} answers, but it is no Elasticsearch")
    number = str(version["number"])
    parts = tuple(int(part) for part in re.findall(r"\d+", number)[:2])
    if version.get("build_flavor") != "serverless" and parts < OLDEST:
        raise ElasticError(f"{connection.url} is Elasticsearch {number}: 8.14 or later is needed")
    ilm = _ask(connection, "/_ilm/status")
    return Abilities(
        version=number,
        has_ilm=ilm is not None,
        is_ilm_running=ilm is None or ilm.get("operation_mode") != "STOPPED",
        has_data_stream_lifecycle=_ask(connection, "/_data_stream/trackline-none*/_lifecycle") is not None,
        has_failure_store=_ask(connection, "/_data_stream/trackline-none*/_options") is not None,
        has_security=_ask(connection, "/_security/_authenticate") is not None,
        missing_types=_missing(connection, OPTIONAL_TYPES),
        processors=_processors(connection),
        timestamp=_timestamp(connection),
    )


def _ask(connection: Connection, path: str) -> dict[str, Any] | None:
    """Give an answer; an empty one where the server has it and does not tell us; None where it has no such thing."""
    try:
        answer = connection.request("GET", path)
    except ElasticError as error:
        if error.status == 403:
            return {}
        if error.status in _MISSING:
            return None
        raise
    return answer if isinstance(answer, dict) else {}


def _missing(connection: Connection, types: Iterable[str]) -> frozenset[str]:
    """Give the types of fields that the server does not know: by simulating a template with each, which changes nothing."""
    found = set()
    for of in types:
        of_field = {"type": of} | ({"scaling_factor": 1000} if of == "scaled_float" else {})
        template = {"index_patterns": ["trackline-none-*"], "template": {"mappings": {"properties": {"field": of_field}}}}
        try:
            connection.request("POST", "/_index_template/_simulate", template)
        except ElasticError as error:
            if error.status != 400 or f"mapper type [{of}]" not in str(error):
                raise
            found.add(of)
    return frozenset(found)


def _processors(connection: Connection) -> frozenset[str] | None:
    """Give the ingest processors that every node with the role of ingesting has; None where the server does not tell us."""
    answer = _ask(connection, "/_nodes/ingest?filter_path=nodes.*.roles,nodes.*.ingest.processors.type")
    nodes = (answer or {}).get("nodes")
    if not nodes:
        return None
    sets = [
        {processor["type"] for processor in node.get("ingest", {}).get("processors", [])}
        for node in nodes.values()
        if "ingest" in node.get("roles", [])
    ]
    return frozenset(set.intersection(*sets)) if sets else frozenset()


def _timestamp(connection: Connection) -> str:
    """Give the type of @timestamp in the server's own logs: streams of both types in one search do not sort together everywhere."""
    answer = _ask(connection, "/_component_template/logs@mappings") or {}
    for one in answer.get("component_templates", []):
        mappings = one["component_template"].get("template", {}).get("mappings", {})
        if of := mappings.get("properties", {}).get("@timestamp", {}).get("type"):
            return str(of)
    return "date"
