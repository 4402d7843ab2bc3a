"""Calls that make no record: the same bytes as those that make one, and wherever anybody else would see the record, there is one."""

import contextlib
import gc
import itertools
import logging
import threading
import time
import types

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from logs.odd import ODD, Boom, Name
from logs.reading import parse, run
from logs.test_anything import Odd, real
from trackline import TRACKING_ID
from trackline.context import IDENTITY
from trackline.identity import Identity
from trackline.logs import loggers
from trackline.logs.contents import Contents
from trackline.logs.fields import ecs_fields
from trackline.logs.handler import LineHandler, TrackingIDFilter
from trackline.logs.loggers import DirectLogger, give_back_loggers, take_loggers
from trackline.logs.queue import LineQueue
from trackline.logs.resource import Resource
from trackline.logs.schema import EcsSchema, FlatSchema, OtelSchema
from trackline.redaction import DEFAULT_REDACTION, Redaction

NOW = 1_795_000_000_123_456_000  # ns


class Writer:
    is_running = True

    def close(self):
        pass

    flush = close
    is_exiting = False


class Log:
    """A logger whose lines stay in the queue; says of each whether it was made of a record."""

    def __init__(self, schema=EcsSchema, redaction=DEFAULT_REDACTION, name="shop.orders"):
        self.resource = Resource("shop", {"service.version": "1"})
        self.queue = LineQueue()
        self.handler = LineHandler(schema(self.resource, Contents(redaction)), self.queue, Writer())
        self.logger = DirectLogger(name, logging.DEBUG)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)

    def lines(self):
        """Give what was logged since, made lines of as the writer does."""
        lines = []
        while batch := self.queue.take():
            lines += batch
            batch.clear()
            self.queue.settle()
        return lines


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def records(monkeypatch):
    """The records that were made, by their messages."""
    made = []
    original = LineHandler.emit

    def emit(self, record):
        made.append(record.msg)
        original(self, record)

    monkeypatch.setattr(LineHandler, "emit", emit)
    return made


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(loggers, "time_ns", lambda: NOW)
    stopped = types.SimpleNamespace(**{**vars(time), "time": lambda: NOW / 1e9, "time_ns": lambda: NOW})
    monkeypatch.setattr(logging, "time", stopped)


def both_ways(log, call):
    """Give the line of a call, when all is known that can be kept, and that which it has by way of a record; both have one number."""
    lines = []
    call(log.logger)
    log.lines()
    for say in (loggers._say, lambda *_: False):
        log.resource.next_number = itertools.count(7).__next__
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loggers, "_say", say)
            call(log.logger)
        lines += log.lines()
    assert len(lines) == 2
    return lines


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec=None), max_size=40))
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.text(max_size=3), scalars, max_size=2),
    st.sampled_from(sorted(ODD)).map(Odd),
)
keys = st.one_of(
    st.sampled_from(
        [
            "user",
            "user_id",
            "a.b",
            "a_b",
            "labels",
            "labels.x",
            "message",
            "tracking_id",
            "password",
            "event.id",
            "",
            " ",
            "http.request.id",
        ]
    ),
    st.sampled_from(sorted(ecs_fields())),
    st.text(st.characters(codec=None), max_size=8),
)
messages = st.one_of(
    st.sampled_from(["paid", "user %s did %s", "%d of %d", "%(user)s", "100 %", "%s", "%5.1f %s"]),
    st.text(st.characters(codec=None), max_size=40),
    values,
)
EQUAL = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@EQUAL
@given(
    messages,
    st.lists(values, max_size=3),
    st.one_of(st.none(), st.dictionaries(keys, values, max_size=4), values),
    st.sampled_from([10, 20, 25, 30, 40, 50]),
)
@example("user %s did %s", [17, "login"], {"user_id": 17, "action": "login"}, 20)
@example("paid", [], {"http.request.method": "GET", "event.duration": 12, "a.b": 1, "a_b": 2}, 20)
@example("paid", [], {"note": "4111 1111 1111 1111", "card": 4111111111111111}, 20)
@example("paid", [], {"note": "Bearer abcdefghijklmnop", "x": float("nan")}, 30)
@example("half \ud800", ["\ud800"], {"x": "\ud800"}, 20)
@example("%d", ["x"], None, 20)
@example("%500000s", ["x"], None, 20)
@example("a" * 300_000, [], {"x": "b" * 300_000}, 20)
@example("paid", [], {"x": 2**70}, 20)
@example("paid to %(user)s", [{"user": 5}], None, 20)
@example("%s", [{"user": 5}], None, 20)
@example("%s and %s", [[1], {"user": 5}], None, 20)
def test_both_ways_give_the_same_bytes(clock, msg, args, extra, level):
    log = Log()

    said, given, more = real(msg), real(args), real(extra)

    def call(logger):
        try:
            logger.log(level, said, *given, extra=more)
        except (LookupError, TypeError, AttributeError, ValueError, Boom) as error:  # what logging itself refuses
            logger.log(level, "refused: %s", type(error).__name__)

    direct, by_record = both_ways(log, call)

    assert direct == by_record
    parse(direct)


