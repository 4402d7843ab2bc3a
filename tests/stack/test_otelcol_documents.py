"""config.yaml: from a file, or from OpenTelemetry's SDK, to a document in Elasticsearch, field by field."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets

import pytest

from stack.otlp import read, write
from stack.processes import wait_for
from stack.shippers import Otelcol
from trackline.demo.client import send
from trackline.demo.files import read_all, wait_for_lines, wait_until_up
from trackline.demo.processes import Services
from trackline.demo.scenes import ten_scenes

DEADLETTER = "logs-trackline.deadletter-{}"


@pytest.fixture
def namespace():
    """Give a namespace of this test's own: data streams cannot be deleted from this node."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def ship(otelcol, tmp_path, prepared, namespace):
    """Have the Collector run on a folder until so many documents are stored in a data stream; give them."""

    def ship(stream, count, logs=tmp_path / "logs"):
        environment = {"TRACKLINE_NAMESPACE": namespace}
        with Otelcol(otelcol, logs, prepared.url, tmp_path / "otelcol", environment=environment) as shipper:
            wait_for(lambda: prepared.count(stream) >= count, 60, lambda: f"{prepared.count(stream)} of {count}: {shipper.log()}", 0.2)
        assert prepared.count(stream) == count
        return prepared.search(stream, {"match_all": {}}, size=1000)

    return ship


def exact(value):
    """Give a value so that 1, 1.0 and True differ."""
    return json.dumps(value, sort_keys=True)


def found(node, stream, **terms):
    """Give the _ids of the documents with a value in a field."""
    (field, value), *_ = terms["of"].items()
    return {hit["_id"] for hit in node.search(stream, {"term": {field: value}})}


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_a_document_is_the_line_under_its_own_number(schema, ship, tmp_path, namespace):
    lines = write(tmp_path / "logs", schema)
    hits = ship(f"logs-order_desk-{namespace}", len(lines))
    expected = {line.get("event.id") or line["attributes"]["log.record.uid"]: line for line in lines}
    if schema == "otel":
        expected = {name: {"@timestamp": line["timestamp"], **line} for name, line in expected.items()}

    assert {hit["_id"]: exact(hit["_source"]) for hit in hits} == {name: exact(line) for name, line in expected.items()}


def test_a_flat_line_is_a_document_with_the_names_of_the_origin(ship, tmp_path, namespace):
    lines = write(tmp_path / "logs", "flat")
    hits = ship(f"logs-trackline-{namespace}", len(lines))

    assert sorted(exact(hit["_source"]) for hit in hits) == sorted(map(exact, lines))


@pytest.mark.parametrize(("schema", "service"), [("ecs", "order_desk"), ("otel", "order_desk"), ("flat", "trackline")])
def test_a_story_is_found_by_its_id_and_its_aliases(schema, service, ship, tmp_path, prepared, namespace):
    lines = write(tmp_path / "logs", schema)
    stream = f"logs-{service}-{namespace}"
    ship(stream, len(lines))
    by_id = found(prepared, stream, of={"tracking_id": "order-1742"})

    assert len(by_id) == 2
    assert found(prepared, stream, of={"labels.tracking_id": "order-1742"}) == by_id
    assert found(prepared, stream, of={"http.request.id": "order-1742"}) == by_id
    if schema != "flat":  # the origin's eight keys have no trace
        trace_id = next(line.get("trace.id", line.get("trace_id")) for line in lines if line.get("tracking_id") == "order-1742")
        assert found(prepared, stream, of={"trace.id": trace_id}) == by_id


def test_a_line_read_twice_is_stored_once(ship, otelcol, tmp_path, prepared, namespace):
    lines = write(tmp_path / "logs", "flat")
    (tmp_path / "again").mkdir()
    ship(f"logs-trackline-{namespace}", len(lines))
    environment = {"TRACKLINE_NAMESPACE": namespace}
    with Otelcol(
        otelcol, tmp_path / "logs", prepared.url, tmp_path / "again", environment=environment
    ) as shipper:  # knows nothing of the first
        (tmp_path / "logs" / "last.log").write_text('{"@timestamp": "2026-11-22T14:40:01Z", "message": "last", "event.id": "last"}\n')
        wait_for(lambda: prepared.count(f"logs-trackline-{namespace}", {"term": {"event.id": "last"}}), 60, shipper.log, 0.2)
        shipper.wait_until_it_says("last.log")

    assert prepared.count(f"logs-trackline-{namespace}") == len(lines) + 1


