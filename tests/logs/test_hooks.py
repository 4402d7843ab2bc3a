"""What a process says past logging is in its log too, and where it was said before it is said no more, or still, as it should be."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from logs.reading import action, messages, read, run
from trackline import setup_logging, use_tracking_id
from trackline.startup import server_started

PREAMBLE = "import logging, os, sys, threading, warnings\nimport trackline\n"
SET_UP = PREAMBLE + "handle = trackline.setup_logging('orders', console={console}, log_dir='.')\n"


def lines_of(script, cwd, *, console=False, **options):
    done = run(SET_UP.format(console=console) + script, cwd=cwd, **options)
    lines = read(cwd / "orders.log") if (cwd / "orders.log").exists() else []
    return done, [line for line in lines if action(line) is None]


@pytest.fixture
def hooks():
    """Give what Python's hooks are, as functions, and put them back; pytest has its own."""
    places = [(sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook"), (warnings, "showwarning")]
    before = [(owner, name, getattr(owner, name)) for owner, name in places]
    yield lambda: [getattr(owner, name) for owner, name in places]
    for owner, name, value in before:
        setattr(owner, name, value)


def test_uncaught_exception_is_a_critical_line_at_the_place_where_it_was_raised(tmp_path):
    done, [line] = lines_of("def pay():\n    raise ValueError('no money')\npay()", tmp_path)

    assert (line["log.level"], line["log.logger"], line["message"]) == (
        "critical",
        "trackline.uncaught",
        "uncaught exception: ValueError",
    )
    assert (line["log.origin.function"], line["log.origin.file.line"]) == ("pay", 5)
    assert (line["error.type"], line["error.message"]) == ("ValueError", "no money")
    assert line["error.stack_trace"].endswith("ValueError: no money")
    assert done.returncode == 1


def test_uncaught_exception_is_on_stderr_too_where_there_is_no_console(tmp_path):
    done, _ = lines_of("raise ValueError('no money')", tmp_path)

    assert done.err.endswith("ValueError: no money\n")


def test_uncaught_exception_is_said_once_where_there_is_a_console(tmp_path):
    done, _ = lines_of("raise ValueError('no money')", tmp_path, console=True)

    assert "no money" in done.out
    assert done.err == ""


def test_uncaught_exception_is_on_stderr_where_its_line_cannot_be_written(tmp_path):
    script = PREAMBLE + "import shutil\nhandle = trackline.setup_logging('orders', console=True, log_dir='gone')\n"
    done = run(script + "shutil.rmtree('gone')\nopen('gone', 'w').close()\nraise ValueError('no money')", cwd=tmp_path)

    assert "ValueError: no money\n" in done.err


@pytest.mark.parametrize("console", [False, True])
def test_hook_of_somebody_else_is_called_too(console, tmp_path):
    script = PREAMBLE + "theirs = lambda *args: os.write(2, b'theirs %d\\n' % len(args))\n"
    script += "sys.excepthook = threading.excepthook = sys.unraisablehook = theirs\n"
    script += f"handle = trackline.setup_logging('orders', console={console}, log_dir='.')\n"
    script += "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n"
    script += "class Bad:\n    def __del__(self):\n        raise KeyError\nBad()\nraise ValueError"
    done = run(script, cwd=tmp_path)

    assert done.err == "theirs 1\ntheirs 1\ntheirs 3\n"
    assert len(messages(tmp_path / "orders.log")) == 3


def test_interrupt_is_no_error(tmp_path):
    done, lines = lines_of("raise KeyboardInterrupt", tmp_path)

    assert lines == []
    assert (done.returncode, done.err.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")


def test_exception_of_a_thread_is_a_line_with_its_tracking_id(tmp_path):
    script = """
def work():
    trackline.TRACKING_ID.set("order-1742")
    raise ValueError("no money")
thread = threading.Thread(target=work, name="payer")
thread.start()
thread.join()
"""
    done, [line] = lines_of(script, tmp_path, console=True)

    assert (line["log.level"], line["message"]) == ("critical", "uncaught exception in thread payer: ValueError")
    assert (line["tracking_id"], line["process.thread.name"], line["error.message"]) == ("order-1742", "payer", "no money")
    assert done.err == ""


def test_thread_that_exits_is_no_error(tmp_path):
    done, lines = lines_of("thread = threading.Thread(target=sys.exit)\nthread.start()\nthread.join()", tmp_path)

    assert (lines, done.err) == ([], "")


def test_exception_that_python_ignores_is_a_line(tmp_path):
    script = "class Bad:\n    def __repr__(self):\n        raise OSError\n    def __del__(self):\n        raise KeyError('lost')\nBad()"
    _, [line] = lines_of(script, tmp_path)

    assert (line["log.level"], line["error.type"], line["log.origin.function"]) == ("error", "KeyError", "__del__")
    assert line["message"].startswith("exception ignored in: <function Bad.__del__ at ")


def test_warning_is_a_line_at_the_place_that_it_is_about(tmp_path):
    script = "def old():\n    warnings.warn('use new()', DeprecationWarning, stacklevel=2)\nwarnings.simplefilter('always')\nold()"
    done, [line] = lines_of(script, tmp_path)

    assert (line["log.level"], line["log.logger"], line["message"]) == ("warning", "py.warnings", "DeprecationWarning: use new()")
    assert (line["log.origin.file.name"], line["log.origin.file.line"]) == ("<string>", 7)
    assert line["labels"] == {"warning_category": "DeprecationWarning"}
    assert "log.origin.function" not in line
    assert done.err == ""


def test_warning_is_one_line_beside_that_of_logging(tmp_path):
    script = PREAMBLE + "logging.captureWarnings(True)\nhandle = trackline.setup_logging('orders', console=False, log_dir='.')\n"
    run(script + "warnings.simplefilter('always')\nwarnings.warn('old')", cwd=tmp_path)

    assert messages(tmp_path / "orders.log") == ["UserWarning: old"]


def test_handler_that_warns_whenever_it_is_called_does_no_harm(tmp_path):
    script = """
class Warning_(logging.Handler):
    def emit(self, record):
        warnings.warn("deprecated", DeprecationWarning)
logging.getLogger().addHandler(Warning_())
warnings.simplefilter("always")
logging.getLogger("app").info("one")
"""
    done, lines = lines_of(script, tmp_path)

    assert [line["message"] for line in lines] == ["one", "DeprecationWarning: deprecated"]
    assert done.err.count("deprecated") <= 2  # the second, and the line of the program that it is about


def test_recorded_warnings_are_not_logged(tmp_path):
    with setup_logging("orders", log_dir=tmp_path, console=False), warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)

    assert [str(warning.message) for warning in recorded] == ["old"]
    assert not (tmp_path / "orders.log").exists()


def test_hooks_are_put_back(tmp_path, hooks):
    before = hooks()
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    assert all(now is not then for now, then in zip(hooks(), before, strict=True))
    handle.close()

    assert hooks() == before


def test_hooks_that_somebody_has_wrapped_since_only_pass_on(tmp_path, hooks, caplog):
    sys.excepthook, seen = lambda *_: seen.append("below"), []
    handle = setup_logging("orders", log_dir=tmp_path, console=False)
    ours = sys.excepthook
    sys.excepthook = lambda *args: (seen.append("above"), ours(*args))
    handle.close()
    sys.excepthook(ValueError, ValueError("no money"), None)

    assert seen == ["above", "below"]
    assert caplog.records == []


def test_no_hook_is_touched_where_it_is_not_wanted(tmp_path, hooks):
    before, of_loops = hooks(), asyncio.BaseEventLoop.default_exception_handler
    with setup_logging("orders", log_dir=tmp_path, console=False, capture=False):
        assert hooks() == before
        assert asyncio.BaseEventLoop.default_exception_handler is of_loops


async def fail():
    raise ValueError("no money")


def forget_a_task(tracking_id):
    with use_tracking_id(tracking_id):
        return asyncio.get_running_loop().create_task(fail(), name="payer")


KINDS = pytest.mark.parametrize("kind", ["asyncio", "uvloop"])


def run_in(kind, main):
    loop = asyncio.SelectorEventLoop() if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)


@KINDS
def test_error_of_a_task_that_nobody_awaits_is_under_its_own_request(kind, tmp_path):
    async def main():
        task = forget_a_task("order-1")
        await asyncio.wait([task])
        with use_tracking_id("order-2"):  # whose task happens to collect the garbage
            del task
            gc.collect()

    if kind == "uvloop":
        pytest.importorskip("uvloop")
    with setup_logging("orders", log_dir=tmp_path, console=False):
        run_in(kind, main())

    [line] = [line for line in read(tmp_path / "orders.log") if line["log.logger"] == "asyncio"]
    assert line.get("tracking_id") == ("order-1" if sys.version_info >= (3, 12) else None)
    assert line["labels"] == {"asyncio_task": "payer"}
    assert (line["log.level"], line["error.type"], line["error.message"]) == ("error", "ValueError", "no money")
    assert line["message"].startswith("Task exception was never retrieved\nfuture: <Task finished name='payer'")


@KINDS
def test_error_of_a_callback_is_a_line(kind, tmp_path):
    if kind == "uvloop":
        pytest.importorskip("uvloop")

    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    with setup_logging("orders", log_dir=tmp_path, console=False):
        run_in(kind, main())

    assert [line["error.type"] for line in read(tmp_path / "orders.log") if line["log.logger"] == "asyncio"] == ["ZeroDivisionError"]


def test_error_of_a_callback_is_under_its_own_request(tmp_path):
    async def main():
        with use_tracking_id("order-1"):
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    with setup_logging("orders", log_dir=tmp_path, console=False):
        run_in("asyncio", main())

    assert [line["tracking_id"] for line in read(tmp_path / "orders.log") if line["log.logger"] == "asyncio"] == ["order-1"]


def test_task_that_reports_its_own_error_is_under_its_own_request(tmp_path):
    async def main():
        task = asyncio.current_task()
        with use_tracking_id("order-1"):
            asyncio.get_running_loop().call_exception_handler({"message": "oh", "task": task, "exception": ValueError("no")})

    with setup_logging("orders", log_dir=tmp_path, console=False):
        run_in("asyncio", main())

    [line] = [line for line in read(tmp_path / "orders.log") if line["log.logger"] == "asyncio"]
    assert line.get("tracking_id") == ("order-1" if sys.version_info >= (3, 12) else None)


def test_handler_that_the_user_has_set_on_a_loop_has_its_way(tmp_path):
    seen = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context["message"]))
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    with setup_logging("orders", log_dir=tmp_path, console=False):
        run_in("asyncio", main())

    assert len(seen) == 1
    assert not (tmp_path / "orders.log").exists()


