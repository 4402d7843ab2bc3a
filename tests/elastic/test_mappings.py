"""The files of collector/elasticsearch hold what the lines have, with the types that ECS has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elastic.lines import ecs_lines, names_of, otel_lines
from elastic.make_mappings import ALIASES, FILE, FLAT, OTEL, ecs_types, mappings
from trackline.elastic import parts
from trackline.logs.fields import ecs_fields, is_alias

FOLDER = FILE.parent
PROPERTIES = json.loads(FILE.read_text())["template"]["mappings"]["properties"]


def test_the_file_is_what_is_made_of_the_field_reference():
    assert json.loads(FILE.read_text()) == mappings(), "python tests/elastic/make_mappings.py"


def test_each_field_that_a_line_has_is_mapped_by_its_name_with_the_type_of_ecs(tmp_path):
    names = {name for name in names_of(ecs_lines(tmp_path)) if not name.startswith("labels.")}

    assert len(names) > 35
    for name in names - {"tracking_id", "destination.bytes", "source.ip"}:  # these two are extras
        assert PROPERTIES[name]["type"] == ecs_types()[name], name
    assert PROPERTIES["tracking_id"]["type"] == "keyword"


def test_each_field_that_a_line_of_the_schema_otel_has_is_mapped_by_its_name(tmp_path):
    names = names_of(otel_lines(tmp_path))
    extras = {name for name in names if name.startswith(("attributes.", "resource.")) and name not in OTEL}

    assert {"attributes.order", "attributes.nested.deep", "resource.service.version", "attributes.dropped"} <= extras
    assert names - extras - PROPERTIES.keys() == set()
    assert OTEL.keys() - names - extras <= {
        "span_id",
        "trace_flags",
        *(f"attributes.{name}" for name in ("client.bytes", "server.bytes", "http.response.body.size")),
        *(f"attributes.websocket.{name}" for name in ("close_code", "messages_received", "messages_sent")),
    }


def test_the_keys_of_the_schema_flat_are_mapped_by_their_names():
    for name in FLAT:
        assert PROPERTIES[name] == {"type": "keyword", "ignore_above": 1024}


def test_the_aliases_are_those_to_which_no_line_writes():
    aliases = {name: field["path"] for name, field in PROPERTIES.items() if field["type"] == "alias"}

    assert aliases == dict.fromkeys(ALIASES, "tracking_id")
    assert all(map(is_alias, aliases))


def test_every_field_of_ecs_that_an_extra_may_go_to_has_its_type():
    templates = [one for named in json.loads(FILE.read_text())["template"]["mappings"]["dynamic_templates"] for one in named.values()]
    for name in ecs_fields():
        if is_alias(name):
            continue
        template = next(one for one in templates if name in one["path_match"] or one["path_match"] == "*")
        mapping = PROPERTIES.get(name, template["mapping"])
        assert mapping["type"] == ecs_types()[name], name


def test_no_keyword_is_too_long_for_lucene():
    def keywords(value):
        if isinstance(value, dict):
            if value.get("type") == "keyword":
                yield value
            for item in value.values():
                yield from keywords(item)
        elif isinstance(value, list):
            for item in value:
                yield from keywords(item)

    bodies = [json.loads((FOLDER / name).read_text()) for name in ("mappings.json", "deadletter.json")]
    found = list(keywords(bodies))
    assert len(found) > 60
    assert all(0 < field["ignore_above"] <= 8191 for field in found)


def test_each_file_is_installed_and_each_installed_is_a_file(monkeypatch):
    read = []
    real = parts.read
    monkeypatch.setattr(parts, "read", lambda name: read.append(name) or real(name))
    from trackline.elastic.abilities import Abilities
    from trackline.elastic.options import Options

    for lifecycle in ("ilm", "data-stream"):
        parts.parts_of(Options(lifecycle=lifecycle), Abilities("9.2.1"))

    assert set(read) == {path.name for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_each_file_says_that_it_is_ours(path: Path):
    body = json.loads(path.read_text())
    holder = body.get("policy", body)

    assert (holder.get("_meta") or holder.get("metadata"))["managed_by"] == "trackline"


def test_a_template_names_only_components_that_are_installed_or_the_operators_own():
    from trackline.elastic.abilities import Abilities
    from trackline.elastic.options import Options

    made, _ = parts.parts_of(Options(), Abilities("9.2.1"))
    components = {part.name for part in made if part.kind == "component template"}
    for part in made:
        if part.kind == "index template":
            assert set(part.body["composed_of"]) - set(part.body.get("ignore_missing_component_templates", [])) <= components
