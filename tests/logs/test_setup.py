"""setup_logging and setup_logger: what they set up, refuse, and put back."""

import inspect
import io
import logging
import os
import re
import signal
import sys
from pathlib import Path

import pytest

import trackline
from logs.reading import action, messages, read, run
from trackline import close_log_queue, setup_logger, setup_logging, use_tracking_id
from trackline.config import parse_level, resource_from_env
from trackline.environment import LOGGING, VARIABLES
from trackline.startup import server_started


@pytest.fixture
def root():
    """Give the root logger, and put it back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def streams(logger):
    """Give a logger's stream handlers: pytest's own may be among the others."""
    return [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]


@pytest.fixture
def uvicorn_access():
    """Give uvicorn's access logger as uvicorn configures it."""
    logger = logging.getLogger("uvicorn.access")
    logger.handlers, logger.propagate = [logging.StreamHandler(io.StringIO())], False
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


def test_every_logger_writes_to_the_file_of_the_service(tmp_path):
    with setup_logging("orders", log_dir=tmp_path, console=False, level="DEBUG"):
        logging.getLogger("app").debug("one")
        logging.getLogger("app.sub").info("two")
        logging.info("three")  # noqa: LOG015

    assert messages(tmp_path / "orders.log") == ["one", "two", "three"]


def test_level_is_that_of_the_root_logger_and_put_back(tmp_path, root):
    root.setLevel(logging.ERROR)
    with setup_logging("orders", log_dir=tmp_path, console=False, level="warning"):
        assert root.level == logging.WARNING
        logging.getLogger("app").info("no")
        logging.getLogger("app").warning("yes")

    assert root.level == logging.ERROR
    assert messages(tmp_path / "orders.log") == ["yes"]


def test_handlers_of_the_root_logger_are_put_back_in_their_order(tmp_path, root):
    stream, mine, last = logging.StreamHandler(io.StringIO()), logging.NullHandler(), logging.StreamHandler(io.StringIO())
    root.handlers[:] = [stream, mine, last]
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    assert [handler for handler in root.handlers if handler in (stream, mine, last)] == [mine]
    handle.close()

    assert root.handlers == [stream, mine, last]


def test_handlers_that_came_and_went_in_between_are_respected(tmp_path, root):
    stream, gone, new = logging.StreamHandler(io.StringIO()), logging.NullHandler(), logging.NullHandler()
    root.handlers[:] = [stream, gone]
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    root.removeHandler(gone)
    root.addHandler(new)
    handle.close()

    assert root.handlers == [stream, new]


def test_captures_and_files_of_others_stay(tmp_path, root, caplog):
    other = logging.FileHandler(tmp_path / "other.txt")
    root.addHandler(other)
    with setup_logging("orders", log_dir=tmp_path, console=False):
        logging.getLogger("app").info("one")
    other.close()

    assert (tmp_path / "other.txt").read_text() == "one\n"
    assert [record.message for record in caplog.records] == ["one"]


def test_server_loggers_are_taken_over_and_given_back(tmp_path, uvicorn_access):
    own = streams(uvicorn_access)
    with setup_logging("orders", log_dir=tmp_path, console=False):
        uvicorn_access.info('%s - "%s %s HTTP/%s" %d', "10.0.0.1:5000", "GET", "/", "1.1", 200)
        assert streams(uvicorn_access) == []

    assert (streams(uvicorn_access), uvicorn_access.propagate, uvicorn_access.filters) == (own, False, [])
    assert own[0].stream.getvalue() == ""
    assert read(tmp_path / "orders.log")[1]["http.response.status_code"] == 200


def test_server_loggers_that_are_configured_later_are_taken_over_at_startup(tmp_path, uvicorn_access):
    own, uvicorn_access.handlers, uvicorn_access.propagate = streams(uvicorn_access), [], True
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    uvicorn_access.handlers, uvicorn_access.propagate = list(own), False
    server_started()
    assert streams(uvicorn_access) == []
    handle.close()

    assert (streams(uvicorn_access), uvicorn_access.propagate) == (own, False)


def test_closed_log_takes_no_server_over_any_more(tmp_path, uvicorn_access):
    setup_logging("orders", log_dir=tmp_path, console=False).close()
    server_started()

    assert len(streams(uvicorn_access)) == 1
    assert not uvicorn_access.propagate


def test_second_call_with_the_same_settings_gives_the_same_handle(tmp_path):
    first = setup_logging("orders", log_dir=tmp_path, console=False)

    assert setup_logging("orders", log_dir=str(tmp_path), console=False) is first


