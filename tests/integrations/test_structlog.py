"""structlog: the IDs in its events, its events in our file."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from integrations.log_lines import lines, tracer  # noqa: F401  (a fixture)
from trackline import use_tracking_id
from trackline.context import current_span_ids
from trackline.identity import derive_trace_id
from trackline.integrations.structlog import LoggerFactory, add_ids


@pytest.fixture(autouse=True)
def untouched():
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configure(*processors, level=logging.DEBUG, name=None, **options):
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *processors],
        logger_factory=LoggerFactory(name),
        **{"wrapper_class": structlog.make_filtering_bound_logger(level), **options},
    )
    return structlog.get_logger()


def rendered(log):
    """Give what a renderer of the user's would write."""
    output = structlog.testing.CapturingLoggerFactory()
    structlog.configure(processors=[add_ids, structlog.processors.JSONRenderer()], logger_factory=output)
    log(structlog.get_logger())
    return [json.loads(call.args[0]) for call in output.logger.calls]


def test_an_event_carries_the_ids():
    def log(logger):
        with use_tracking_id("abc"):
            logger.info("without a span", order=17)
            with tracer.start_as_current_span("work"):
                nonlocal ids
                ids = current_span_ids()
                logger.info("with one")
        logger.info("outside")

    ids = None
    first, second, third = rendered(log)

    assert first == {"event": "without a span", "order": 17, "tracking_id": "abc", "trace_id": derive_trace_id("abc")}
    assert (second["tracking_id"], second["trace_id"], second["span_id"]) == ("abc", *ids[:2])
    assert third == {"event": "outside"}


def test_what_the_user_has_bound_stays():
    def log(logger):
        with use_tracking_id("abc"):
            logger.bind(tracking_id="mine").info("bound")

    assert rendered(log)[0]["tracking_id"] == "mine"


def test_an_event_becomes_a_line(lines):  # noqa: F811
    lines.set_up()
    logger = configure()
    structlog.contextvars.bind_contextvars(user="u7")
    with use_tracking_id("abc"):
        logger.bind(order=17).warning("paid", amount=5)

    line = lines.one()
    assert line["message"] == "paid"
    assert line["tracking_id"] == "abc"
    assert line["trace.id"] == derive_trace_id("abc")
    assert line["log.level"] == "warning"
    assert line["log.logger"] == __name__
    assert line["log.origin.file.name"] == "test_structlog.py"
    assert line["log.origin.function"] == "test_an_event_becomes_a_line"
    assert line["labels"] == {"user": "u7", "order": 17, "amount": 5}


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_lines_are_in_the_schema_of_the_set_up(lines, schema):  # noqa: F811
    lines.set_up(schema)
    logger = configure(add_ids)
    with use_tracking_id("abc"), tracer.start_as_current_span("work"):
        trace_id, span_id, _ = current_span_ids()
        logger.info("paid", **{"http.request.method": "GET"})

    line = lines.one()
    assert line["tracking_id"] == "abc"
    expected = {
        "ecs": {"message": "paid", "log.level": "info", "trace.id": trace_id, "span.id": span_id, "http.request.method": "GET"},
        "otel": {"body": "paid", "severity_text": "INFO", "trace_id": trace_id, "span_id": span_id},
        "flat": {"message": "paid", "level": "INFO"},
    }[schema]
    assert {name: line[name] for name in expected} == expected
    assert "labels" not in line
    if schema == "otel":
        assert line["attributes"]["http.request.method"] == "GET"
        assert not {"tracking_id", "trace_id", "span_id"} & line["attributes"].keys()


@pytest.mark.parametrize("processors", [(), (structlog.processors.format_exc_info,)], ids=["raw", "formatted"])
def test_an_exception_has_its_stack(lines, processors):  # noqa: F811
    lines.set_up()
    logger = configure(*processors)
    try:
        raise KeyError("lost")
    except KeyError as error:
        caught = error
        logger.exception("failed")
        LoggerFactory()("raw").exception("failed")
    logger.error("failed", exc_info=caught)

    found = lines.read()
    assert len(found) == 3
    for line in found:
        assert line["message"] == "failed"
        assert line["log.level"] == "error"
        assert "raise KeyError" in line["error.stack_trace"]
        if not processors:
            assert (line["error.type"], line["error.message"]) == ("KeyError", "'lost'")
        assert "labels" not in line