@pytest.mark.parametrize(
    "value", ["x", 5, 2**64, True, None, 1.5, ["x"], [["x"]], {"x": 5}, "2026-11-22", "10.0.0.1", "Bearer abcdefghijklmn"]
)
@pytest.mark.parametrize(
    "key",
    [
        *(
            "user",
            "a.b",
            "labels",
            "labels.x",
            "labels.tracking_id",
            "http.request.id",
            "tracking_id",
            "trace.id",
            "event.id",
            "log.level",
        ),
        *("process.pid", "service.name", "event.duration", "http.response.status_code", "url.path", "client.ip", "@timestamp", "tags"),
        *(
            "process.start",
            "stack_info",
            "color_message",
            "otelTraceID",
            "taskName",
            "password",
            "error.type",
            "event.category",
            "message",
            "args",
        ),
    ],
)
def test_both_ways_give_the_same_bytes_for_an_extra_of_any_name(clock, log, key, value):
    def call(logger):
        try:
            logger.info("paid", extra={"first": 1, key: value})
        except KeyError as error:
            logger.info("refused: %s", type(error).__name__)

    with contextlib.suppress(KeyError):
        log.logger.info("paid", extra={"first": 1, key: "known from now on"})
    log.lines()
    direct, by_record = both_ways(log, call)

    assert direct == by_record


def test_names_that_become_the_same_label_are_told_apart_also_when_each_is_known(clock, log):
    for extra in ({"a_b": 1}, {"a.b": 1}, {"a.b": 1, "a_b": 2}, {"a_b": 1, "a.b": 2}):
        direct, by_record = both_ways(log, lambda logger, extra=extra: logger.info("paid", extra=extra))
        assert direct == by_record


def test_a_servers_access_log_is_read_either_way(clock):
    log = Log(name="uvicorn.access")
    call = ("127.0.0.1:5000", "GET", "/a?b=c", "1.1", 200)
    direct, by_record = both_ways(log, lambda logger: logger.info('%s - "%s %s HTTP/%s" %d', *call))

    assert direct == by_record
    assert parse(direct)["url.path"] == "/a"


def test_a_usual_call_makes_no_record(log, records):
    log.logger.info("user %s did %s", 17, "login", extra={"user_id": 17, "action": "login"})

    (line,) = map(parse, log.lines())
    assert records == []
    assert line["message"] == "user 17 did login"
    assert line["labels"] == {"user_id": 17, "action": "login"}


@pytest.mark.parametrize(
    "ids",
    [
        (None, None),
        ("order-1", None),
        ("order-1", Identity("order-1", "0af7651916cd43dd0448eb211c80319c")),
        ("order-1", Identity("order-2")),
        ("half \ud800", None),
        ("x" * 600, None),
        ("x" * 20_000, None),
        (Name.PAT, None),
    ],
)
@pytest.mark.parametrize("in_span", [False, True])
def test_the_ids_are_those_of_a_record(clock, log, ids, in_span):
    tracking_id, identity = ids
    tokens = TRACKING_ID.set(tracking_id), IDENTITY.set(identity)
    try:
        with TracerProvider().get_tracer("test").start_as_current_span("work") if in_span else contextlib.nullcontext():
            direct, by_record = both_ways(log, lambda logger: logger.info("paid"))
            assert direct == by_record
            assert ("span.id" in parse(direct)) == in_span
    finally:
        TRACKING_ID.reset(tokens[0])
        IDENTITY.reset(tokens[1])


