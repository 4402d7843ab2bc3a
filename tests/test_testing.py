"""The fixture ``tracked_lines``, in real runs of pytest: what an application's tests can say about its lines."""

import pytest

pytest_plugins = ("pytester",)

APPLICATION = """
import logging
import trackline

log = logging.getLogger("orders.pay")

def pay(order):
    with trackline.use_tracking_id(order):
        log.info("paid", extra={"amount": 12, "password": "secret"})
        log.warning("slow")
    logging.getLogger("billing").error("lost")
"""


@pytest.fixture
def tests_pass(pytester, monkeypatch):
    """Give a function that runs tests against the application above in a process of their own, and expects them to pass."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # not those of others: it takes seconds
    pytester.makepyfile(orders=APPLICATION)

    def run(content, passed=1, **outcomes):
        pytester.makepyfile("from orders import *\nimport pytest\n" + content)
        result = pytester.runpytest_subprocess("-W", "error", "-p", "pytest_trackline")
        result.assert_outcomes(passed=passed, **outcomes)
        return result

    return run


def test_lines_are_dicts_in_order(tests_pass):
    tests_pass("""
def test(tracked_lines):
    pay("order-1")
    assert tracked_lines[0]["message"] == "paid"
    assert tracked_lines[0]["tracking_id"] == "order-1"
    assert tracked_lines[0]["labels"]["amount"] == 12
    assert tracked_lines[-1]["log.level"] == "error"
    assert tracked_lines.messages == ["paid", "slow", "lost"]
    assert [line["service.name"] for line in tracked_lines[1:]] == ["app", "app"]
    assert len(tracked_lines) == 3
""")


def test_secrets_are_kept_out_as_in_the_log(tests_pass):
    tests_pass("""
def test(tracked_lines):
    pay("order-1")
    assert "secret" not in str(tracked_lines[0])
""")


def test_lines_of_each_schema_are_found_by_tracking_id_level_and_logger(tests_pass):
    tests_pass(
        """
@pytest.fixture(autouse=True, params=["ecs", "otel", "flat"])
def logs(tmp_path, request):
    with trackline.setup_logging("orders", schema=request.param, log_dir=tmp_path, console=False):
        yield

def test(logs, tracked_lines):
    pay("order-1")
    pay("order-2")
    found = lambda **what: [tracked_lines.messages[tracked_lines.index(line)] for line in tracked_lines.of(**what)]
    assert found(tracking_id="order-2") == ["paid", "slow"]
    assert found(tracking_id="order-2", level="warning") == ["slow"]
    assert found(logger="orders") == ["paid", "slow", "paid", "slow"]
    assert found(logger="bill") == []
    assert tracked_lines.of("order-3") == []
""",
        passed=3,
    )


def test_lines_are_those_of_the_settings(tests_pass):
    tests_pass("""
def test(tmp_path, request):
    with trackline.setup_logging("orders", schema="flat", log_dir=tmp_path, console=False, level="WARNING"):
        tracked_lines = request.getfixturevalue("tracked_lines")
        pay("order-1")
        assert [line["level"] for line in tracked_lines] == ["WARNING", "ERROR"]
""")


def test_each_test_has_its_own_and_levels_are_put_back(tests_pass):
    tests_pass(
        """
def test_one(tracked_lines):
    tracked_lines.set_level("DEBUG")
    tracked_lines.set_level("ERROR", "orders.pay")
    log.info("no")
    logging.getLogger("other").debug("yes")
    assert tracked_lines.messages == ["yes"]
    tracked_lines.clear()
    assert len(tracked_lines) == 0

def test_two(tracked_lines):
    assert len(tracked_lines) == 0
    pay("order-1")
    assert len(tracked_lines) == 3

def test_three():
    assert logging.getLogger().level == logging.WARNING
    assert log.level == logging.NOTSET
    assert all(type(handler).__module__ != "trackline.testing" for handler in logging.getLogger().handlers)
""",
        passed=3,
    )


def test_application_that_sets_up_logging_meanwhile_keeps_its_level(tests_pass):
    tests_pass(
        """
def test_one(tracked_lines, tmp_path):
    trackline.setup_logging("orders", log_dir=tmp_path, console=False)
    pay("order-1")

def test_two(tracked_lines):
    pay("order-1")
    assert tracked_lines.messages == ["paid", "slow", "lost"]
""",
        passed=2,
    )


def test_captures_of_others_go_on(tests_pass):
    tests_pass("""
def test(tracked_lines, caplog):
    pay("order-1")
    assert [record.message for record in caplog.records] == tracked_lines.messages
""")


def test_assertion_that_fails_shows_the_messages(tests_pass):
    result = tests_pass("def test(tracked_lines):\n    pay('order-1')\n    assert tracked_lines.messages == []", passed=0, failed=1)

    result.stdout.fnmatch_lines(["E*assert ?'paid', 'slow', 'lost'? == ??"])


def test_nothing_is_imported_before_a_test_asks_for_it(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others may import OpenTelemetry, and that our entry points
    pytester.makeconftest(
        "import sys\ndef pytest_sessionfinish():\n    print('imported', [name for name in sys.modules if name.startswith('trackline')])"
    )
    pytester.makepyfile("def test(): pass")

    pytester.runpytest_subprocess("-p", "pytest_trackline", "-s").stdout.fnmatch_lines(["*imported []*"])


def test_plugin_is_found_by_pytest_itself():
    from importlib.metadata import entry_points

    assert [entry.value for entry in entry_points(group="pytest11", name="trackline")] == ["pytest_trackline"]
