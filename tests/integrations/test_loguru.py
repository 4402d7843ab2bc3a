"""loguru: the IDs in its records, its records in our file."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loguru import logger

from integrations.log_lines import lines, tracer  # noqa: F401  (a fixture)
from trackline import close_log_queue, setup_logger, use_tracking_id
from trackline.context import current_span_ids
from trackline.identity import derive_trace_id
from trackline.integrations import loguru as integration
from trackline.logs import setup
from trackline.logs.foreign import line_handlers


@pytest.fixture(autouse=True)
def untouched():
    logger.remove()
    yield
    logger.remove()
    integration.uninstrument()
    logger._core.patcher = None


@pytest.fixture
def records():
    """Give the records that a sink of the user's gets."""
    found = []
    logger.add(lambda message: found.append(message.record), format="{extra[tracking_id]} {message}", catch=False)
    return found


def test_a_record_carries_the_ids(records):
    integration.instrument()
    with use_tracking_id("abc"):
        logger.info("without a span")
        with tracer.start_as_current_span("work") as span:
            logger.info("with one")
    logger.info("outside")

    context = span.get_span_context()
    assert [record["extra"] for record in records] == [
        {"tracking_id": "abc", "trace_id": derive_trace_id("abc"), "span_id": None},
        {"tracking_id": "abc", "trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"},
        {"tracking_id": None, "trace_id": None, "span_id": None},
    ]


def test_formats_of_the_user_may_name_it():
    integration.instrument()
    found = []
    logger.add(found.append, format="[{extra[tracking_id]}] {message}")
    with use_tracking_id("abc"):
        logger.info("paid {}", 5)

    assert found == ["[abc] paid 5\n"]


def test_what_the_user_has_bound_stays(records):
    integration.instrument()
    with use_tracking_id("abc"):
        logger.bind(tracking_id="mine", user=7).info("bound")

    assert records[0]["extra"]["tracking_id"] == "mine"
    assert records[0]["extra"]["user"] == 7


def test_another_patcher_works_before_and_is_there_again_afterwards(records):
    def patcher(record):
        record["extra"]["of_user"] = 1

    logger.configure(patcher=patcher)
    integration.instrument()
    integration.instrument()
    with use_tracking_id("abc"):
        logger.info("patched")
    assert records[0]["extra"]["of_user"] == 1
    assert records[0]["extra"]["tracking_id"] == "abc"

    integration.uninstrument()
    assert logger._core.patcher is patcher


def test_uninstrumented_under_somebody_elses_patcher_it_does_nothing_more():
    found = []
    logger.add(lambda message: found.append(message.record["extra"]))
    integration.instrument()
    ours = logger._core.patcher

    def around(record):
        ours(record)

    logger.configure(patcher=around)
    integration.uninstrument()
    assert logger._core.patcher is around
    with use_tracking_id("abc"):
        logger.info("patched")
        integration.instrument()
        logger.info("patched again")

    assert found[0] == {}
    assert found[1]["tracking_id"] == "abc"


def test_a_record_becomes_a_line_with_everything_that_loguru_knows(lines):  # noqa: F811
    lines.set_up()
    integration.add_sink()
    then = datetime(2026, 11, 22, 14, 40, 1, 123456, UTC)
    logger.configure(patcher=lambda record: record.update(time=then))
    with use_tracking_id("abc"), logger.contextualize(order=17):
        logger.bind(user="u7").success("paid {amount} of {}", 10, amount=5)

    line = lines.one()
    assert line["message"] == "paid 5 of 10"
    assert line["tracking_id"] == "abc"
    assert line["trace.id"] == derive_trace_id("abc")
    assert line["log.level"] == "success"
    assert line["log.logger"] == __name__
    assert line["@timestamp"] == "2026-11-22T14:40:01.123456Z"
    assert line["log.origin.file.name"] == "test_loguru.py"
    assert "logger.bind" in Path(__file__).read_text().splitlines()[line["log.origin.file.line"] - 1]
    assert line["log.origin.function"] == "test_a_record_becomes_a_line_with_everything_that_loguru_knows"
    assert line["process.thread.name"] == "MainThread"
    assert line["labels"] == {"user": "u7", "order": 17, "amount": 5}


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_lines_are_in_the_schema_of_the_set_up(lines, schema):  # noqa: F811
    lines.set_up(schema)
    integration.instrument()
    integration.add_sink()
    with use_tracking_id("abc"), tracer.start_as_current_span("work"):
        trace_id, span_id, _ = current_span_ids()
        logger.bind(user="u7").warning("paid")

    line = lines.one()
    assert line["tracking_id"] == "abc"
    expected = {
        "ecs": {"message": "paid", "log.level": "warning", "trace.id": trace_id, "span.id": span_id, "labels": {"user": "u7"}},
        "otel": {"body": "paid", "severity_text": "WARN", "trace_id": trace_id, "span_id": span_id},
        "flat": {"message": "paid", "level": "WARNING"},
    }[schema]
    assert {name: line[name] for name in expected} == expected
    assert "tracking_id" not in line.get("attributes", {})


