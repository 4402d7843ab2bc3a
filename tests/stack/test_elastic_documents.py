"""The templates on a real node: every field of every schema has its type, and whatever is written, the document is there."""

from __future__ import annotations

import json
import secrets

import pytest

from elastic.lines import TRACKING_ID, flat, lines_of, names_of, nested
from elastic.make_mappings import OTEL, SHIPPERS, ecs_types
from trackline.elastic.abilities import abilities_of
from trackline.elastic.connection import Connection
from trackline.elastic.install import carry_out, plan
from trackline.elastic.options import Options
from trackline.elastic.parts import INSTEAD

TIME = "2026-11-22T14:40:01.123456Z"
FAMILIES = {"match_only_text": "text", "wildcard": "keyword", "constant_keyword": "keyword"}  # by which field capabilities call them
VALUES = {
    "keyword": "x",
    "wildcard": "/x",
    "match_only_text": "x y",
    "long": 7,
    "integer": 7,
    "float": 1,  # no point, and a float all the same
    "double": 1,
    "scaled_float": 1,
    "boolean": "true",
    "date": TIME,
    "ip": "10.0.0.1",
}


@pytest.fixture(scope="module")
def abilities(elasticsearch):
    """Install the templates; give what the node can do."""
    with Connection(elasticsearch.url) as connection:
        carry_out(connection, plan(connection, Options()))
        return abilities_of(connection)


@pytest.fixture
def stream(abilities):
    """Give the name of a data stream that is not there yet."""
    return f"logs-orders-{secrets.token_hex(4)}"


def create(node, stream, document, of=None, *, status=201):
    """Write a document as shippers do: it is made, or it is there."""
    document = {"@timestamp": TIME} | document
    response = node.http.put(f"/{stream}/_create/{of or secrets.token_hex(8)}", content=json.dumps(document), headers=JSON)
    assert response.status_code == status, response.text
    return response.json()


JSON = {"content-type": "application/json"}


def found(node, stream, text):
    """Count the documents that a search in Kibana's manner finds."""
    node.refresh(stream)
    answer = node.http.get(f"/{stream}/_search", params={"q": text, "size": 0})
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]["total"]["value"]


def types_of(node, stream):
    """Give the type of each field that a data stream has a value of, by its field capabilities."""
    node.refresh(stream)
    answer = node.request("GET", f"/{stream}/_field_caps", fields="*", filters="-metadata")
    return {name: next(iter(caps)) for name, caps in answer["fields"].items() if len(caps) == 1 and "object" not in caps}


def expected(of, abilities):
    return INSTEAD[of]["type"] if of in abilities.missing_types else FAMILIES.get(of, of)


@pytest.fixture
async def lines(request, tmp_path):
    """Give the lines of a service in a schema."""
    return await lines_of(request.param, tmp_path)


def is_label(name):
    return name.startswith("labels.")


@pytest.mark.parametrize("lines", ["ecs"], indirect=True)
@pytest.mark.parametrize("form", [flat, nested], ids=["dotted", "nested"])
def test_each_field_of_a_line_has_the_type_that_ecs_has(elasticsearch, stream, abilities, lines, form):
    for line in lines:
        create(elasticsearch, stream, form(line), line["event.id"])

    types, wanted = types_of(elasticsearch, stream), ecs_types() | {"tracking_id": "keyword"}
    names = names_of(lines)
    assert {"error.stack_trace", "http.response.status_code", "event.duration", "source.ip", "labels.order", "labels.dropped"} <= names
    assert len(types.keys() & names) > 45
    for name in names:
        of = "keyword" if is_label(name) else wanted[name]
        assert types[name] == expected(of, abilities), name
    assert elasticsearch.count(stream) == len(lines)


@pytest.mark.parametrize("lines", ["otel"], indirect=True)
def test_each_field_of_a_line_in_the_schema_otel_has_a_type(elasticsearch, stream, abilities, lines):
    for line in lines:
        create(elasticsearch, stream, line, line["attributes"]["log.record.uid"])

    types = types_of(elasticsearch, stream)
    names = names_of(lines)
    assert {"body", "trace_id", "severity_number", "attributes.http.route", "attributes.exception.stacktrace"} <= names
    for name in names & OTEL.keys():
        assert types[name] == expected(OTEL[name]["type"], abilities), name
    assert types["attributes.order"] == types["attributes.note"] == "keyword"
    trace_id = next(line["trace_id"] for line in lines if "trace_id" in line)
    tracked = sum(line.get("tracking_id") == TRACKING_ID for line in lines)
    for query in (f"trace.id:{trace_id}", "tracking_id:order\\-1742", "labels.tracking_id:order\\-1742"):
        assert found(elasticsearch, stream, query) == tracked >= 3, query
    assert found(elasticsearch, stream, "resource.service.name:orders") == len(lines)
    assert found(elasticsearch, stream, "message:looking") == 1