def test_second_call_with_other_settings_closes_the_first(tmp_path, root):
    before = list(root.handlers)
    setup_logging("orders", log_dir=tmp_path, console=False)
    logging.getLogger("app").info("one")
    second = setup_logging("billing", log_dir=tmp_path, console=False)
    logging.getLogger("app").info("two")
    second.close()

    assert messages(tmp_path / "orders.log") == ["one"]
    assert action(read(tmp_path / "orders.log")[-1]) == "log-close"
    assert messages(tmp_path / "billing.log") == ["two"]
    assert root.handlers == before


def test_second_call_that_fails_leaves_the_first_alone(tmp_path):
    setup_logging("orders", log_dir=tmp_path, console=False)
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError):
        setup_logging("orders", log_dir=tmp_path / "file", console=False)
    with pytest.raises(ValueError, match="schema"):
        setup_logging("orders", log_dir=tmp_path, console=False, schema="xml")
    logging.getLogger("app").info("one")
    trackline.logs.process.current().close()

    assert messages(tmp_path / "orders.log") == ["one"]


def test_close_twice_is_once(tmp_path, root):
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    logging.getLogger("app").info("one")
    assert (handle.close(), handle.close()) == (0, 0)

    assert [action(line) for line in read(tmp_path / "orders.log")] == ["log-open", None, "log-close"]


def test_handle_flushes_and_says_how_it_is(tmp_path):
    with setup_logging("orders", log_dir=tmp_path, console=False) as handle:
        logging.getLogger("app").info("one")
        assert handle.flush()
        stats = handle.stats()

    assert (stats.written, stats.dropped, stats.queued, stats.errors, stats.path) == (1, 0, 0, 0, tmp_path / "orders.log")


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("level", "LOUD", "'INFO'"),
        ("level", -1, "or a number"),
        ("level", True, "or a number"),
        ("level", None, "or a number"),
        ("schema", "xml", "'ecs', 'otel', 'flat'"),
        ("schema", None, "'ecs', 'otel', 'flat'"),
        ("retention_days", 0, "at least 1"),
        ("retention_days", 1.5, "at least 1"),
        ("retention_days", True, "at least 1"),
        ("max_queue_bytes", 1024, "at least 1048576"),
        ("max_queue_lines", 99, "at least 100"),
        ("queue_policy", "drop", "'level-aware', 'drop-newest', 'drop-oldest', 'block'"),
        ("queue_timeout", 0, "above 0 and at most 60"),
        ("queue_timeout", 61, "above 0 and at most 60"),
        ("queue_timeout", True, "above 0 and at most 60"),
        ("queue_timeout", float("nan"), "above 0 and at most 60"),
        ("queue_timeout", "1", "above 0 and at most 60"),
        ("service_name", 5, "a text"),
        ("rotate", "weekly", "'midnight', None, or an interval that divides a day"),
        ("rotate", "7h", "'midnight', None, or an interval that divides a day"),
        ("rotate_zone", "Europe/Berlim", "'local', 'utc', or a zone"),
        ("max_file_bytes", 100, "None or an integer of at least 4096"),
        ("max_file_bytes", "1 MB", "None or an integer of at least 4096"),
        ("retention_files", 0, "None or an integer of at least 1"),
        ("retention_bytes", 1.5, "None or an integer of at least 4096"),
        ("compress", "bzip2", "None, 'gzip' or 'zstd'"),
        ("compress_after", -1, "a number of seconds"),
        ("compress_after", float("nan"), "a number of seconds"),
        ("file_mode", "640", "a mode such as 0o640"),
    ],
)
def test_wrong_setting_says_option_value_and_what_is_allowed(option, value, allowed, tmp_path):
    with pytest.raises(ValueError, match=option) as raised:
        setup_logging(**{"service_name": "orders", "log_dir": tmp_path / "logs", option: value})

    assert str(raised.value).startswith(f"{option}={value!r}: expected")
    assert allowed in str(raised.value)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("mode", [0o240, 0o755, 0o1640, -1])
def test_wrong_mode_is_said_in_octal(mode):
    with pytest.raises(ValueError, match=f"file_mode={oct(mode)}: expected a mode such as 0o640"):
        setup_logging("orders", file_mode=mode)


def test_neither_console_nor_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="console=False, file=False"):
        setup_logging("orders", log_dir=tmp_path, console=False, file=False)


