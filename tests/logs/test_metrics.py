"""The figures of `stats` as metrics of a real SDK. In processes of their own: a process has one provider, set once."""

import json

from opentelemetry.metrics import NoOpMeter

from logs.reading import messages, run
from trackline.logs import metrics

SET_UP = """
import json, logging, os
import trackline
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

def collect():
    found = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            assert scope.scope.name == "trackline" and scope.scope.version == trackline.__version__
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    key = (metric.name, *point.attributes.values())
                    found[key] = [point.value, metric.unit, getattr(metric.data, "is_monotonic", None)]
    return found

def show():
    print(json.dumps({"/".join(key): value for key, value in collect().items()}))

def set_provider():
    global reader
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
"""
START = "handle = trackline.setup_logging('orders', console=False, log_dir='.')\nlog = logging.getLogger('app')\n"


def shown(script, cwd):
    done = run(SET_UP + script, cwd=cwd)
    assert (done.returncode, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


def test_what_was_written_and_what_waits_is_observed(tmp_path):
    [found] = shown("set_provider()\n" + START + "log.info('one')\nlog.info('two')\nhandle.flush()\nshow()", tmp_path)

    assert found["trackline.log.lines"] == [2, "{line}", True]
    size = sum(len(line) for line in (tmp_path / "orders.log").read_bytes().splitlines(keepends=True)[:3])
    assert found["trackline.log.size"] == [size, "By", True]
    assert found["trackline.log.errors"] == [0, "{error}", True]
    assert found["trackline.log.rotations"] == [0, "{file}", True]
    assert found["trackline.log.rotation.errors"] == [0, "{error}", True]
    assert 1024 < found["trackline.log.size"][0] < (tmp_path / "orders.log").stat().st_size  # the closing line is not there yet
    assert found["trackline.log.rotations"] == [0, "{file}", True]
    assert found["trackline.log.rotation.errors"] == [0, "{error}", True]
    assert found["trackline.log.suppressed"] == [0, "{line}", True]
    assert found["trackline.log.queue.lines"] == [0, "{line}", False]
    assert found["trackline.log.queue.size"] == [0, "By", False]


def test_each_instrument_observes_its_own_figure(tmp_path):
    script = """
from trackline.logs.metrics import register_metrics
from trackline.logs.writer import LogStats
stats = LogStats(1, 2, 3, 4, 5, None, 6, {"newest": 7, "level": 8}, {}, written_bytes=9, rotations=10, rotation_errors=11)
set_provider()
register_metrics(lambda: stats)
show()
"""
    [found] = shown(script, tmp_path)

    assert {name.removeprefix("trackline.log."): point[0] for name, point in found.items()} == {
        "lines": 1,
        "queue.lines": 3,
        "queue.size": 4,
        "errors": 5,
        "suppressed": 6,
        "dropped/newest": 7,
        "dropped/level": 8,
        "size": 9,
        "rotations": 10,
        "rotation.errors": 11,
    }


def test_provider_that_is_set_afterwards_observes_too(tmp_path):
    [found] = shown(START + "log.info('one')\nhandle.flush()\nset_provider()\nshow()", tmp_path)

    assert found["trackline.log.lines"][0] == 1


def test_drops_are_observed(tmp_path):
    script = """
set_provider()
handle = trackline.setup_logging('orders', console=False, log_dir='.', max_queue_bytes=1024 * 1024)
log = logging.getLogger('app')
import threading
at_it, go_on = threading.Event(), threading.Event()
original = os.write
handle._handler.writer._file.write = lambda lines: (at_it.set(), go_on.wait(30), lines.clear())
log.info('first')
at_it.wait(30)
for _ in range(3000):
    log.info('x' * 1000)
go_on.set()
handle.flush()
found = collect()
dropped = sum(value[0] for key, value in found.items() if key[0] == "trackline.log.dropped")
print(json.dumps([dropped, handle.stats().dropped]))
"""
    [[observed, counted]] = shown(script, tmp_path)

    assert observed == counted > 0


def test_closed_logging_has_nothing_to_observe_and_one_that_follows_has(tmp_path):
    script = (
        "set_provider()\n" + START + "log.info('one')\nhandle.close()\nshow()\n" + START + "log.info('two')\nhandle.flush()\nshow()"
    )
    first, second = shown(script, tmp_path)

    assert first == {}
    assert second["trackline.log.lines"][0] == 1
    assert messages(tmp_path / "orders.log") == ["one", "two"]  # and no complaint of the SDK's of a second registration


def test_forked_child_observes_its_own(tmp_path):
    script = """
set_provider()
handle = trackline.setup_logging('orders', console=False, log_dir='.')
log = logging.getLogger('app')
for _ in range(5):
    log.info('parent')
handle.flush()
pid = os.fork()
if not pid:
    log.info('child')
    handle.flush()
    os._exit(collect()["trackline.log.lines",][0])
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), collect()["trackline.log.lines",][0]]))
"""
    assert shown(script, tmp_path) == [[1, 5]]


def test_instruments_are_registered_once_in_a_process(monkeypatch):
    asked = []
    monkeypatch.setattr(metrics, "_is_registered", False)
    monkeypatch.setattr(metrics, "get_meter", lambda *of: asked.append(of) or NoOpMeter("trackline"))
    for _ in range(2):
        metrics.register_metrics(lambda: None)

    assert len(asked) == 1


def test_no_sdk_is_no_error(tmp_path):
    assert shown(START + "log.info('one')\nhandle.close()", tmp_path) == []