def test_each_span_and_each_identity_has_its_own_line(log):
    tracer = TracerProvider().get_tracer("test")
    token = TRACKING_ID.set("order-1")
    try:
        spans = []
        for _ in range(3):
            with tracer.start_as_current_span("work") as span:
                log.logger.info("inside")
                spans.append(trace.format_span_id(span.get_span_context().span_id))
            log.logger.info("outside")
    finally:
        TRACKING_ID.reset(token)

    assert [line.get("span.id") for line in map(parse, log.lines())] == [spans[0], None, spans[1], None, spans[2], None]


def test_an_id_that_is_another_requests_by_chance_has_its_own_trace(log):
    traces = ["0af7651916cd43dd0448eb211c80319c", "1bf7651916cd43dd0448eb211c80319c"]
    token = TRACKING_ID.set("order-1")
    try:
        for trace_id in traces:
            identity = IDENTITY.set(Identity("order-1", trace_id))
            log.logger.info("paid")
            IDENTITY.reset(identity)
    finally:
        TRACKING_ID.reset(token)

    assert [line["trace.id"] for line in map(parse, log.lines())] == traces


def test_an_id_in_otels_context_is_that_of_each_line(log):
    from opentelemetry.context import attach, detach, set_value

    from trackline.context import OTEL_KEY

    for name in ("one", "two"):
        token = attach(set_value(OTEL_KEY, name))
        log.logger.info("paid")
        detach(token)

    assert [line["tracking_id"] for line in map(parse, log.lines())] == ["one", "two"]


def test_the_place_is_the_callers_by_whatever_way(log, records):
    def here():
        return itertools.count().__class__ and __import__("sys")._getframe(1).f_lineno

    adapter = logging.LoggerAdapter(log.logger, {"shop": "x"})
    lines = []
    for _ in range(2):
        log.logger.info("plain"), lines.append(here())
        log.logger.log(logging.INFO, "by level"), lines.append(here())
        adapter.info("by adapter"), lines.append(here())
        log.logger.info("with stack", stack_info=True), lines.append(here())
        (lambda: log.logger.info("of the caller", stacklevel=2))(), lines.append(here())
        with pytest.warns(DeprecationWarning, match="warn"):
            log.logger.warn("warned"), lines.append(here())
        try:
            raise ValueError("x")
        except ValueError:
            log.logger.exception("raised"), lines.append(here())

    written = [parse(line) for line in log.lines()]
    assert [line["log.origin.file.line"] for line in written] == lines
    assert {line["log.origin.function"] for line in written} == {"test_the_place_is_the_callers_by_whatever_way"}
    assert records == ["with stack", "of the caller", "raised"] * 2


def test_one_place_with_two_loggers_and_two_levels_gives_each_its_own(log):
    other = DirectLogger("other", logging.DEBUG)
    other.propagate = False
    other.addHandler(log.handler)
    for logger, level in [(log.logger, 20), (other, 20), (log.logger, 30), (other, 10)] * 2:
        logger.log(level, "paid")

    assert [(line["log.logger"], line["log.level"]) for line in map(parse, log.lines())] == [
        ("shop.orders", "info"),
        ("other", "info"),
        ("shop.orders", "warning"),
        ("other", "debug"),
    ] * 2


def test_levels_with_no_name_are_told_apart(log):
    for level in (25, 26, 25):
        log.logger.log(level, "paid")

    assert [line["log.level"] for line in map(parse, log.lines())] == ["level 25", "level 26", "level 25"]


def test_code_at_the_address_of_code_that_is_gone_is_not_taken_for_it(log):
    def here():
        log.logger.info("paid")

    here()
    sites = log.handler.direct.sites
    ((address, site),) = sites.items()
    sites[address] = (compile("0", "gone.py", "exec"), *site[1:4], site[4].replace(b"here", b"gone"))
    here()

    assert {line["log.origin.function"] for line in map(parse, log.lines())} == {"here"}


def test_a_new_name_of_a_level_counts_at_once(log):
    def call():
        log.logger.info("paid")

    call()
    logging.addLevelName(logging.INFO, "Note")
    try:
        call()
    finally:
        logging.addLevelName(logging.INFO, "INFO")
    call()

    assert [parse(line)["log.level"] for line in log.lines()] == ["info", "note", "info"]


def test_a_new_name_of_a_thread_counts_at_once(log):
    thread = threading.current_thread()
    before = thread.name
    try:
        for name in ("first", 'sec"ond', before):
            thread.name = name
            log.logger.info("paid")
    finally:
        thread.name = before

    assert [parse(line)["process.thread.name"] for line in log.lines()] == ["first", 'sec"ond', before]