@pytest.mark.parametrize("lines", ["flat"], indirect=True)
def test_the_names_of_the_schema_flat_can_be_searched_as_they_are(elasticsearch, stream, abilities, lines):
    for line in lines:
        create(elasticsearch, stream, line)

    types = types_of(elasticsearch, stream)
    assert {name: types[name] for name in lines[0]} == {
        "@timestamp": "date",
        **dict.fromkeys(("level", "name", "processName", "tracking_id", "loc", "func"), "keyword"),
        "message": "text",
    }
    tracked = sum(line["tracking_id"] == TRACKING_ID for line in lines)
    for query in ("tracking_id:order\\-1742", "labels.tracking_id:order\\-1742", "http.request.id:order\\-1742"):
        assert found(elasticsearch, stream, query) == tracked >= 3, query
    for query in (
        "level:WARNING",
        "name:trackline.access",
        "func:order AND level:WARNING",
        "message:looking",
        "processName:MainProcess",
    ):
        assert found(elasticsearch, stream, query) >= 1, query


def test_each_field_of_ecs_has_its_type_whoever_writes_it(elasticsearch, abilities):
    left_out = {"@timestamp", "http.request.id", "data_stream.type", "data_stream.dataset", "data_stream.namespace"}
    names = [name for name, of in ecs_types().items() if of in VALUES and name not in left_out]
    assert len(names) > 2400
    chunk = 500  # an index has room for a thousand fields
    for start in range(0, len(names), chunk):
        stream = f"logs-ecs{start}-{secrets.token_hex(4)}"
        mine = names[start : start + chunk]
        create(elasticsearch, stream, {name: VALUES[ecs_types()[name]] for name in mine})
        types = types_of(elasticsearch, stream)
        wrong = {name: types.get(name) for name in mine if types.get(name) != expected(ecs_types()[name], abilities)}
        assert wrong == {}


def test_what_shippers_add_has_its_type(elasticsearch, stream, abilities):
    create(elasticsearch, stream, {"log": {"offset": 7, "file": {"path": "/var/log/orders.log"}}, "input": {"type": "filestream"}})

    types = types_of(elasticsearch, stream)
    assert {name: types[name] for name in SHIPPERS} == {name: of["type"] for name, of in SHIPPERS.items()}
    assert types["log.file.path"] == "keyword"


def test_the_aliases_find_what_the_tracking_id_finds(elasticsearch, stream, abilities):
    create(elasticsearch, stream, {"tracking_id": "a-1", "labels": {"order": 7}})
    create(elasticsearch, stream, {"tracking_id": "a-2", "labels.order": 7})

    for name in ("tracking_id", "labels.tracking_id", "http.request.id"):
        assert found(elasticsearch, stream, f"{name}:a\\-1") == 1, name
    assert found(elasticsearch, stream, '"a-2"') == 1  # typed as it is, with no field
    assert found(elasticsearch, stream, "labels.order:7") == 2


DEEP: dict = {}
_place = DEEP
for _ in range(60):
    _place["a"] = _place = {}
_place["z"] = 1

