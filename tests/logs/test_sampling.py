"""Of the same message some lines are kept, and the log says how many were not."""

import json
import logging
import logging.config
import threading

import pytest

import trackline
from logs.reading import action, read, run
from trackline import RateLimit, Sampling, SamplingFilter
from trackline.logs import process
from trackline.logs import sampling as module


@pytest.fixture(autouse=True)
def nothing_is_said_in_the_next_test():
    yield
    for one in list(module._filters):
        thread = one._thread
        one.close()
        if thread is not None:
            thread.join()


@pytest.fixture
def clock(monkeypatch):
    """Give a function that lets seconds pass."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


@pytest.fixture
def logger():
    """Give a logger that nobody else has, whose handler keeps its records."""
    kept = []

    class Keeping(logging.Handler):
        def emit(self, record):
            kept.append(record)

    logger = logging.Logger("orders", 1)  # noqa: LOG001  (with no way to the root logger)
    logger.addHandler(Keeping())
    logger.kept = kept
    return logger


@pytest.fixture
def said(caplog):
    """Give a function that gives what the logger of our own has said about lines left out."""
    caplog.set_level(logging.INFO, "trackline")
    return lambda: [(record.suppressed, record.suppressed_most) for record in caplog.records if record.name == "trackline"]


def test_first_lines_of_a_message_are_kept_and_then_every_so_many(logger, clock):
    logger.addFilter(SamplingFilter(Sampling(first=3, then_every=4)))

    for number in range(1, 16):
        logger.info("paid %d", number)

    assert [record.args[0] for record in logger.kept] == [1, 2, 3, 7, 11, 15]
    assert [getattr(record, "suppressed_lines", 0) for record in logger.kept] == [0, 0, 0, 3, 3, 3]


def test_when_the_time_is_over_counting_begins_anew_and_the_next_line_says_how_many_were_left_out(logger, clock):
    logger.addFilter(SamplingFilter(Sampling(first=2, then_every=100, per=1.0)))

    for _ in range(2):
        for number in range(5):
            logger.info("paid %d", number)
        clock(1.0)

    assert [(record.args[0], getattr(record, "suppressed_lines", 0)) for record in logger.kept] == [(0, 0), (1, 0), (0, 3), (1, 0)]


def test_messages_levels_and_loggers_are_counted_by_themselves(logger, clock):
    one = SamplingFilter(Sampling(first=1))
    other = logging.Logger("stock", 1)  # noqa: LOG001
    other.addHandler(logger.handlers[0])
    for each in (logger, other):
        each.addFilter(one)
        for _ in range(3):
            each.info("paid")
            each.debug("paid")
            each.info("sent")

    assert len(logger.kept) == 6
    assert one.suppressed == 12


def test_warnings_are_all_kept_unless_that_is_asked_for(logger, clock):
    logger.addFilter(SamplingFilter(Sampling(first=1)))
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        for _ in range(3):
            logger.log(level, "paid")
    assert len(logger.kept) == 7

    logger.filters = [SamplingFilter(Sampling(first=1, below=logging.CRITICAL))]
    for _ in range(3):
        logger.error("paid")
    assert len(logger.kept) == 8


def test_rate_limit_keeps_so_many_lines_of_a_message(logger, clock):
    logger.addFilter(SamplingFilter(RateLimit(2, per=10)))
    for _ in range(2):
        for _ in range(50):
            logger.info("paid")
            logger.info("sent")
        clock(10)

    assert [record.msg for record in logger.kept] == ["paid", "sent"] * 4


def test_rate_limit_of_a_logger_counts_all_its_messages(logger, clock):
    logger.addFilter(SamplingFilter(RateLimit(5, by="logger")))
    for number in range(50):
        logger.info(f"paid {number}")
        logger.warning("odd")

    assert [record.msg for record in logger.kept if record.levelno == logging.INFO] == [f"paid {number}" for number in range(5)]
    assert len(logger.kept) == 55


def test_what_was_left_out_is_said_when_its_time_is_over(logger, clock, said):
    one = SamplingFilter(Sampling(first=1, then_every=100))
    logger.addFilter(one)
    for _ in range(5):
        logger.info("paid")
    logger.info("sent")

    one.say(is_last=False)
    assert said() == []
    clock(1.0)
    one.say(is_last=False)
    assert said() == [(4, ["4 orders INFO paid"])]
    one.say()
    assert len(said()) == 1


def test_what_was_left_out_is_said_by_itself(logger, caplog):
    has_said = threading.Event()

    class Waiting(logging.Handler):
        def emit(self, record):
            has_said.set()

    handler = Waiting()
    own = logging.getLogger("trackline")
    caplog.set_level(logging.INFO, "trackline")
    own.addHandler(handler)
    try:
        logger.addFilter(SamplingFilter(Sampling(first=1, per=0.01)))
        logger.info("paid")
        logger.info("paid")
        assert has_said.wait(20)
    finally:
        own.removeHandler(handler)


def test_what_is_remembered_is_bounded_and_nothing_is_lost_of_the_count(logger, clock, said):
    one = SamplingFilter(Sampling(first=1, then_every=10))
    logger.addFilter(one)
    for number in range(10_000):
        for _ in range(3):
            logger.info(f"paid {number}" + "x" * 300)

    assert len(one._windows) <= 4096
    assert len(one._unsaid) <= 4097
    assert max(len(key[2]) for key in one._windows) <= 256
    one.close()
    assert sum(suppressed for suppressed, _ in said()) == one.suppressed == 20_000
    assert all(len(most) == 10 for _, most in said())


def test_many_threads_at_once_keep_the_count(logger):
    one = SamplingFilter(Sampling(first=10, then_every=10, per=3600))
    logger.addFilter(one)

    def work():
        for _ in range(500):
            logger.info("paid")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(logger.kept) == 10 + 199
    assert one.suppressed == 2000 - 209
    assert sum(getattr(record, "suppressed_lines", 0) for record in logger.kept) == 199 * 9
    one.close()


@pytest.mark.parametrize("broken", [{"levelno": "high"}, {"msg": ["a"]}, {"name": None}])
def test_odd_record_is_kept(logger, broken):
    one = SamplingFilter(Sampling())
    record = logging.makeLogRecord(broken)

    assert one.filter(record)


def test_filter_takes_no_other_setting():
    with pytest.raises(ValueError, match=r"sampling=5: expected a trackline\.Sampling or a trackline\.RateLimit"):
        SamplingFilter(5)


@pytest.mark.parametrize("schema", ["ecs", "otel"])
def test_setup_samples_and_the_count_of_lines_has_no_gaps(tmp_path, schema):
    with trackline.setup_logging(
        "orders", schema=schema, log_dir=tmp_path, console=False, sampling=Sampling(5, 10, per=3600), rate_limit=RateLimit(50, per=3600)
    ) as handle:
        for number in range(200):
            logging.getLogger("orders.payment").info("paid %d", number, extra={"n": number})
        assert handle.stats().suppressed == 176
        path = tmp_path / "orders.log"

    lines = read(path)
    numbers = [int((line.get("event.id") or line["attributes"]["log.record.uid"]).rpartition("-")[2]) for line in lines]
    assert sorted(numbers) == list(range(1, len(lines) + 1))
    facts = [line.get("labels", line.get("attributes")) for line in lines]
    kept = [fact["n"] for fact in facts if "n" in fact]
    assert kept == [0, 1, 2, 3, 4, *range(14, 200, 10)]
    assert sum(fact.get("suppressed_lines", 0) for fact in facts) == 9 * 19
    [suppressed] = [fact["suppressed"] for fact in facts if "suppressed" in fact]
    assert suppressed == 176
    if schema == "ecs":
        [line] = [line for line in lines if action(line) == "log-sample"]
        assert line["log.logger"] == "trackline"


def test_configuration_of_plain_values_samples_and_redacts(tmp_path):
    options = {"sampling": {"first": 2, "per": 3600}, "rate_limit": {"lines": 50}, "redact": {"keys": ["iban"]}}
    config = trackline.dict_config("orders", log_dir=tmp_path, console=False, **options)
    logging.config.dictConfig(json.loads(json.dumps(config)))
    for _ in range(5):
        logging.getLogger("orders.payment").info("paid", extra={"iban": "DE02"})
    process.current().close()

    lines = [line for line in read(tmp_path / "orders.log") if line["log.logger"] == "orders.payment"]
    assert [line["labels"] for line in lines] == [{"iban": "[redacted]"}] * 2


def test_at_exit_the_log_says_what_was_left_out(tmp_path):
    done = run(
        """
        import logging, trackline
        trackline.setup_logging("orders", log_dir=".", console=False, sampling=trackline.Sampling(5, 1000, per=3600))
        for number in range(200):
            logging.info("paid %d", number)
        """,
        cwd=tmp_path,
    )

    assert (done.returncode, done.err) == (0, "")
    lines = read(tmp_path / "orders.log")
    assert [action(line) for line in lines if action(line)] == ["log-open", "log-sample", "log-close"]
    assert lines[-2]["labels"] == {"suppressed": 195, "suppressed_most": ["195 root INFO paid %d"]}


def test_forked_child_counts_for_itself(tmp_path):
    done = run(
        """
        import logging, os, trackline
        handle = trackline.setup_logging("orders", log_dir=".", console=False, sampling=trackline.Sampling(5, 1000, per=3600))
        for number in range(20):
            logging.info("paid %d", number)
        if (child := os.fork()) == 0:
            for number in range(10):
                logging.info("paid %d", number)
            handle.close()
            os._exit(0)
        os.waitpid(child, 0)
        """,
        cwd=tmp_path,
    )

    assert (done.returncode, done.err) == (0, "")
    said = [
        line["labels"]["suppressed"] for path in sorted(tmp_path.glob("*.log")) for line in read(path) if action(line) == "log-sample"
    ]
    assert sorted(said) == [5, 15]


@pytest.mark.parametrize("option", ["sampling", "rate_limit"])
def test_setup_takes_no_other_setting(option, tmp_path):
    with pytest.raises(ValueError, match=f"{option}=5: expected None or a trackline"):
        trackline.setup_logging(log_dir=tmp_path, **{option: 5})