def test_a_thread_that_threading_does_not_know_has_its_line(log):
    import _thread

    done = threading.Lock()
    done.acquire()
    _thread.start_new_thread(lambda: (log.logger.info("one"), log.logger.info("two"), done.release()), ())
    done.acquire()

    assert [parse(line)["message"] for line in log.lines()] == ["one", "two"]


def test_what_is_changed_after_the_call_does_not_change_the_line(log):
    items, extra = [1], {"count": 1}
    log.logger.info("items %s", items, extra=extra)
    items.append(2)
    extra["count"] = 2

    (line,) = map(parse, log.lines())
    assert line["message"] == "items [1]"
    assert line["labels"] == {"count": 1}


def test_the_time_is_that_of_the_call_across_seconds_and_back(log, monkeypatch):
    times = [NOW, NOW + 1_000_000_000, NOW + 999_999_999, NOW - 3_600_000_000_000, NOW]
    for one in times:
        monkeypatch.setattr(loggers, "time_ns", lambda one=one: one)
        log.logger.info("paid")

    assert [parse(line)["@timestamp"][11:] for line in log.lines()] == [
        "11:06:40.123456Z",
        "11:06:41.123456Z",
        "11:06:41.123455Z",
        "10:06:40.123456Z",
        "11:06:40.123456Z",
    ]


class TestSomebodyElseWouldSeeTheRecord:
    @pytest.fixture(autouse=True)
    def before(self, log):
        log.logger.info("before")  # everything is known that can be kept
        log.lines()

    def seen(self, log, records, *, lines=1):
        log.logger.info("paid", extra={"user": 5})
        assert records == ["paid"]
        assert len(log.lines()) == lines

    def test_a_foreign_handler(self, log, records):
        given = []
        handler = logging.Handler()
        handler.emit = given.append
        log.logger.addHandler(handler)

        self.seen(log, records)
        assert given[0].user == 5

    def test_a_foreign_handler_further_up(self, log, records):
        parent = DirectLogger("shop")
        handler = logging.Handler()
        handler.emit = lambda record: None
        parent.addHandler(handler)
        log.logger.parent, log.logger.propagate = parent, True

        self.seen(log, records)

    def test_a_filter_of_the_logger(self, log, records):
        log.logger.addFilter(lambda record: record.user == 5)

        self.seen(log, records)

    def test_a_filter_of_the_logger_that_lets_nothing_through(self, log, records):
        log.logger.addFilter(lambda record: False)
        log.logger.info("paid")

        assert log.lines() == records == []

    def test_a_filter_of_the_handler(self, log, records):
        log.handler.addFilter(TrackingIDFilter())

        self.seen(log, records)

    @pytest.mark.parametrize("name", ["callHandlers", "handle", "_log", "makeRecord"])
    def test_a_part_of_logging_that_was_replaced(self, log, records, monkeypatch, name):
        original, calls = getattr(logging.Logger, name), []

        def replaced(self, *args, **kwargs):
            calls.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(logging.Logger, name, replaced)

        self.seen(log, records)
        assert calls == [name]

    def test_a_record_factory(self, log, records):
        factory = logging.getLogRecordFactory()

        def with_more(*args, **kwargs):
            record = factory(*args, **kwargs)
            record.more = "more"
            return record

        logging.setLogRecordFactory(with_more)
        try:
            log.logger.info("paid")
        finally:
            logging.setLogRecordFactory(factory)

        assert parse(*log.lines())["labels"] == {"more": "more"}

    @pytest.mark.parametrize("name", ["_log", "makeRecord", "handle", "callHandlers", "filter"])
    def test_a_logger_of_a_class_of_somebody_elses(self, log, records, name):
        calls = []

        def replaced(self, *args, **kwargs):
            calls.append(name)
            return getattr(super(type(self), self), name)(*args, **kwargs)

        log.logger.__class__ = type("Theirs", (DirectLogger,), {name: replaced})

        self.seen(log, records)
        assert calls == [name]

    def test_assert_logs(self, log, records):
        import unittest

        with unittest.TestCase().assertLogs(log.logger) as seen:
            log.logger.info("paid %d", 5)

        assert seen.output == ["INFO:shop.orders:paid 5"]
        assert log.lines() == []

    def test_another_level_of_the_handler(self, log, records):
        log.handler.setLevel(logging.WARNING)
        log.logger.info("no")
        log.logger.warning("yes")

        assert [parse(line)["message"] for line in log.lines()] == ["yes"]

    def test_a_handler_of_ours_further_up(self, log, records):
        parent, other = DirectLogger("shop"), Log()
        parent.addHandler(other.handler)
        log.logger.parent, log.logger.propagate = parent, True

        log.logger.info("paid")

        assert [parse(line)["message"] for one in (log, other) for line in one.lines()] == ["paid", "paid"]

    def test_two_handlers_of_ours(self, log, records):
        log.logger.addHandler(Log().handler)
        log.logger.info("paid")

        assert records == ["paid", "paid"]

    def test_threads_that_are_not_to_be_asked_for(self, log, records, monkeypatch):
        monkeypatch.setattr(logging, "logThreads", False)
        log.logger.info("paid")

        assert "process.thread.name" not in parse(*log.lines())