HOSTILE = {
    "a text where others have an object": [
        {"error.type": "X"},
        {"error": "boom"},
        {"http": "x", "http.version": "2"},
        {"service": "x"},
        {"span": "x"},
    ],
    "an object where others have a text": [{"message": "x"}, {"message": {"a": 1, "b": "two"}}, {"tracking_id": {"a": 1}}],
    "lists in lists": [{"message": ["a", ["b"], 1]}, {"labels": {"q": [[[["x"]]]]}}],
    "labels that are no object": [{"labels": "x"}, {"labels": ["x", 1]}, {"labels": None}],
    "labels with objects": [{"labels": {"a": {"b": 1}, "c": "x"}}, {"labels": {"a": "y", "c": {"d": 1}}}],
    "labels with lists of objects": [{"labels": {"q": [{"a": 1}, {"a": "b"}, "c"]}}],
    "labels of other types than before": [
        {"labels.n": 1},
        {"labels.n": "x"},
        {"labels.n": True},
        {"labels.n": 1.5},
        {"labels.n": None},
    ],
    "attributes of other types than before": [{"attributes": {"n": 1}}, {"attributes": {"n": "x"}}, {"attributes": {"n": {"z": True}}}],
    "booleans and texts": [{"attributes": {"k": True}}, {"attributes": {"k": "x"}}, {"attributes": {"k": [1, "y"]}}],
    "no numbers": [{"event.duration": "soon"}, {"log": {"origin.file.line": "seven"}}, {"process.pid": {"a": 1}}],
    "numbers too large": [{"event.duration": 2**70}, {"attributes": {"big": 2**70}}, {"severity_number": 300}],
    "no addresses": [{"client.ip": "nope"}, {"source": {"ip": "300.1.1.1"}}, {"source.ip": 7}],
    "no dates": [{"event.start": "tomorrow"}, {"event": {"ingested": "x", "end": {"a": 1}}}, {"timestamp": "22.11.2026"}],
    "dots and nothing as names": [{"attributes": {".a": 1, "b.": 2, "c..d": 3, ".": 4, "": 5, " ": 6}}, {"labels": {"": 1, ".": 2}}],
    "forty objects deep": [{"attributes": DEEP}],
    "a name of 40,000 letters": [{"labels": {"k" * 40_000: 1}}, {"k" * 40_000: "x"}],
    "lists of several types": [
        {"labels": {"m": ["x", 1, True, 1.5]}},
        {"labels": ["x", 1]},
        {"attributes": {"k": [1, "y", None, {"a": 1}]}},
    ],
    "values of 200 KB": [{"labels": {"v": "x" * 200_000}}, {"error.type": "y" * 200_000}, {"tracking_id": "z" * 200_000}],
    "messages of 200 KB": [{"message": "m" * 200_000}, {"message": "é" * 100_000}, {"error.stack_trace": "s\n" * 100_000}],
    "characters that are none": [{"labels": {"nul": "a\x00b\ufffd\uffff"}, "message": "a\x00b\u2028\U0010ffff"}],
}


