"""
The file that Kibana imports. No Kibana can be had from the package registries: it is held against what Kibana's source says of the
format (data/kibana.schema.json), and its fields against the lines that Trackline writes and the mapping that Elasticsearch gets.
"""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from collector.conftest import COLLECTOR

KIBANA = COLLECTOR / "kibana"
SCHEMA = json.loads((Path(__file__).parent / "data" / "kibana.schema.json").read_text())
OF_SHIPPERS = {"log.offset"}  # in the file, from Filebeat
# Names of fields in a query of KQL: what stands before a colon.
FIELDS_OF_KQL = re.compile(r"([\w@.]+)\s*:")


def must_be(definition, value):
    """Fail where a value is not what Kibana's source says of it, with the place."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}
    errors = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert not errors, errors


@pytest.fixture(scope="module")
def objects():
    *lines, summary = [json.loads(line) for line in (KIBANA / "trackline.ndjson").read_text().splitlines()]
    assert summary["exportedCount"] == len(lines)
    return {one["id"]: one for one in lines}


@pytest.fixture(scope="module")
def dashboard(objects):
    return objects["trackline-requests"]


@pytest.fixture(scope="module")
def panels(dashboard):
    return json.loads(dashboard["attributes"]["panelsJSON"])


@pytest.fixture(scope="module")
def controls(dashboard):
    return json.loads(dashboard["attributes"]["controlGroupInput"]["panelsJSON"])


@pytest.fixture(scope="module")
def lenses(panels):
    return {panel["panelIndex"]: panel["embeddableConfig"]["attributes"] for panel in panels if panel["type"] == "lens"}


def columns_of(lens):
    (layer,) = lens["state"]["datasourceStates"]["formBased"]["layers"].values()
    return layer["columns"]


def test_file_is_what_build_py_makes(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(KIBANA), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the folder is copied as it is
    made = runpy.run_path(str(KIBANA / "build.py"))["export"]()
    sys.modules.pop("lens")

    assert (KIBANA / "trackline.ndjson").read_text() == made


def test_last_line_sums_the_export_up():
    must_be("summary", json.loads((KIBANA / "trackline.ndjson").read_text().splitlines()[-1]))


def test_every_object_is_what_its_type_allows(objects):
    for one in objects.values():
        must_be("savedObject", one)


def test_texts_of_the_data_view_hold_what_they_are_read_as(objects):
    attributes = objects["trackline-logs"]["attributes"]
    for name in ("fieldFormatMap", "fieldAttrs", "fields", "runtimeFieldMap", "sourceFilters", "typeMeta"):
        must_be(name, json.loads(attributes[name]))


def test_texts_of_the_searches_and_the_dashboard_hold_what_they_are_read_as(objects, dashboard, panels, controls):
    for one in objects.values():
        if meta := one["attributes"].get("kibanaSavedObjectMeta"):
            must_be("searchSourceJSON", json.loads(meta["searchSourceJSON"]))
    must_be("optionsJSON", json.loads(dashboard["attributes"]["optionsJSON"]))
    must_be("ignoreParentSettingsJSON", json.loads(dashboard["attributes"]["controlGroupInput"]["ignoreParentSettingsJSON"]))
    must_be("controls", controls)
    must_be("panels", panels)


def test_schema_refuses_what_kibana_would(objects, panels):
    broken = json.loads(json.dumps(objects["trackline-requests"]))
    broken["attributes"]["panels"] = []
    with pytest.raises(AssertionError, match="panels"):
        must_be("savedObject", broken)
    wide = json.loads(json.dumps(panels))
    wide[0]["gridData"]["w"] = 49
    with pytest.raises(AssertionError, match="49"):
        must_be("panels", wide)


def test_every_reference_leads_to_an_object_of_the_file(objects):
    for one in objects.values():
        for reference in one["references"]:
            assert objects[reference["id"]]["type"] == reference["type"], reference


def test_references_of_panels_and_controls_are_the_dashboards_too(dashboard, panels, controls):
    expected = {f"controlGroup_{name}:optionsListDataView" for name in controls}
    for panel in panels:
        if panel["type"] == "lens":
            expected |= {f"{panel['panelIndex']}:{one['name']}" for one in panel["embeddableConfig"]["attributes"]["references"]}
        else:
            expected.add(f"{panel['panelIndex']}:{panel['panelRefName']}")

    assert {one["name"] for one in dashboard["references"]} == expected
    assert len(dashboard["references"]) == len(expected)


def test_searches_name_the_reference_to_their_data_view(objects):
    for one in objects.values():
        if one["type"] == "search":
            source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
            assert [reference["name"] for reference in one["references"]] == [source["indexRefName"]]


def test_panels_are_inside_of_the_grid_and_do_not_overlap(panels):
    taken = {}
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        assert grid["x"] + grid["w"] <= 48
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert taken.setdefault((x, y), grid["i"]) == grid["i"], (x, y)


def test_every_layer_orders_its_columns_and_draws_only_those(lenses):
    for name, lens in lenses.items():
        (layer,) = lens["state"]["datasourceStates"]["formBased"]["layers"].values()
        columns = layer["columns"]
        assert sorted(layer["columnOrder"]) == sorted(columns), name
        bucketed = [columns[column]["isBucketed"] for column in layer["columnOrder"]]
        assert bucketed == sorted(bucketed, reverse=True), f"{name}: buckets come before metrics"
        for column in columns.values():
            order = column["params"].get("orderBy", {}).get("columnId")
            assert order is None or not columns[order]["isBucketed"], name
        assert drawn(lens) == set(columns), name


def drawn(lens):
    """Give the columns that a visualization draws."""
    state = lens["state"]["visualization"]
    if lens["visualizationType"] == "lnsMetric":
        return {state["metricAccessor"]}
    if lens["visualizationType"] == "lnsDatatable":
        assert state["sorting"]["columnId"] in {column["columnId"] for column in state["columns"]}
        return {column["columnId"] for column in state["columns"]}
    (layer,) = state["layers"]
    return {layer["xAccessor"], *layer["accessors"], *([layer["splitAccessor"]] if "splitAccessor" in layer else [])}


def used(objects, lenses, controls):
    """Give every field that something in the file reads."""
    attributes = objects["trackline-logs"]["attributes"]
    yield from json.loads(attributes["fieldFormatMap"])
    yield from json.loads(attributes["fieldAttrs"])
    yield from json.loads(attributes["runtimeFieldMap"])
    yield from (control["explicitInput"]["fieldName"] for control in controls.values())
    for lens in lenses.values():
        yield from FIELDS_OF_KQL.findall(lens["state"]["query"]["query"])
        for column in columns_of(lens).values():
            yield column["sourceField"]
            yield from FIELDS_OF_KQL.findall(column.get("filter", {}).get("query", ""))
    for search in (one["attributes"] for one in objects.values() if one["type"] == "search"):
        yield from search["columns"]
        yield from (field for field, _ in search["sort"])
        yield from search["grid"]["columns"]
        yield from FIELDS_OF_KQL.findall(json.loads(search["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"])


def finds(query, line):
    """Whether a query of KQL takes a line: ``field : "value"``, lists of values in brackets, and, or; as the file has them."""
    clause = re.compile(r'([\w@.]+) : (?:"[^"]*"|\("[^)]*\))')

    def value_of(match):
        value = line.get(match[1])
        return str(any(one in (value if isinstance(value, list) else [value]) for one in re.findall('"([^"]*)"', match[0])))

    return eval(clause.sub(value_of, query) or "True")


def test_every_field_is_one_that_trackline_writes(objects, lenses, controls, fields):
    assert set(used(objects, lenses, controls)) - OF_SHIPPERS - {"___records___"} <= fields


def test_queries_find_the_lines_that_they_are_for(lenses, lines):
    found = {name: [line for line in lines if finds(lens["state"]["query"]["query"], line)] for name, lens in lenses.items()}

    assert [line["http.response.status_code"] for line in found["requests"]] == [200, 500]
    assert {line["log.level"] for line in found["errors"]} == {"error"}
    assert sum(line["labels"]["dropped"] for line in found["dropped"]) > 0
    assert [line["event.action"] for line in found["drops"]] == ["log-drop"] * len(found["drops"])
    assert len(found["levels"]) == len(lines)


def test_numbers_are_counted_with_and_words_are_grouped_by(lenses, lines):
    """A mapping can only be right for what is written: a sum over texts would be refused."""
    written = {}
    for line in lines:
        flat = {**line, **{f"labels.{key}": value for key, value in line.get("labels", {}).items()}}
        for field, value in flat.items():
            written.setdefault(field, set()).add(type(value[0] if isinstance(value, list) else value))
    for name, lens in lenses.items():
        for column in columns_of(lens).values():
            if column["operationType"] in ("sum", "max", "percentile"):
                assert written[column["sourceField"]] <= {int, float}, (name, column)
            elif column["operationType"] in ("terms", "unique_count"):
                assert written[column["sourceField"]] == {str}, (name, column)


def test_links_hold_what_an_id_may_be(objects):
    formats = json.loads(objects["trackline-logs"]["attributes"]["fieldFormatMap"])
    story, trace = (formats[field]["params"]["urlTemplate"] for field in ("tracking_id", "trace.id"))

    # Kibana puts its address, its base path and its space before `/app/`, for an address that begins with "..".
    assert story.startswith("../app/discover#/view/trackline-story?")
    assert "trackline-story" in objects
    assert trace.startswith("../app/apm/link-to/trace/{{value}}")
    assert story.count("{{value}}") == trace.count("{{value}}") == 1