@pytest.mark.parametrize("options", [{"exc_info": True}, {"stack_info": True}, {"stacklevel": 1}])
def test_an_option_of_loggings_takes_its_way(log, records, options):
    log.logger.info("paid", **options)

    assert records == ["paid"]


def test_stamping_of_records_does_not_stand_in_the_way(log, records):
    from trackline.logs.stamping import stamp_records

    undo = stamp_records()
    try:
        log.logger.info("paid")
    finally:
        undo()

    assert records == []
    assert len(log.lines()) == 1


def test_what_is_off_is_not_logged(log):
    take_loggers()
    logger = logging.getLogger("shop.off")
    logger.handlers, logger.propagate = [log.handler], False
    try:
        for level in (logging.WARNING, logging.INFO):
            logger.setLevel(level)
            logger.info("from %d on", level)
        logger.disabled = True
        logger.info("no")
        logger.disabled = False
        logging.disable(logging.INFO)
        logger.info("no")
        logging.disable(logging.NOTSET)
        logger.info("again")
    finally:
        logging.disable(logging.NOTSET)
        logger.handlers, logger.propagate = [], True
        give_back_loggers()

    assert [parse(line)["message"] for line in log.lines()] == ["from 20 on", "again"]


@pytest.mark.parametrize("schema", [OtelSchema, FlatSchema])
def test_other_schemas_are_made_of_records(schema, records):
    log = Log(schema)
    log.logger.info("paid")

    assert records == ["paid"]
    assert len(log.lines()) == 1


def test_redacted_messages_are_made_of_records(records):
    log = Log(redaction=Redaction(messages=True))
    log.logger.info("Authorization: Bearer abcdefghijklmnop")

    assert "abcdefgh" not in str(log.lines())


@pytest.mark.parametrize("value", ["4111 1111 1111 1111", 4111111111111111, "Bearer abcdefghijklmnop", "postgres://u:secret@db/x"])
def test_a_secret_in_a_value_is_not_in_the_line(log, value):
    for note in ("harmless", value, "harmless"):
        log.logger.info("paid", extra={"note": note, "user": 5})

    first, second, third = (parse(line)["labels"]["note"] for line in log.lines())
    assert (first, third) == ("harmless", "harmless")
    assert "[redacted]" in second


def test_the_value_under_a_secrets_name_is_not_in_the_line(log):
    for _ in range(2):
        log.logger.info("paid", extra={"password": "hunter2", "user": 5})

    assert [parse(line)["labels"] for line in log.lines()] == [{"password": "[redacted]", "user": 5}] * 2


def test_an_extra_that_logging_refuses_is_refused(log):
    with pytest.raises(KeyError, match="overwrite"):
        log.logger.info("paid", extra={"message": "x"})

    assert log.lines() == []


def test_numbers_have_no_gaps_whichever_way_is_taken(log):
    for number in range(20):
        log.logger.info("paid %s", number if number % 3 else {number}, extra={"x": number if number % 2 else [number]})
        log.logger.info("%d", "x")

    assert [int(parse(line)["event.id"].split("-")[1]) for line in log.lines()] == list(range(1, 41))