def test_an_exception_has_its_type_message_and_stack(lines):  # noqa: F811
    lines.set_up()
    integration.add_sink()
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("failed: {}", 7)

    line = lines.one()
    assert (line["message"], line["error.type"], line["error.message"]) == ("failed: 7", "KeyError", "'lost'")
    assert "test_loguru.py" in line["error.stack_trace"]
    assert "raise KeyError" in line["error.stack_trace"]


def test_extras_of_any_name_and_kind_break_nothing(lines):  # noqa: F811
    lines.set_up()
    integration.add_sink()
    with use_tracking_id("abc"):
        logger.bind(name="n", args=(1,), message="m", msg=2, tracking_id="mine", extra_name="x", value=float("nan")).info(
            "100 % {}", "sure"
        )

    line = lines.one()
    assert line["message"] == "100 % sure"
    assert line["tracking_id"] == "abc"
    assert line["labels"]["extra_extra_name"] == "n"
    assert line["labels"]["extra_name"] == "x"
    assert line["labels"]["extra_message"] == "m"
    assert line["labels"]["extra_tracking_id"] == "mine"


def test_levels_of_the_sink_and_of_the_user(lines):  # noqa: F811
    lines.set_up()
    integration.add_sink("WARNING")
    logger.info("not this")
    logger.log(35, "a number")
    [handler] = line_handlers("")
    handler.setLevel(logging.ERROR)
    logger.warning("not this either")

    line = lines.one()
    assert line["message"] == "a number"


def test_a_sink_is_removed_by_its_number(lines):  # noqa: F811
    lines.set_up()
    number = integration.add_sink()
    logger.remove(number)
    logger.info("not this")

    assert lines.read() == []


def test_where_logging_is_sent_to_loguru_there_is_no_circle(lines):  # noqa: F811
    class Intercept(logging.Handler):
        def emit(self, record):
            logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())

    lines.set_up()
    integration.add_sink()
    handler = Intercept()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        logger.info("of loguru")
        logging.getLogger("of.logging").info("of logging")
    finally:
        root.removeHandler(handler)

    messages = [line["message"] for line in lines.read()]
    assert messages == ["of loguru", "of logging", "of logging"]


@pytest.fixture
def own_file(tmp_path):
    """Set up the logger of this module's name with a file of its own; give a function that ends it and reads the file."""
    made = setup_logger(__name__, log_dir=tmp_path, enable_console=False)

    def read():
        close_log_queue()
        [path] = tmp_path.glob("*.log")
        return path.read_text("utf-8")

    yield read
    close_log_queue()
    setup._loggers.pop(__name__)
    made.handlers.clear()
    made.filters.clear()
    made.setLevel(logging.NOTSET)
    made.propagate = True


def test_the_logger_of_the_same_name_has_it_in_its_own_file(own_file):
    integration.add_sink()
    with use_tracking_id("abc"):
        logger.info("paid")

    text = own_file()
    assert '"message": "paid"' in text
    assert '"tracking_id": "abc"' in text


def test_with_no_set_up_it_is_said_once(capsys, monkeypatch):
    monkeypatch.setattr(integration, "_is_lost", False)
    integration.add_sink()
    logger.info("lost")
    logger.info("lost")

    assert capsys.readouterr().err.count("go nowhere") == 1


async def test_tasks_at_once_have_each_its_own_id(lines):  # noqa: F811
    lines.set_up()
    integration.add_sink()

    async def work(number):
        with use_tracking_id(f"id-{number}"):
            await asyncio.sleep(0)
            logger.info("{}", number)

    await asyncio.gather(*map(work, range(20)))

    assert {(line["tracking_id"], line["message"]) for line in lines.read()} == {(f"id-{n}", str(n)) for n in range(20)}