def test_kind_of_loop_that_is_imported_later_is_found_at_startup(tmp_path, monkeypatch):
    uvloop = pytest.importorskip("uvloop")
    original = uvloop.Loop.default_exception_handler
    monkeypatch.delitem(sys.modules, "uvloop")
    with setup_logging("orders", log_dir=tmp_path, console=False):
        assert uvloop.Loop.default_exception_handler is original
        monkeypatch.setitem(sys.modules, "uvloop", uvloop)
        server_started()
        assert uvloop.Loop.default_exception_handler is not original

    assert uvloop.Loop.default_exception_handler is original
    assert logging.getLogger("asyncio").filters == []


def faults(directory):
    return sorted(path.name for path in Path(directory).glob("*.fault"))


def test_crash_leaves_the_stack_of_every_thread(tmp_path):
    script = (
        SET_UP.format(console=False) + "import ctypes\ndef crash():\n    ctypes.string_at(0)\nprint(os.getpid(), flush=True)\ncrash()"
    )
    done = run(script, cwd=tmp_path)
    trace = (tmp_path / f"orders-{done.out.strip()}.fault").read_text()

    assert done.returncode == -signal.SIGSEGV
    assert trace.startswith("Fatal Python error: Segmentation fault")
    assert "in crash" in trace


def test_crash_with_no_file_is_on_stderr(tmp_path):
    script = "import faulthandler, trackline\ntrackline.setup_logging('orders', file=False)\nfaulthandler._sigsegv()"
    done = run(script, cwd=tmp_path)

    assert done.err.startswith("Fatal Python error: Segmentation fault")
    assert faults(tmp_path) == []


