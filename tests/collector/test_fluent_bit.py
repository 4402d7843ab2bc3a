"""Fluent Bit's configurations: the options are in its reference, and the program for each line does what it says, in a real LuaJIT."""

import json
from pathlib import Path

import pytest
import yaml
from lupa.luajit21 import LuaRuntime, lua_type

from collector.conftest import COLLECTOR, lines_of

FLUENT_BIT = COLLECTOR / "fluent-bit"
OPTIONS = json.loads((Path(__file__).parent / "data" / "fluent-bit.json").read_text())
CONFIGURATIONS = ["fluent-bit.yaml", "kubernetes.yaml"]


def read(name):
    return yaml.safe_load((FLUENT_BIT / name).read_text())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_option_is_one_that_fluent_bit_has(name):
    config = read(name)
    pipeline = config["pipeline"]
    parts = [(part, OPTIONS[part["name"]]) for kind in ("inputs", "filters", "outputs") for part in pipeline[kind]]
    parts += [(config["service"], OPTIONS["service"]), *((parser, OPTIONS["parsers"]) for parser in config["parsers"])]

    assert [option for part, allowed in parts for option in part if option not in allowed] == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_part_takes_what_the_input_has_tagged(name):
    pipeline = read(name)["pipeline"]
    (tag,) = {part["tag"] for part in pipeline["inputs"]}

    assert {part["match"] for kind in ("filters", "outputs") for part in pipeline[kind]} == {tag}


def test_both_ways_end_alike():
    first, second = (read(name)["pipeline"]["outputs"] for name in CONFIGURATIONS)

    assert first == second


def lua_function():
    """Give trackline.lua's function, which takes and gives dicts as Fluent Bit hands it the fields of a record."""
    lua = LuaRuntime(encoding="utf-8")
    lua.execute((FLUENT_BIT / "trackline.lua").read_text())

    def call(record):
        code, _, made = lua.globals().document("trackline", 0, lua.table_from(record, recursive=True))
        assert code == 2, "the record is changed and its time is not"
        return plain(made)

    return call


@pytest.fixture
def document():
    return lua_function()


def plain(value):
    if lua_type(value) != "table":
        return value
    keys = list(value.keys())
    return [plain(value[key]) for key in keys] if keys and keys[0] == 1 else {key: plain(value[key]) for key in keys}


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
async def test_document_is_the_line_with_a_stream_and_an_id(schema, document, tmp_path):
    lines = (await lines_of(schema, tmp_path))[:20]
    documents = [document({**line, "trackline_file": "orders.log", "trackline_offset": 7}) for line in lines]

    assert {one.pop("trackline_stream") for one in documents} == {f"logs-{'trackline' if schema == 'flat' else 'orders'}-default"}
    ids = [line.get("event.id") or line.get("attributes", {}).get("log.record.uid") for line in lines]
    assert [one.pop("trackline_id", None) for one in documents] == ids
    if schema == "otel":
        assert [one.pop("@timestamp") for one in documents] == [line["timestamp"] for line in lines]
    assert documents == [{key: value for key, value in line.items() if value is not None} for line in lines]  # Lua has no null


def test_another_writers_event_id_is_no_id_of_the_document(document):
    made = document({"@timestamp": "2026-11-26T20:00:00Z", "event.id": "4624"})

    assert (made["event.id"], made.get("trackline_id")) == ("4624", None)


@pytest.mark.parametrize("key", ["trackline_line", "log"])
def test_what_is_no_json_goes_to_the_dead_letters(key, document):
    made = document({key: '{"half', "trackline_file": "/var/log/orders/orders.log"})

    assert made["message"] == '{"half'
    assert made["trackline_stream"] == "logs-trackline.deadletter-default"
    assert made["log.file.path"] == "/var/log/orders/orders.log"


@pytest.mark.parametrize(("service", "dataset"), [("Order-API", "order_api"), ("a b/c", "a_b_c"), ("", "trackline")])
def test_stream_has_a_name_that_elasticsearch_takes(service, dataset, document):
    made = document({"@timestamp": "2026-11-26T20:00:00Z", "service.name": service})

    assert made["trackline_stream"] == f"logs-{dataset}-default"
