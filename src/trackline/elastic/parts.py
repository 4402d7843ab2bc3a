"""What is to be in Elasticsearch: the files of collector/elasticsearch, as an operator wants them and as the server can take them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackline.collector import collector_files
from trackline.elastic.connection import ElasticError
from trackline.elastic.options import rollover_age

if TYPE_CHECKING:
    from trackline.elastic.abilities import Abilities
    from trackline.elastic.options import Options

    Body = dict[str, Any]

NAME = "trackline-logs"
DEADLETTER = "trackline-deadletter"
MANAGED_BY = "trackline"
WRITER, READER = "trackline-writer", "trackline-reader"

_LONGEST_TERM = 8191  # of a keyword, in characters: Lucene takes 32,766 bytes, and UTF-8 has up to four a character
INSTEAD: dict[str, Body] = {
    "match_only_text": {"type": "text"},
    "wildcard": {"type": "keyword", "ignore_above": _LONGEST_TERM},
    "constant_keyword": {"type": "keyword", "ignore_above": 1024},
    "scaled_float": {"type": "float"},
}


@dataclass(frozen=True)
class Part:
    """One object of Elasticsearch: what it is called, where it is, and what is to be there."""

    kind: str
    name: str
    path: str
    body: Body

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def parts_of(options: Options, abilities: Abilities) -> tuple[list[Part], list[str]]:
    """Give the objects, in an order in which each finds what it needs, and in words what the server lacks and is done instead."""
    notes = _notes(options, abilities)
    parts = []
    lifecycle = lifecycle_of(options, abilities)
    if lifecycle == "ilm":
        parts.append(Part("ILM policy", NAME, f"/_ilm/policy/{NAME}", _policy(options)))
    pipeline = read("pipeline.json")
    has_pipeline = not _lacking(pipeline, abilities)
    if has_pipeline:
        parts.append(Part("ingest pipeline", NAME, f"/_ingest/pipeline/{NAME}", pipeline))
    timestamp = abilities.timestamp if options.timestamp == "auto" else options.timestamp
    mappings = _adapted(read("mappings.json"), abilities.missing_types)
    mappings["template"]["mappings"]["properties"]["@timestamp"]["type"] = timestamp
    settings = _settings(read("settings.json"), options, abilities, has_pipeline=has_pipeline)
    _stamp(mappings["template"]["mappings"], mappings, settings)
    template = read("index-template.json") | {"index_patterns": options.patterns}
    deadletter = _adapted(read("deadletter.json"), abilities.missing_types) | {"index_patterns": [options.deadletters]}
    deadletter["template"]["mappings"]["properties"]["@timestamp"]["type"] = timestamp
    if options.replicas is not None:
        _replicate(deadletter["template"]["settings"], options.replicas)
    _stamp(deadletter["template"]["mappings"], deadletter["template"])
    for name, body in (
        (f"{NAME}-mappings", mappings),
        (f"{NAME}-settings", settings),
        (f"{NAME}-lifecycle", _lifecycle(lifecycle, options)),
    ):
        parts.append(Part("component template", name, f"/_component_template/{name}", body))
    parts.append(Part("index template", NAME, f"/_index_template/{NAME}", template))
    parts.append(Part("index template", DEADLETTER, f"/_index_template/{DEADLETTER}", deadletter))
    if abilities.has_security:
        parts += [Part("role", name, f"/_security/role/{name}", role_of(name, options, abilities)) for name in (WRITER, READER)]
    return parts, notes


def read(name: str) -> Body:
    """Give what is in a file of collector/elasticsearch."""
    body: Body = json.loads((collector_files() / "elasticsearch" / name).read_text("utf-8"))
    return body


def role_of(name: str, options: Options, abilities: Abilities) -> Body:
    """Give a role for the streams that an operator has named."""
    role = read("role-writer.json" if name == WRITER else "role-reader.json")
    for rights in role["indices"]:
        rights["names"] = options.patterns if len(options.patterns) == 1 else [*options.patterns, options.deadletters]
        if not abilities.has_failure_store:
            rights["privileges"] = [privilege for privilege in rights["privileges"] if privilege != "read_failure_store"]
    return role


def lifecycle_of(options: Options, abilities: Abilities) -> str:
    """Give what deletes old lines: ``ilm``, ``data-stream`` or ``none``. Raises ElasticError where the server lacks what is wanted."""
    if options.lifecycle != "auto":
        if (options.lifecycle == "ilm" and not abilities.has_ilm) or (
            options.lifecycle == "data-stream" and not abilities.has_data_stream_lifecycle
        ):
            raise ElasticError(f"lifecycle={options.lifecycle!r}: this server ({abilities.version}) does not have it")
        return options.lifecycle
    return "ilm" if abilities.has_ilm else "data-stream" if abilities.has_data_stream_lifecycle else "none"


def _notes(options: Options, abilities: Abilities) -> list[str]:
    notes = []
    lifecycle = lifecycle_of(options, abilities)
    if options.lifecycle == "auto" and lifecycle == "data-stream":
        notes.append("this server has no ILM: the data stream lifecycle is used instead")
    elif options.lifecycle == "auto" and lifecycle == "none":
        notes.append("this server has neither ILM nor the data stream lifecycle: nothing is ever deleted, unless you do it")
    if lifecycle == "ilm" and not abilities.is_ilm_running:
        notes.append("ILM is stopped on this server: nothing is deleted until somebody says POST _ilm/start")
    notes += [f"no field type {of}: {INSTEAD[of]['type']} is used instead" for of in sorted(abilities.missing_types)]
    if lacking := _lacking(read("pipeline.json"), abilities):
        notes.append(f"no ingest processor {', '.join(lacking)}: the ingest pipeline is left out; lines of Trackline's do not need it")
    if options.failure_store and not abilities.has_failure_store:
        notes.append("no failure store: what is refused is for the shipper to keep")
    if not abilities.has_security:
        notes.append("security is off: roles and API keys are left out, and everybody may read and delete everything")
    return notes


def _lacking(pipeline: Body, abilities: Abilities) -> list[str]:
    if abilities.processors is None:
        return []
    return sorted({name for processor in pipeline["processors"] for name in processor} - abilities.processors)


def _policy(options: Options) -> Body:
    policy = read("ilm-policy.json")
    phases = policy["policy"]["phases"]
    phases["hot"]["actions"]["rollover"]["max_age"] = rollover_age(options.retention)
    if options.retention is None:
        del phases["delete"]
    else:
        phases["delete"]["min_age"] = options.retention
    policy["policy"]["_meta"]["description"] = "Trackline's log lines: " + (
        f"deleted {options.retention} after their index was rolled over" if options.retention else "kept for ever"
    )
    return policy


def _lifecycle(lifecycle: str, options: Options) -> Body:
    if lifecycle == "ilm":
        return read("lifecycle-ilm.json")
    body = read("lifecycle-data-stream.json")
    body["_meta"]["description"] = "Trackline's log lines are kept " + (f"for {options.retention}" if options.retention else "for ever")
    if lifecycle == "none":
        body["_meta"]["description"] = "Nothing deletes Trackline's log lines"
        body["template"] = {}
    elif options.retention is None:
        body["template"]["lifecycle"] = {}
    else:
        body["template"]["lifecycle"]["data_retention"] = options.retention
    return body


def _settings(settings: Body, options: Options, abilities: Abilities, *, has_pipeline: bool) -> Body:
    template = settings["template"]
    if not has_pipeline:
        del template["settings"]["index.default_pipeline"]
    if options.replicas is not None:
        _replicate(template["settings"], options.replicas)
    if not abilities.has_failure_store:
        del template["data_stream_options"]
    else:
        template["data_stream_options"]["failure_store"]["enabled"] = options.failure_store
    return settings


def _replicate(settings: Body, replicas: int) -> None:
    del settings["index.auto_expand_replicas"]
    settings["index.number_of_replicas"] = replicas


def _adapted(value: Any, missing: frozenset[str]) -> Any:
    """Give a body with the types of fields that a server has."""
    if isinstance(value, list):
        return [_adapted(item, missing) for item in value]
    if not isinstance(value, dict):
        return value
    of = value.get("type")
    if isinstance(of, str) and of in missing and of in INSTEAD:
        kept = {key: item for key, item in value.items() if key not in {"type", "value", "scaling_factor"}}
        value = INSTEAD[of] | kept
    return {key: _adapted(item, missing) for key, item in value.items()}


def _stamp(mappings: Body, *bodies: Body) -> None:
    """Leave in the mappings, and so in every index, by which state of the templates it was made."""
    revision = hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()[:12]
    mappings["_meta"] = {"managed_by": MANAGED_BY, "revision": revision}