@pytest.mark.parametrize("end", ["", "raise ValueError", "handle.close()", "import signal; os.kill(os.getpid(), signal.SIGTERM)"])
def test_process_that_does_not_crash_leaves_no_file(end, tmp_path):
    done = run(SET_UP.format(console=False) + "print(len(os.listdir('.')), flush=True)\n" + end, cwd=tmp_path)

    assert done.out == "1\n"
    assert faults(tmp_path) == []


def test_trace_has_the_mode_of_the_files(tmp_path):
    script = (
        "trackline.setup_logging('orders', console=False, log_dir='.', file_mode=0o660)\nimport faulthandler\nfaulthandler._sigsegv()"
    )
    run(PREAMBLE + script, cwd=tmp_path)
    [path] = tmp_path.glob("*.fault")

    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    "made",
    [
        "os.symlink('elsewhere', path)",
        "os.mkfifo(path)",
        "os.mkfifo(path); reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)",
        "os.link('precious', path)",
        "open(path, 'w').close(); os.chown(path, 65534, 65534)",
    ],
    ids=["link", "pipe", "pipe that is read", "second name", "another user's"],
)
def test_trace_is_on_stderr_where_its_file_may_lead_elsewhere(made, tmp_path):
    if "chown" in made and os.geteuid() != 0:
        pytest.skip("gives a file to another user")
    (tmp_path / "precious").write_text("precious")
    tmp_path.chmod(0o1777)
    script = f"""
import faulthandler
path = f"orders-{{os.getpid()}}.fault"
{made}
trackline.setup_logging('orders', console=False, log_dir='.')
faulthandler._sigsegv()
"""
    done = run(PREAMBLE + script, cwd=tmp_path)

    assert done.err.startswith("Fatal Python error: Segmentation fault")
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "precious").read_text() == "precious"