@pytest.mark.parametrize("documents", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("order", [1, -1], ids=["", "backwards"])
def test_what_does_not_fit_is_stored_all_the_same(elasticsearch, stream, abilities, documents, order):
    for number, document in enumerate(documents[::order]):
        create(elasticsearch, stream, {"service.name": f"s{number}", **document}, f"id-{number}")

    hits = elasticsearch.search(stream, {"match_all": {}})
    assert {hit["_id"]: hit["_source"] for hit in hits} == {
        f"id-{number}": {"@timestamp": TIME, "service.name": f"s{number}", **document}
        for number, document in enumerate(documents[::order])
    }
    for number in range(len(documents)):
        assert found(elasticsearch, stream, f"service.name:s{number}") == 1


def variant(node, **template):
    """Install a template which is ours and more; give the name of a data stream that it covers."""
    name = f"variant{secrets.token_hex(4)}"
    ours = node.request("GET", "/_index_template/trackline-logs")["index_templates"][0]["index_template"]
    body = ours | {"index_patterns": [f"logs-{name}-*"], "priority": 160, "template": template, "_meta": {"of": "tests"}}
    node.request("PUT", f"/_index_template/{name}", body)
    return f"logs-{name}-default"


def test_in_the_index_mode_for_logs_everything_is_stored_too(elasticsearch, abilities):
    """Elasticsearch 9 takes it for `logs-*-*` of itself."""
    stream = variant(elasticsearch, settings={"index.mode": "logsdb"})
    documents = [document for documents in HOSTILE.values() for document in documents]
    for number, document in enumerate(documents):
        create(elasticsearch, stream, {"service.name": f"s{number}", **document})

    settings = next(iter(elasticsearch.request("GET", f"/{stream}/_settings").values()))
    assert settings["settings"]["index"]["mode"] == "logsdb"
    assert elasticsearch.count(stream) == len(documents)


def test_lines_of_one_millisecond_are_in_order_with_nanoseconds(elasticsearch, abilities):
    stream = variant(elasticsearch, mappings={"properties": {"@timestamp": {"type": "date_nanos", "ignore_malformed": False}}})
    for micro in (7, 3, 9, 1):
        create(elasticsearch, stream, {"@timestamp": f"2026-11-22T14:40:01.12345{micro}Z"})

    hits = elasticsearch.search(stream, {"match_all": {}}, sort=["@timestamp"])
    assert [hit["_source"]["@timestamp"][-2] for hit in hits] == ["1", "3", "7", "9"]


def test_ten_thousand_labels_explode_nothing(elasticsearch, stream, abilities):
    labels = {f"k{number}": number for number in range(10_000)}
    create(elasticsearch, stream, {"tracking_id": "many", "labels": labels})
    create(elasticsearch, stream, {"tracking_id": "after", "labels": {"new": "x"}, "error.type": "X"})

    mapping = next(iter(elasticsearch.request("GET", f"/{stream}/_mapping").values()))["mappings"]["properties"]
    assert len(mapping) <= 1000
    assert elasticsearch.search(stream, {"term": {"tracking_id": "many"}})[0]["_source"]["labels"] == labels
    for query, number in {
        "tracking_id:many": 1,
        "labels.k3:3": 1,
        "tracking_id:after": 1,
        "error.type:X": 1,
        "labels.k9999:9999": 0,
    }.items():
        assert found(elasticsearch, stream, query) == number, query
    assert found(elasticsearch, stream, "_ignored:labels.k9999") == 1


def test_documents_that_each_have_another_label_explode_nothing(elasticsearch, stream, abilities):
    create(elasticsearch, stream, {"labels": {f"k{number}": number for number in range(2_000)}})
    rows = []
    for number in range(5_000):
        rows += [
            json.dumps({"create": {}}),
            json.dumps({"@timestamp": TIME, "tracking_id": f"t{number}", "labels": {f"n{number}": number}}),
        ]
    answer = elasticsearch.http.post(
        f"/{stream}/_bulk", content="\n".join(rows) + "\n", headers={"content-type": "application/x-ndjson"}
    )

    assert answer.json()["errors"] is False
    assert elasticsearch.count(stream) == 5_001
    assert found(elasticsearch, stream, "tracking_id:t4999") == 1


def test_places_are_points_on_a_map(elasticsearch, stream, abilities):
    create(elasticsearch, stream, {"client": {"geo": {"location": {"lat": 52.5, "lon": 13.4}}}, "server.geo.location": "52.5,13.4"})

    types = types_of(elasticsearch, stream)
    assert types["client.geo.location"] == types["server.geo.location"] == "geo_point"


def test_a_trace_that_is_a_text_is_refused(elasticsearch, stream, abilities):
    """The price of finding lines of the schema otel by trace.id."""
    refused = create(elasticsearch, stream, {"trace": "x"}, status=400)

    assert "copy_to" in refused["error"]["reason"]


def test_only_what_writes_to_an_alias_is_refused(elasticsearch, stream, abilities):
    for document in ({"labels": {"tracking_id": "x"}}, {"http.request.id": "x"}):
        refused = create(elasticsearch, stream, document, status=400)
        assert "Cannot write to a field alias" in refused["error"]["reason"]


def test_a_line_that_comes_twice_is_stored_once(elasticsearch, stream, abilities):
    create(elasticsearch, stream, {"message": "first"}, "9f3c02d1e7b4-1")
    create(elasticsearch, stream, {"message": "second"}, "9f3c02d1e7b4-1", status=409)

    assert [hit["_source"]["message"] for hit in elasticsearch.search(stream, {"match_all": {}})] == ["first"]


@pytest.mark.parametrize(
    "document", [one for documents in HOSTILE.values() for one in documents], ids=lambda document: str(document)[:30]
)
def test_the_dead_letters_take_anything(elasticsearch, abilities, document):
    stream = "logs-trackline.deadletter-hostile"
    of = secrets.token_hex(8)
    create(elasticsearch, stream, {"labels": {"tracking_id": "x"}, "http.request.id": 7, **document}, of)

    properties = next(iter(elasticsearch.request("GET", f"/{stream}/_mapping").values()))["mappings"]["properties"]
    assert len(properties) == 11  # nothing is added to them
    assert elasticsearch.count(stream, {"ids": {"values": [of]}}) == 1


def test_a_dead_letter_is_found_by_the_text_of_its_line(elasticsearch, abilities):
    stream = f"logs-trackline.deadletter-{secrets.token_hex(4)}"
    line = json.dumps({"tracking_id": "order-1742", "labels": {"tracking_id": "x"}})
    create(elasticsearch, stream, {"message": line, "error.message": "Cannot write to a field alias", "error.type": "400"})

    assert found(elasticsearch, stream, '"order-1742"') == 1
    assert found(elasticsearch, stream, "error.message:alias") == 1