def test_the_same_line_in_two_files_is_two_documents(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    line = '{"@timestamp": "2026-11-22T14:40:01Z", "message": "the same", "level": "INFO"}\n'
    (tmp_path / "logs" / "a.log").write_text('{"file": "a"}\n' + line + line)
    (tmp_path / "logs" / "b.log").write_text('{"file": "b"}\n' + line)

    assert len(ship(f"logs-trackline-{namespace}", 5)) == 5


def test_strangers_lines_of_one_event_are_two_documents(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    lines = [{"@timestamp": "2026-11-22T14:40:01Z", "message": text, "event.id": "order-7"} for text in ("begins", "ends")]
    (tmp_path / "logs" / "strange.log").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert sorted(hit["_source"]["message"] for hit in ship(f"logs-trackline-{namespace}", 2)) == ["begins", "ends"]


def test_a_rotated_line_keeps_its_name(otelcol, tmp_path, prepared, namespace):
    stream = f"logs-trackline-{namespace}"
    logs = tmp_path / "logs"
    write(logs, "flat", "orders")
    count = len(read(logs))
    environment = {"TRACKLINE_NAMESPACE": namespace}
    for number in range(2):  # the second knows nothing of the first, and finds the file under another name
        with Otelcol(otelcol, logs, prepared.url, tmp_path / f"otelcol{number}", environment=environment) as shipper:
            wait_for(lambda: prepared.count(stream) >= count, 60, shipper.log, 0.2)
            if number:
                (logs / "mark.log").write_text('{"@timestamp": "2026-11-22T14:40:01Z", "message": "mark", "event.id": "mark"}\n')
                wait_for(lambda: prepared.count(stream, {"term": {"event.id": "mark"}}), 60, shipper.log, 0.2)
        if not number:
            (logs / "orders.log").rename(logs / "orders.log.2026-11-21_000001")

    assert prepared.count(stream) == count + 1


def test_extras_that_are_called_like_objects_of_ecs_are_stored(ship, tmp_path, namespace):
    names = ("error", "http", "url.path", "log", "labels", "service", "tracking_id", "@timestamp")
    code = (
        f"for name in {names}: log.info('a %s', name, extra={{name: 'x'}}); log.info('b %s', name, extra={{name: {{'a': {{'b': 1}}}}}})"
    )
    lines = hostile(tmp_path, code)
    hits = ship(f"logs-hostile-{namespace}", len(lines))

    assert {hit["_source"]["message"] for hit in hits} >= {
        f"{kind} {name}" for kind in "ab" for name in ("error", "http", "@timestamp")
    }


def test_lines_that_disagree_about_a_type_are_all_stored(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    values = [1, "text", {"a": 1}, [2], True, None, "2026-11-22", {"a": {"b": "c"}}, 1.5]
    more = [{field: value} for field in ("odd", "process.pid", "http.response.status_code", "client.ip") for value in values]
    lines = [{"@timestamp": "2026-11-22T14:40:01Z", "message": str(number), **one} for number, one in enumerate(more)]
    (tmp_path / "logs" / "odd.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    hits = ship(f"logs-trackline-{namespace}", len(lines))

    assert sorted(exact(hit["_source"]) for hit in hits) == sorted(map(exact, lines))


def test_a_long_message_is_stored_whole(ship, tmp_path, namespace):
    lines = hostile(tmp_path, "log.info('ü' * 100_000)")
    hits = ship(f"logs-hostile-{namespace}", len(lines))

    assert "ü" * 100_000 in [hit["_source"]["message"] for hit in hits]


def test_ten_thousand_extras_are_one_document_as_it_was_written(ship, tmp_path, namespace):
    lines = hostile(tmp_path, "log.info('many', extra={f'key_{number}': number for number in range(10_000)})")
    hits = ship(f"logs-hostile-{namespace}", len(lines))
    stored = next(hit["_source"] for hit in hits if hit["_source"]["message"] == "many")

    assert exact(stored) == exact(next(line for line in lines if line["message"] == "many"))
    assert len(stored["labels"]) == 10_000


def hostile(tmp_path, code):
    """Run a process that logs, and give its lines."""
    import subprocess
    import sys

    program = f"""if True:
    import logging, sys, trackline
    handle = trackline.setup_logging("hostile", log_dir=sys.argv[1], console=False)
    log = logging.getLogger("app")
    exec({code!r})
    assert handle.close(30) == 0
    """
    subprocess.run([sys.executable, "-c", program, tmp_path / "logs"], check=True)
    return read(tmp_path / "logs")


def test_what_is_no_json_object_is_kept_with_its_place(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "strange.log"
    path.write_bytes(b'plain words\n[1, 2]\nbad \xff byte\n{"torn": tr\n')
    hits = ship(DEADLETTER.format(namespace), 4)
    documents = {hit["_source"]["message"]: hit["_source"] for hit in hits}

    assert documents.keys() == {"plain words", "[1, 2]", "bad \ufffd byte", '{"torn": tr'}
    one = documents["bad \ufffd byte"]
    assert (one["error.type"], one["error.message"]) == ("not_json", "the line is not a JSON object")
    assert (one["log.file.path"], one["log.offset"]) == (str(path), 19)
    assert one["@timestamp"]


def test_a_line_of_more_than_a_mebibyte_is_kept_in_parts(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    line = json.dumps({"message": "x" * 1_500_000})
    (tmp_path / "logs" / "long.log").write_text(line + "\n")
    hits = ship(DEADLETTER.format(namespace), 2)
    parts = sorted((hit["_source"] for hit in hits), key=lambda part: part["log.offset"])

    assert "".join(part["message"] for part in parts) == line


def test_half_a_line_waits_for_its_other_half(ship, otelcol, tmp_path, prepared, namespace):
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "half.log"
    path.write_text('{"message": "whole", "event.id": "a-1"}\n{"message": "ha')
    stream = f"logs-trackline-{namespace}"
    with Otelcol(
        otelcol, tmp_path / "logs", prepared.url, tmp_path / "otelcol", environment={"TRACKLINE_NAMESPACE": namespace}
    ) as shipper:
        wait_for(lambda: prepared.count(stream) == 1, 60, shipper.log, 0.2)
        (tmp_path / "logs" / "other.log").write_text('{"message": "later", "event.id": "b-1"}\n')
        wait_for(lambda: prepared.count(stream) == 2, 60, shipper.log, 0.2)  # it has looked again, and had no use for a half
        with path.open("a") as file:
            file.write('lf", "event.id": "a-2"}\n')
        wait_for(lambda: prepared.count(stream) == 3, 60, shipper.log, 0.2)

    assert prepared.count(DEADLETTER.format(namespace)) == 0
    assert {hit["_source"]["message"] for hit in prepared.search(stream, {"match_all": {}})} == {"whole", "later", "half"}


def test_a_line_without_a_usable_time_is_stored_at_the_time_of_reading(ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    texts = ['{"@timestamp": "yesterday", "message": "a"}', '{"@timestamp": 1764190000, "message": "b"}', '{"message": "c"}']
    (tmp_path / "logs" / "times.log").write_text("\n".join(texts) + "\n")
    hits = {hit["_source"]["message"]: hit["_source"] for hit in ship(f"logs-trackline-{namespace}", 3)}

    assert [hits[name].get("event.original") for name in "abc"] == [texts[0], texts[1], None]
    assert all(hits[name]["@timestamp"].startswith("20") for name in "abc")


@pytest.mark.parametrize(
    ("line", "dataset"),
    [
        ({"service.name": "Web Shop/1-a"}, "web_shop_1_a"),
        ({"service": {"name": "nested"}}, "nested"),
        ({"resource": {"service.name": "otel"}}, "otel"),
        ({"service": "a text"}, "trackline"),
        ({"service.name": ""}, "trackline"),
        ({"service.name": 5}, "trackline"),
    ],
)
def test_a_service_has_a_data_stream_of_its_own(line, dataset, ship, tmp_path, namespace):
    (tmp_path / "logs").mkdir()
    line = {"@timestamp": "2026-11-22T14:40:01Z", "message": "m", "event.id": "e-1"} | line
    (tmp_path / "logs" / "service.log").write_text(json.dumps(line) + "\n")

    assert [hit["_source"] for hit in ship(f"logs-{dataset}-{namespace}", 1)] == [line]


def test_a_record_of_the_sdk_arrives_as_a_line_would(otelcol, tmp_path, prepared, namespace):
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    import trackline

    (tmp_path / "logs").mkdir()
    stream = f"logs-sdk_svc-{namespace}"
    shipper = Otelcol(otelcol, tmp_path / "logs", prepared.url, tmp_path / "otelcol", environment={"TRACKLINE_NAMESPACE": namespace})
    with shipper:
        shipper.wait_until_up()
        provider = LoggerProvider(
            resource=Resource({"service.name": "sdk-svc", "service.version": "3", "host.name": "h1", "odd.one": "o"})
        )
        endpoint = f"http://{shipper.environment['OTELCOL_HTTP']}/v1/logs"
        provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint)))
        logger, handler = logging.getLogger("app.sdk"), LoggingHandler(logger_provider=provider, log_code_attributes=True)
        handler.addFilter(trackline.TrackingIDFilter())
        logger.addHandler(handler)
        with trackline.use_tracking_id("order-1742"), TracerProvider().get_tracer("t").start_as_current_span("s") as span:
            try:
                1 / 0  # noqa: B018
            except ZeroDivisionError:
                logger.exception("not %s", "paid", extra={"order": 7, "http.request.method": "GET", "a.b": "c", "tracking.id": "t"})
        wait_for(lambda: prepared.count(stream), 60, shipper.log, 0.2)
        provider.shutdown()
    (hit,) = prepared.search(stream, {"term": {"tracking_id": "order-1742"}})
    document = hit["_source"]
    context = span.get_span_context()
    expected = {
        "log.level": "error",
        "message": "not paid",
        "tracking_id": "order-1742",
        "trace.id": f"{context.trace_id:032x}",
        "span.id": f"{context.span_id:016x}",
        "service.name": "sdk-svc",
        "service.version": "3",
        "host.name": "h1",
        "log.logger": "app.sdk",
        "log.origin.function": "test_a_record_of_the_sdk_arrives_as_a_line_would",
        "error.type": "ZeroDivisionError",
        "error.message": "division by zero",
        "http.request.method": "GET",
        "event.severity": 17,
    }

    assert {name: document.get(name) for name in expected} == expected
    assert document["error.stack_trace"].startswith("Traceback")
    assert document["log.origin.file.name"].endswith("test_otelcol_documents.py")
    assert type(document["log.origin.file.line"]) is int
    assert document["labels"].items() >= {"order": 7, "a_b": "c", "odd_one": "o", "extra_tracking_id": "t"}.items()
    assert not [name for name in document if name.startswith(("code.", "exception.", "telemetry."))]


def test_the_fleet_of_the_demo_is_told_by_elasticsearch_as_by_its_files(otelcol, tmp_path, prepared, namespace, monkeypatch):
    for limit in ("_UP_SECONDS", "_LINES_SECONDS"):
        monkeypatch.setattr(f"trackline.demo.files.{limit}", 120.0)  # it shares the machine with a node here
    environment = {"TRACKLINE_NAMESPACE": namespace}
    streams = ",".join(f"logs-{service}-{namespace}" for service in ("gateway", "orders", "payments"))
    with Otelcol(otelcol, tmp_path / "logs", prepared.url, tmp_path / "otelcol", environment=environment):
        answers = asyncio.run(run_fleet(tmp_path))
        lines = read_all(tmp_path)
        wait_for(lambda: prepared.count(streams) >= len(lines), 60, lambda: f"{prepared.count(streams)} of {len(lines)}", 0.2)

    assert prepared.count(streams) == len(lines)
    assert len(answers) == 10
    for answer in answers:
        story = {line.event_id for line in lines if line.tracking_id == answer.tracking_id}
        traces = {line.trace_id for line in lines if line.tracking_id == answer.tracking_id}
        assert len(story) >= 3
        for field in ("tracking_id", "labels.tracking_id", "http.request.id"):
            assert found(prepared, streams, of={field: answer.tracking_id}) == story, field
        (trace_id,) = traces
        assert found(prepared, streams, of={"trace.id": trace_id}) == story


async def run_fleet(folder):
    """Send the ten requests of the demo, and end its services."""
    with Services(folder) as services:
        await wait_until_up(folder, services)
        scenes = ten_scenes()
        answers = await asyncio.gather(*(send(scene, services) for scene in scenes))
        await wait_for_lines(folder, [(scene, answer.tracking_id) for scene, answer in zip(scenes, answers, strict=True)], services)
    return answers