def test_pipe_with_the_name_of_a_trace_of_the_dead_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "orders-1.fault")
    done = run(SET_UP.format(console=False), cwd=tmp_path)

    assert (done.returncode, done.err) == (0, "")
    assert faults(tmp_path) == ["orders-1.fault"]


def test_faulthandler_that_is_on_stays_as_it_is(tmp_path):
    script = "import faulthandler\nfaulthandler.enable()\n" + SET_UP.format(console=False)
    done = run(script + "print(os.listdir('.'))\nhandle.close()\nprint(faulthandler.is_enabled())", cwd=tmp_path)

    assert done.out == "[]\nTrue\n"


def test_crash_of_a_forked_child_is_in_its_parents_file(tmp_path):
    script = """
import faulthandler
pid = os.fork()
if not pid:
    faulthandler._sigsegv()
os.waitpid(pid, 0)
print(os.getpid())
"""
    done = run(SET_UP.format(console=False) + script, cwd=tmp_path)

    assert faults(tmp_path) == [f"orders-{done.out.strip()}.fault"]


def test_file_of_a_parent_stays_as_long_as_a_child_may_write_to_it(tmp_path):
    script = """
import faulthandler
reading, writing = os.pipe()
if not os.fork():
    os.close(writing)
    os.read(reading, 1)
    faulthandler._sigsegv()
print(os.getpid())
handle.close()
"""
    done = run(SET_UP.format(console=False) + script, cwd=tmp_path)
    path = tmp_path / f"orders-{done.out.strip()}.fault"

    deadline = time.monotonic() + 30
    while not path.stat().st_size and time.monotonic() < deadline:  # the child crashes when its parent is gone
        time.sleep(0.01)
    assert path.read_text().startswith("Fatal Python error: Segmentation fault")


def test_files_of_the_dead_are_deleted_where_they_are_empty_or_old(tmp_path):
    for number, (content, age) in enumerate([("", 0), ("crash", 6), ("crash", 8)]):
        path = tmp_path / f"orders-{number}.fault"
        path.write_text(content)
        os.utime(path, (path.stat().st_mtime - age * 86_400,) * 2)
    (tmp_path / "orders-eu-1.fault").touch()
    run(SET_UP.format(console=False), cwd=tmp_path)

    assert faults(tmp_path) == ["orders-1.fault", "orders-eu-1.fault"]