def test_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for setup in (lambda path: setup_logging("orders", log_dir=path), lambda path: setup_logger("refused", log_dir=path)):
        with pytest.raises(RuntimeError, match=r"log_dir=.*cannot be made"):
            setup(tmp_path / "file" / "logs")
    assert logging.getLogger("refused").handlers == []


@pytest.mark.parametrize(("level", "number"), [("INFO", 20), ("warn", 30), ("Critical", 50), (15, 15), (0, 0)])
def test_level_is_a_name_or_a_number(level, number):
    assert parse_level(level) == number


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"OTEL_SERVICE_NAME": "orders"}, {"service.name": "orders"}),
        ({"OTEL_SERVICE_NAME": " ", "OTEL_RESOURCE_ATTRIBUTES": "service.name=billing"}, {"service.name": "billing"}),
        ({"OTEL_SERVICE_NAME": "orders", "OTEL_RESOURCE_ATTRIBUTES": "service.name=billing"}, {"service.name": "orders"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": ' a = 1 ,b="two", c=%C3%BC%2C=,no pair,=x,,d='},
            {"a": "1", "b": "two", "c": "ü,=", "d": ""},
        ),
    ],
)
def test_resource_is_read_from_the_environment(environment, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert resource_from_env() == expected


def test_service_of_the_environment_is_in_file_name_and_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "billing")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2,deployment.environment.name=live")
    with setup_logging(log_dir=tmp_path, console=False):
        logging.getLogger("app").info("one")

    line = read(tmp_path / "billing.log")[1]
    assert (line["service.name"], line["service.version"], line["service.environment"]) == ("billing", "1.2", "live")


def test_every_option_is_in_the_documentations_table_and_is_a_variable():
    options = set(inspect.signature(setup_logging).parameters)
    page = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8").partition("\n## ")[0]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == options
    assert {variable.option for variable in VARIABLES if variable.of == LOGGING} - {"enabled"} == options - {"service_name"}


def test_option_that_a_call_does_not_give_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKLINE_LOG_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKLINE_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("TRACKLINE_LOG_CONSOLE", "false")
    monkeypatch.setenv("TRACKLINE_LOGS", "false")  # is for those who do not call
    with setup_logging("orders", rotate=None) as handle:
        logging.getLogger("app").debug("one")

    assert messages(tmp_path / "orders.log") == ["one"]
    assert (handle.settings.console, handle.settings.rotate, handle.settings.retention_days) == (False, None, 7)


def test_option_of_a_call_wins_over_the_environment_also_where_it_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKLINE_LOG_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TRACKLINE_LOG_RETENTION_DAYS", "30")
    with setup_logging("orders", log_dir=tmp_path, console=False, retention_days=7) as handle:
        logging.getLogger("app").info("one")

    assert messages(tmp_path / "orders.log") == ["one"]
    assert handle.settings.retention_days == 7


def test_wrong_text_in_the_environment_says_variable_and_what_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKLINE_LOG_RETENTION_DAYS", "a week")
    with pytest.raises(ValueError, match="TRACKLINE_LOG_RETENTION_DAYS='a week': expected a number of days"):
        setup_logging("orders", log_dir=tmp_path)


def test_service_without_a_name_is_app(tmp_path):
    with setup_logging(log_dir=tmp_path, console=False):
        logging.getLogger("app").info("one")

    assert messages(tmp_path / "app.log") == ["one"]


def test_logger_writes_the_origins_lines_to_a_file_of_its_name(tmp_path):
    logger = setup_logger("orders", log_dir=tmp_path, enable_console=False)
    with use_tracking_id("order-1"):
        logger.debug("paid")
    close_log_queue()

    line = read(tmp_path / "orders.log")[1]
    assert logger is logging.getLogger("orders")
    assert (line["level"], line["name"], line["tracking_id"], line["message"]) == ("DEBUG", "orders", "order-1", "paid")


def test_several_loggers_have_a_file_each(tmp_path, capsys):
    for name in ("orders", "billing", "orders.audit"):
        setup_logger(name, log_dir=tmp_path).info("of %s", name)
    close_log_queue()

    for name in ("orders", "billing", "orders.audit"):
        assert [line["message"] for line in read(tmp_path / f"{name}.log")[1:-1]] == [f"of {name}"]
    assert sorted(line.split('"message": ')[1] for line in capsys.readouterr().out.splitlines()) == [
        '"of billing"}',
        '"of orders"}',
        '"of orders.audit"}',
    ]