def test_warnings_displace_calls_that_wait():
    log = Log()
    log.queue.__init__(max_lines=10)
    log.handler.direct.put_call, log.handler.direct.put = log.queue.put_call, log.queue.put
    log.queue.finish = log.handler.direct.finish
    for number in range(20):
        log.logger.info("info %d", number)
    for number in range(5):
        log.logger.warning("warning %d", number)

    said = [parse(line)["message"] for line in log.lines()]
    assert said[-5:] == [f"warning {number}" for number in range(5)]
    assert len(said) == 10
    assert log.queue.dropped == 15


def test_a_call_at_debug_goes_before_one_at_info_and_is_counted_as_such():
    log = Log()
    log.queue.__init__(max_lines=10)
    log.handler.direct.put_call, log.handler.direct.put = log.queue.put_call, log.queue.put
    log.queue.finish = log.handler.direct.finish
    for _ in range(10):
        log.logger.debug("paid")

    assert (len(log.queue), log.queue.dropped_by_level()) == (8, {"debug": 2})


@pytest.mark.parametrize("extra", [None, {"note": "x" * 100_000}])
def test_what_a_long_call_takes_in_memory_is_counted(log, extra):
    log.logger.info("x" * 100_000, extra=extra)

    assert log.queue.waiting_bytes > (200_000 if extra else 100_000)


def test_the_garbage_collector_follows_nothing_that_waits(log):
    for number in range(50):
        log.logger.info("user %s did %s", number, "login", extra={"user_id": number, "action": "login"})
    gc.collect(0)

    assert [entry for entry in log.queue._lines if gc.is_tracked(entry)] == []


def test_a_call_starts_the_writer(log):
    log.handler.writer.is_running = False
    started = []
    log.handler.writer.start = lambda: started.append(True)
    log.logger.info("paid")

    assert started == [True]


def test_a_call_of_which_no_line_can_be_made_has_one_that_says_so(log, monkeypatch):
    log.logger.info("paid")
    monkeypatch.setattr("trackline.logs.direct.MAX_LINE", None)

    line = parse(*log.lines())
    assert line["event.action"] == "encode-error"
    assert line["event.id"].endswith("-1")
    assert line["labels"] == {"error": "TypeError", "record": "paid"}


class TestTakingTheLoggers:
    @pytest.fixture(autouse=True)
    def give_back(self):
        yield
        give_back_loggers()

    def test_all_are_direct_until_they_are_given_back(self):
        existing, root = logging.getLogger("direct.existing"), logging.getLogger()
        take_loggers()
        new = logging.getLogger("direct.new")
        assert isinstance(existing, DirectLogger)
        assert isinstance(new, DirectLogger)
        assert isinstance(root, (DirectLogger, logging.RootLogger))

        give_back_loggers()

        assert {type(existing), type(new)} == {logging.Logger}
        assert type(root) is logging.RootLogger
        assert logging.getLoggerClass() is logging.Logger

    def test_a_class_of_somebody_elses_stays(self):
        class Theirs(logging.Logger):
            pass

        logging.setLoggerClass(Theirs)
        try:
            theirs = logging.getLogger("direct.theirs")
            take_loggers()

            assert logging.getLoggerClass() is Theirs
            assert type(theirs) is Theirs
        finally:
            logging.setLoggerClass(logging.Logger)


def test_a_forked_child_writes_its_own_process_and_count(tmp_path):
    process = run(
        """
        import logging, os, trackline
        handle = trackline.setup_logging("app", log_dir=".", console=False)
        log = logging.getLogger("app")
        def say(number):
            log.info("line %d", number, extra={"n": number})
        for number in range(3):
            say(number)
        child = os.fork()
        for number in range(3, 5):
            say(number)
        handle.close()
        if child:
            os.waitpid(child, 0)
        else:
            os._exit(0)
        """,
        cwd=tmp_path,
    )
    assert process.err == ""
    lines = [parse(line) for path in tmp_path.glob("*.log") for line in path.read_bytes().splitlines(keepends=True)]
    by_process = {
        nonce: [line for line in lines if line["event.id"].startswith(nonce)]
        for nonce in {line["event.id"].split("-")[0] for line in lines}
    }
    assert len({line["process.pid"] for line in lines}) == len(by_process) == 2
    for lines in by_process.values():
        assert len({line["process.pid"] for line in lines}) == 1
        assert sorted(int(line["event.id"].split("-")[1]) for line in lines) == list(range(1, len(lines) + 1))
    assert sorted(len(lines) for lines in by_process.values()) == [4, 7]