def test_exc_info_with_no_exception_is_none(lines):  # noqa: F811
    lines.set_up()
    configure().info("fine", exc_info=True)

    assert not [name for name in lines.one() if name.startswith("error.")]


@pytest.mark.parametrize("processors", [(), (structlog.processors.StackInfoRenderer(),)], ids=["raw", "rendered"])
def test_a_stack_that_is_asked_for_is_there(lines, processors):  # noqa: F811
    lines.set_up()
    configure(*processors).info("here", stack_info=True)

    assert "test_a_stack_that_is_asked_for_is_there" in lines.one()["labels"]["stack_info"]


def test_key_values_of_any_name_and_kind_break_nothing(lines):  # noqa: F811
    lines.set_up()
    logger = configure()
    with use_tracking_id("abc"):
        logger.info("100 % sure", name="n", args=(1,), msg=2, message="m", levelname="x", tracking_id="mine", value=float("nan"))

    line = lines.one()
    assert line["message"] == "100 % sure"
    assert line["tracking_id"] == "abc"
    assert line["log.level"] == "info"
    assert line["labels"]["extra_name"] == "n"
    assert line["labels"]["extra_tracking_id"] == "mine"


def test_processors_of_structlogs_bridge_to_logging_may_stay(lines):  # noqa: F811
    lines.set_up()
    logger = configure(
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.CallsiteParameterAdder(
            {structlog.processors.CallsiteParameter.LINENO, structlog.processors.CallsiteParameter.FUNC_NAME}
        ),
        wrapper_class=structlog.stdlib.BoundLogger,
        name="orders",
    )
    logging.getLogger("orders").setLevel(logging.WARNING)
    try:
        logger.info("not this")
        logger.warning("%s of %d", "paid", 5)
    finally:
        logging.getLogger("orders").setLevel(logging.NOTSET)

    line = lines.one()
    assert line["message"] == "paid of 5"
    assert line["log.logger"] == "orders"
    assert line["log.origin.function"] == "test_processors_of_structlogs_bridge_to_logging_may_stay"
    assert "labels" not in line


def test_a_name_that_get_logger_is_given_is_the_loggers(lines):  # noqa: F811
    lines.set_up()
    configure()
    structlog.get_logger("billing").info("paid")

    assert lines.one()["log.logger"] == "billing"


@pytest.mark.parametrize("method", ["debug", "info", "warning", "error", "critical"])
def test_every_level_is_the_lines(lines, method):  # noqa: F811
    lines.set_up(level="DEBUG")
    getattr(configure(), method)("said")

    assert lines.one()["log.level"] == method


def test_levels_filter_on_both_sides(lines):  # noqa: F811
    lines.set_up(level="INFO")
    configure(level=logging.WARNING).info("not this")
    configure().debug("nor this")
    configure().log(logging.ERROR, "but this")

    assert lines.one()["message"] == "but this"


def test_a_renderers_text_is_the_message(lines):  # noqa: F811
    lines.set_up()
    configure(structlog.processors.KeyValueRenderer(key_order=["event", "amount"])).info("paid", amount=5)

    assert lines.one()["message"] == "event='paid' amount=5"


async def test_asynchronous_methods_keep_id_and_place(lines):  # noqa: F811
    lines.set_up()
    logger = configure()
    with use_tracking_id("abc"):
        await logger.ainfo("paid")

    line = lines.one()
    assert line["tracking_id"] == "abc"
    assert line["log.logger"] == __name__
    assert line["log.origin.function"] == "test_asynchronous_methods_keep_id_and_place"


def test_other_handlers_of_logging_see_it_too(caplog):
    caplog.set_level(logging.INFO)
    configure().info("paid", amount=5)

    [record] = caplog.records
    assert (record.getMessage(), record.amount, record.name) == ("paid", 5, __name__)