def test_logger_that_is_set_up_is_given_as_it_is(tmp_path):
    first = setup_logger("orders", log_dir=tmp_path, enable_console=False)
    second = setup_logger("orders", level=logging.ERROR, log_dir=tmp_path / "other")

    assert second is first
    assert (first.level, len(first.handlers), (tmp_path / "other").exists()) == (logging.DEBUG, 1, False)


def test_root_logger_is_set_up_once_by_either_of_its_names(tmp_path):
    root = setup_logger("", log_dir=tmp_path, enable_console=False)
    before = list(root.handlers)

    assert setup_logger("root", log_dir=tmp_path, enable_console=False).handlers == before
    assert setup_logger("", log_dir=tmp_path, enable_console=False).handlers == before
    root.removeHandler(trackline.logs.setup._loggers["root"])
    root.setLevel(logging.WARNING)


def test_logger_keeps_its_level_and_does_not_propagate(tmp_path, caplog):
    logger = setup_logger("orders", logging.WARNING, enable_console=False, log_dir=tmp_path)
    logger.info("no")
    logger.warning("yes")
    close_log_queue()

    assert [line["message"] for line in read(tmp_path / "orders.log")[1:-1]] == ["yes"]
    assert caplog.records == []


def test_logger_writes_another_schema_when_told(tmp_path):
    setup_logger("orders", log_dir=tmp_path, enable_console=False, schema="ecs").info("one")
    close_log_queue()

    assert messages(tmp_path / "orders.log") == ["one"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enable_console": False, "enable_file": False}, "enable_console=False, enable_file=False"),
        ({"level": 15}, "level=15: expected logging.DEBUG"),
        ({"level": "INFO"}, "level='INFO': expected"),
        ({"level": True}, "level=True: expected"),
        ({"rotate_days": 0}, "rotate_days=0: expected a positive integer"),
        ({"rotate_days": -1}, "rotate_days=-1: expected"),
        ({"rotate_days": 1.0}, r"rotate_days=1\.0: expected"),
        ({"rotate_days": "7"}, "rotate_days='7': expected"),
        ({"rotate_days": True}, "rotate_days=True: expected"),
        ({"schema": "xml"}, "schema='xml': expected"),
    ],
    ids=str,
)
def test_logger_refuses_a_wrong_setting(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        setup_logger("refused", **{"log_dir": tmp_path / "logs", **options})

    assert not (tmp_path / "logs").exists()
    assert logging.getLogger("refused").handlers == []


def test_closing_the_queue_twice_is_closing_it_once_and_a_later_line_is_written(tmp_path):
    logger = setup_logger("orders", log_dir=tmp_path, enable_console=False)
    logger.info("one")
    close_log_queue()
    close_log_queue()
    size = (tmp_path / "orders.log").stat().st_size
    logger.info("two")
    close_log_queue()

    assert [line["message"] for line in read(tmp_path / "orders.log") if line["name"] == "orders"] == ["one", "two"]
    assert (tmp_path / "orders.log").stat().st_size > size


def test_the_singleton_opens_nothing_before_its_first_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    logger = trackline.logger
    assert list(tmp_path.iterdir()) == []
    logger.info("one")
    close_log_queue()

    assert trackline.logger is logger
    assert [line["message"] for line in read(tmp_path / "logs" / "app.log")[1:-1]] == ["one"]
    assert '"message": "one"' in capsys.readouterr().out


def test_import_sets_up_nothing(tmp_path):
    done = run(
        "import logging, signal, trackline\n"
        "print(logging.getLogger().handlers, logging.getLogger('app').handlers, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)",
        cwd=tmp_path,
    )

    assert (done.out, done.err) == ("[] [] True\n", "")
    assert list(tmp_path.iterdir()) == []


def test_import_takes_neither_an_event_loop_nor_metrics_nor_a_test_framework(tmp_path):
    done = run("import sys, trackline\nprint({'asyncio', 'opentelemetry.metrics', 'pytest'} & set(sys.modules))", cwd=tmp_path)

    assert done.out == "set()\n"


def test_handler_of_sigterm_that_is_there_stays(tmp_path):
    before = signal.signal(signal.SIGTERM, handler := lambda *_: None)
    try:
        setup_logging("orders", log_dir=tmp_path, console=False).close()
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_console_is_what_stdout_is_at_that_moment(tmp_path, capsys):
    with setup_logging("orders", file=False, log_dir=tmp_path):
        print("first", file=sys.stdout, flush=True)
        logging.getLogger("app").info("one")

    out = capsys.readouterr().out
    assert out.startswith("first\n")
    assert '"message":"one"' in out
    assert os.listdir(tmp_path) == []  # noqa: PTH208
