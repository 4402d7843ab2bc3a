"""Handlers of others see the ID on every record, and logging is as before when it is undone."""

from __future__ import annotations

import io
import logging
import warnings

import pytest
import sentry_sdk
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from sentry_sdk.transport import Transport

from trackline import use_tracking_id
from trackline.logs.stamping import stamp_records


@pytest.fixture
def stamped():
    undo = stamp_records()
    yield
    undo()


@pytest.fixture
def logger():
    made = logging.getLogger("stamped.child")
    made.setLevel(logging.INFO)
    yield made
    made.handlers.clear()
    made.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("stamped")
def test_every_record_of_every_logger_has_it(logger, caplog):
    with use_tracking_id("abc"):
        logger.info("inside")
        logging.getLogger().warning("root")
    logger.info("outside")

    assert [record.tracking_id for record in caplog.records] == ["abc", "abc", None]


@pytest.mark.usefixtures("stamped")
def test_an_extra_of_that_name_is_not_refused_and_wins(logger, caplog):
    with use_tracking_id("abc"):
        logger.info("paid", extra={"tracking_id": "mine"})

    assert [record.tracking_id for record in caplog.records] == ["mine"]


@pytest.mark.usefixtures("stamped")
def test_a_record_factory_of_the_applications_is_kept(logger, caplog):
    class Record(logging.LogRecord):
        mine = True

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Record)
    try:
        with use_tracking_id("abc"):
            logger.info("x")
    finally:
        logging.setLogRecordFactory(before)

    assert (caplog.records[0].mine, caplog.records[0].tracking_id) == (True, "abc")


def test_undone_it_is_as_before(logger, caplog):
    original = logging.Logger.makeRecord
    stamp_records()()
    logger.info("x")

    assert logging.Logger.makeRecord is original
    assert not hasattr(caplog.records[0], "tracking_id")


def test_undone_in_any_order(logger, caplog):
    original = logging.Logger.makeRecord
    first, second = stamp_records(), stamp_records()
    first()
    with use_tracking_id("abc"):
        logger.info("one")
    second()
    logger.info("two")
    logging.Logger.makeRecord = original

    assert caplog.records[0].tracking_id == "abc"
    assert not hasattr(caplog.records[1], "tracking_id")


@pytest.mark.usefixtures("stamped")
def test_otels_handler_exports_it(logger):
    from opentelemetry.instrumentation.logging.handler import LoggingHandler

    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger.addHandler(LoggingHandler(logger_provider=provider))
    with use_tracking_id("abc"):
        logger.info("paid")

    [exported] = exporter.get_finished_logs()
    assert exported.log_record.attributes["tracking_id"] == "abc"
    provider.shutdown()


@pytest.mark.usefixtures("stamped")
def test_sentrys_event_has_it(logger):
    events = []

    class Keeping(Transport):
        def capture_envelope(self, envelope):
            events.append(envelope.get_event())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = sentry_sdk.Client(dsn="http://key@127.0.0.1:9/1", transport=Keeping, auto_enabling_integrations=False)
    with sentry_sdk.new_scope() as scope, use_tracking_id("abc"):
        scope.set_client(client)
        logger.error("declined")
    client.close()

    assert [event["extra"]["tracking_id"] for event in events if event] == ["abc"]


@pytest.mark.usefixtures("stamped")
def test_a_format_of_the_applications_own_may_name_it(logger):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(tracking_id)s %(message)s"))
    logger.addHandler(handler)
    with use_tracking_id("abc"):
        logger.info("paid")
    logger.info("outside")

    assert stream.getvalue() == "abc paid\nNone outside\n"
