"""Vector's configurations: the options are in its reference, and the program for each line does what it says, in the real VRL."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from collector.conftest import COLLECTOR, lines_of

VECTOR = COLLECTOR / "vector"
OPTIONS = json.loads((Path(__file__).parent / "data" / "vector.json").read_text())
VRL = os.environ.get("TRACKLINE_VRL") or shutil.which("vrl")
CONFIGURATIONS = ["vector.yaml", "kubernetes.yaml"]


def read(name):
    return yaml.safe_load((VECTOR / name).read_text())


def unknown(given, allowed, path=""):
    """Give the options that a part does not have, and values that one does not take."""
    for option, value in given.items():
        if option not in allowed:
            yield f"{path}{option}"
        elif isinstance(allowed[option], dict):
            yield from unknown(value, allowed[option], f"{path}{option}.")
        elif isinstance(allowed[option], list) and value not in allowed[option]:
            yield f"{path}{option}={value}"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_option_is_one_that_vector_has(name):
    config = read(name)
    parts = [part for kind in ("sources", "transforms", "sinks") for part in config[kind].values()]

    assert list(unknown(config, OPTIONS["top"])) == []
    assert [problem for part in parts for problem in unknown(part, OPTIONS[part["type"]])] == []


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_input_is_a_part(name):
    config = read(name)
    inputs = {one for kind in ("transforms", "sinks") for part in config[kind].values() for one in part["inputs"]}

    assert inputs == {*config["sources"], *config["transforms"]}


def test_both_ways_end_alike():
    first, second = (read(name)["sinks"] for name in CONFIGURATIONS)

    assert first == second


def run_vrl(events, path):
    """Give what trackline.vrl makes of events, in the real VRL; they go to a file of this path."""
    if VRL is None:
        pytest.skip("there is no vrl: cargo install vrl, and TRACKLINE_VRL")
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    command = [VRL, "--program", VECTOR / "trackline.vrl", "--input", path, "--print-object"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    return [json.loads(line) for line in done.stdout.splitlines() if line]


@pytest.fixture
def run(tmp_path):
    return lambda events: run_vrl(events, tmp_path / "events.json")


def event(line, offset=0, file="/var/log/orders/orders.log"):
    return {"message": line, "file": file, "offset": offset}


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
async def test_document_is_the_line_with_a_stream_and_an_id(schema, run, tmp_path):
    lines = (await lines_of(schema, tmp_path))[:20]
    documents = run([event(json.dumps(line), offset) for offset, line in enumerate(lines)])
    theirs = [document.pop("_trackline") for document in documents]
    ids = [line.get("event.id") or line.get("attributes", {}).get("log.record.uid") for line in lines]

    if schema == "otel":
        assert [document.pop("@timestamp") for document in documents] == [line["timestamp"] for line in lines]
    assert documents == lines
    assert {one["stream"] for one in theirs} == {"trackline-default" if schema == "flat" else "orders-default"}
    assert schema == "flat" or [one["id"] for one in theirs] == ids
    assert len({one["id"] for one in theirs}) == len(lines)


def test_id_without_a_number_is_the_same_after_a_rotation_and_another_for_another_text(run):
    live, renamed, other = run(
        [event('{"message":"a"}'), event('{"message":"a"}', file="/var/log/orders/orders.log.2026-11-21"), event('{"message":"b"}')]
    )

    assert live["_trackline"]["id"] == renamed["_trackline"]["id"] != other["_trackline"]["id"]


def test_another_writers_event_id_is_no_id_of_the_document(run):
    one, another = run([event('{"event.id":"4624","message":"a"}'), event('{"event.id":"4624","message":"b"}')])

    assert one["_trackline"]["id"] != another["_trackline"]["id"]


@pytest.mark.parametrize("line", ["no JSON", '{"half', "[1]", '"text"', "17", ""])
def test_what_is_no_object_goes_to_the_dead_letters(line, run):
    (document,) = run([event(line)])

    assert document["message"] == line
    assert document["_trackline"]["stream"] == "trackline.deadletter-default"


@pytest.mark.parametrize(
    ("service", "stream"), [("Order-API", "order_api-default"), ("a b/c", "a_b_c-default"), ("", "trackline-default")]
)
def test_stream_has_a_name_that_elasticsearch_takes(service, stream, run):
    (document,) = run([event(json.dumps({"service.name": service, "event.id": "n-1"}))])

    assert document["_trackline"]["stream"] == stream
