"""The pieces for handlers of others: TrackingIDFilter and JSONFormatter; and which IDs a line has in and out of spans."""

import io
import json
import logging
import os
import queue
from logging.handlers import QueueHandler, QueueListener

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from logs.reading import line_of, make_record
from trackline import TRACKING_ID, JSONFormatter, TrackingIDFilter, use_tracking_id
from trackline.context import IDENTITY, OTEL_KEY
from trackline.identity import Identity, derive_trace_id

PARENT = trace.SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_remote=True, trace_flags=trace.TraceFlags(1))


@pytest.fixture
def logger():
    return logging.Logger("app")  # noqa: LOG001


@pytest.fixture
def stream(logger):
    """Give what the logger's stream handler writes; its format has the tracking ID."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(tracking_id)s %(message)s"))
    logger.addHandler(handler)
    return handler.stream


@pytest.mark.parametrize("where", ["logger", "handler"])
def test_filter_puts_the_tracking_id_on_each_record(where, logger, stream):
    (logger if where == "logger" else logger.handlers[0]).addFilter(TrackingIDFilter())
    logger.info("outside")
    with use_tracking_id("order-1"):
        logger.info("inside")

    assert stream.getvalue() == "None outside\norder-1 inside\n"


def test_filter_leaves_what_is_on_the_record_where_there_is_no_request(logger, stream):
    logger.addFilter(TrackingIDFilter())
    logger.info("passed on", extra={"tracking_id": "order-1"})

    assert stream.getvalue() == "order-1 passed on\n"


@pytest.mark.parametrize("name", ["flat", "ecs", "otel"])
def test_record_is_left_as_it_was_for_other_handlers(name):
    items = {"password": "secret", "number": [4111111111111111]}
    record = make_record("paid %s", ("twice",), exc_info=ValueError("no money"), items=items, token="abc")
    record.tracking_id = "of another"
    before, args = dict(vars(record)), record.args
    with use_tracking_id("order-1"):
        line_of(record, name)

    assert vars(record) == before
    assert record.args is args
    assert items == {"password": "secret", "number": [4111111111111111]}


@pytest.mark.parametrize("schema", ["flat", "ecs", "otel"])
def test_formatter_makes_the_line_for_a_handler_of_others(schema, logger, stream):
    logger.handlers[0].setFormatter(JSONFormatter(schema, service_name="orders"))
    with use_tracking_id("order-1"):
        logger.info("paid %d", 5)

    line = json.loads(stream.getvalue())
    assert stream.getvalue().endswith("}\n")
    assert line["tracking_id"] == "order-1"
    assert line.get("message", line.get("body")) == "paid 5"


def test_formatter_gives_the_origins_format_unless_told_otherwise():
    assert list(json.loads(JSONFormatter().format(make_record()))) == [
        "@timestamp",
        "level",
        "name",
        "processName",
        "tracking_id",
        "loc",
        "func",
        "message",
    ]


def test_formatter_refuses_a_schema_that_there_is_not():
    with pytest.raises(ValueError, match=r"schema='xml': expected one of 'ecs', 'otel', 'flat'"):
        JSONFormatter("xml")


@pytest.mark.parametrize("where", ["logger", "queue handler"])
def test_tracking_id_passes_through_queue_handler_and_listener(where, logger, stream):
    lines = queue.SimpleQueue()
    [out] = logger.handlers
    out.setFormatter(JSONFormatter("ecs"))
    out.addFilter(TrackingIDFilter())  # in the listener's thread, where there is no request
    logger.handlers = [QueueHandler(lines)]
    (logger if where == "logger" else logger.handlers[0]).addFilter(TrackingIDFilter())
    listener = QueueListener(lines, out)
    listener.start()
    with use_tracking_id("order-1"):
        logger.info("paid %d", 5)
    listener.stop()

    line = json.loads(stream.getvalue())
    assert (line["tracking_id"], line["message"]) == ("order-1", "paid 5")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_formatter_has_another_nonce_in_a_forked_child():
    formatter = JSONFormatter("ecs")
    mine = json.loads(formatter.format(make_record()))["event.id"]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, json.loads(formatter.format(make_record()))["event.id"].encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)

    assert mine.endswith("-1")
    assert theirs.endswith("-1")
    assert theirs != mine


def in_span(span, name="ecs"):
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        return line_of(make_record(), name)
    finally:
        otel_context.detach(token)


def test_line_inside_a_span_has_its_ids():
    with TracerProvider().get_tracer("t").start_as_current_span("pay") as span:
        ecs, otel = line_of(make_record()), line_of(make_record(), "otel")

    context = span.get_span_context()
    assert (ecs["trace.id"], ecs["span.id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert (otel["trace_id"], otel["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert otel["trace_flags"] == f"{context.trace_flags:02x}"
    assert int(otel["trace_flags"], 16) & trace.TraceFlags.SAMPLED


def test_line_inside_a_span_that_is_not_sampled_says_so():
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("t").start_as_current_span("pay"):
        otel = line_of(make_record(), "otel")

    assert not int(otel["trace_flags"], 16) & trace.TraceFlags.SAMPLED
    assert "span_id" in otel


def test_line_after_the_span_has_the_trace_of_the_request_and_no_span():
    with TracerProvider().get_tracer("t").start_as_current_span("pay") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        TRACKING_ID.set("order-1")
        IDENTITY.set(Identity("order-1", trace_id))
        inside = line_of(make_record())
    after = line_of(make_record())

    assert "span.id" in inside
    assert "span.id" not in after
    assert inside["trace.id"] == after["trace.id"] == trace_id


def test_line_with_only_a_remote_parent_has_its_trace_and_no_span():
    line = in_span(trace.NonRecordingSpan(PARENT))

    assert line["trace.id"] == f"{PARENT.trace_id:032x}"
    assert "span.id" not in line


def test_line_with_no_span_has_the_trace_that_is_derived_from_the_tracking_id():
    with use_tracking_id("order-1"):
        line = line_of(make_record())

    assert line["trace.id"] == derive_trace_id("order-1")
    assert "span.id" not in line


def test_line_with_an_invalid_span_and_no_request_has_neither():
    line = in_span(trace.INVALID_SPAN)

    assert not {"trace.id", "span.id", "tracking_id"} & set(line)


def test_line_has_the_tracking_id_of_otels_context_where_there_is_no_other():
    token = otel_context.attach(otel_context.set_value(OTEL_KEY, "order-1"))
    try:
        assert line_of(make_record())["tracking_id"] == "order-1"
        assert json.loads(JSONFormatter().format(make_record()))["tracking_id"] == "order-1"
    finally:
        otel_context.detach(token)


def test_span_that_raises_does_not_cost_the_line():
    class Broken(trace.NonRecordingSpan):
        def get_span_context(self):
            raise RuntimeError

    with use_tracking_id("order-1"):
        line = in_span(Broken(PARENT))

    assert (line["tracking_id"], line["message"]) == ("order-1", "paid")


def test_fields_that_otels_logging_instrumentation_adds_are_not_said_twice():
    record = make_record(otelTraceID="a", otelSpanID="b", otelTraceSampled=True, otelServiceName="c", color_message="d")
    record.taskName = "Task-1"  # Python 3.12 has it, and refuses it as an extra

    assert "labels" not in line_of(record)
