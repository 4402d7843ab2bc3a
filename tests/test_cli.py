"""The command, run as people run it: exit statuses, what goes to stdout and what to stderr, pipes that close."""

import gzip
import json
import os
import select
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points

import pytest

from trackline import __version__
from trackline.identity import derive_trace_id

ID = "order/1742"
PLAIN = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}


def line(message, second=0, tracking_id=ID):
    fields = {"@timestamp": f"2026-11-22T14:40:{second:02}.5Z", "log.level": "info", "message": message, "tracking_id": tracking_id}
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "orders.log").write_bytes(line("second", 2))
    (folder / "billing.log.2026-11-21.gz").write_bytes(gzip.compress(line("first", 1) + line("other", 1, "order/1743")))
    return folder


@pytest.fixture
def run(tmp_path):
    def run(*arguments, **options):
        env = {**PLAIN, **options.pop("env", {})}
        options = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run([sys.executable, "-m", "trackline", *arguments], check=False, **options)

    return run


@pytest.mark.usefixtures("logs")
def test_find_tells_the_story_from_the_folder_logs(run):
    result = run("find", ID)

    assert (result.returncode, result.stderr) == (0, "")
    assert [row.split()[-1] for row in result.stdout.splitlines()[-2:]] == ["first", "second"]
    assert result.stdout.startswith(f"tracking ID {ID}\n")


def test_find_json_prints_the_lines_as_they_were_logged(run, logs):
    (logs / "orders.log").write_bytes(line("zweitens, schön", 2).replace(b'": "', b'" :\t"'))

    result = run("find", ID, "--json", text=False)

    assert result.stdout == line("first", 1) + line("zweitens, schön", 2).replace(b'": "', b'" :\t"')


@pytest.mark.parametrize("schema", ["ecs", "otel", "flat"])
def test_find_tells_what_setup_logging_has_written(run, tmp_path, schema):
    code = f"""if True:
        import logging, trackline
        log = trackline.setup_logging("orders", schema={schema!r}, console=False)
        with trackline.use_tracking_id({ID!r}):
            logging.getLogger("shop").info("paid", extra={{"amount": 5}})
            try:
                1 / 0
            except ZeroDivisionError:
                logging.getLogger("shop").exception("not paid")
        logging.getLogger("shop").info("nothing to do with it")
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=PLAIN)

    story = run("find", ID).stdout

    assert "2 lines: orders 2; 1 ERROR" in story
    assert "INFO   paid" in story
    assert "ERROR  not paid" in story
    assert "ZeroDivisionError: division by zero" in story
    assert ("amount=5" in story) == (schema != "flat")


def test_find_of_an_id_that_is_not_there_exits_1(run, logs):
    result = run("find", "order/1744", logs)

    assert (result.returncode, result.stdout, result.stderr) == (1, "", "trackline: no line with the ID order/1744\n")


@pytest.mark.usefixtures("logs")
def test_find_of_an_id_that_trackline_would_not_use_searches_all_the_same(run, logs):
    (logs / "foreign.log").write_bytes(line("foreign", tracking_id="<a b>"))

    assert "foreign" in run("find", "<a b>").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["find"],
        ["find", ""],
        ["find", "a", "--nonsense"],
        ["find", "a", "--since", "yesterday"],
        ["find", "a", "--until", "2"],
        ["nonsense"],
        ["trace-id"],
        ["find", "a", "gone"],
        ["find", "a"],
        ["audit"],
        ["audit", "gone"],
        ["audit", "--nonsense"],
    ],
    ids=str,
)
def test_usage_error_exits_2_and_says_why_on_stderr(run, arguments):
    result = run(*arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_path_that_is_not_there_is_named_beside_what_is_found(run, logs):
    result = run("find", ID, logs, "gone")

    assert result.returncode == 0
    assert "second" in result.stdout
    assert result.stderr == "trackline: gone: No such file or directory\n"


def test_find_reads_stdin_where_the_path_is_a_dash(run):
    assert "piped" in run("find", ID, "-", input=line("piped").decode()).stdout


def numbered(*numbers, file_number=1, closed=True):
    """Make the lines of a process, with these numbers; the last closes its log."""
    fields = [{"message": "paid", "event.id": f"0123456789ab-{number}", "log.logger": "trackline"} for number in numbers]
    fields[0] |= {"event.action": "log-open", "labels": {"file_number": file_number}}
    if closed:
        fields[-1] |= {"event.action": "log-close", "labels": {"lines": len(numbers), "dropped": 0}}
    return b"".join(json.dumps(line).encode() + b"\n" for line in fields)


@pytest.fixture
def audited(tmp_path, run):
    """Give a function that audits a folder `logs` with this content."""

    def audited(content, *arguments, name="orders.log"):
        folder = tmp_path / "logs"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1, 1))  # so that nobody waits for more
        return run("audit", *arguments)

    return audited


def test_audit_of_a_log_that_is_whole_exits_0(audited):
    result = audited(numbered(1, 2, 3))

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "1 process, 3 lines: nothing missing"


def test_audit_of_a_log_with_a_gap_exits_1_and_says_where(audited):
    result = audited(numbered(1, 2, 5))

    assert (result.returncode, result.stderr) == (1, "")
    assert "2 missing at #3–4" in result.stdout


@pytest.mark.parametrize(
    "content",
    [
        numbered(1, 2, 2, 3),
        numbered(1, 2, 3, closed=False),
        numbered(1, 2) + b'{"mess\n',
        numbered(1, 2).replace(b"file_number", b"x")[1:],
    ],
    ids=["duplicated", "not closed", "broken", "earlier"],
)
def test_audit_exits_1_for_what_is_not_proved_only_if_it_is_to_be_strict(audited, content):
    assert audited(content).returncode == 0
    assert audited(content, "--strict").returncode == 1


def test_audit_exits_2_where_something_could_not_be_read(audited):
    result = audited(numbered(1, 2, 3), "logs", "gone")

    assert result.returncode == 2
    assert result.stderr == "trackline: gone: No such file or directory\n"
    assert "nothing missing" in result.stdout


def test_audit_exits_2_where_nothing_has_numbers(audited):
    result = audited(line("flat"))

    assert result.returncode == 2
    assert "nothing can be proved" in result.stdout


def test_audit_json_is_an_object_a_process_and_the_summary(audited):
    result = audited(numbered(1, 3), "--json")

    process, last = map(json.loads, result.stdout.splitlines())
    assert (process["nonce"], process["missing"], process["missing_numbers"]) == ("0123456789ab", 1, [[2, 2]])
    assert (last["summary"]["processes"], last["summary"]["lines"], last["summary"]["missing"]) == (1, 2, 1)


def test_audit_reads_stdin_where_the_path_is_a_dash(run):
    assert "1 process, 3 lines: nothing missing" in run("audit", "-", input=numbered(1, 2, 3).decode()).stdout


@pytest.mark.usefixtures("logs")
def test_find_since_and_until_leave_out_lines_before_and_after(run):
    assert "first" not in run("find", ID, "--since", "2026-11-22T14:40:02").stdout
    assert "second" not in run("find", ID, "--until", "2026-11-22T15:40:02+01:00").stdout


def test_trace_id_prints_the_derived_one(run):
    assert run("trace-id", ID).stdout == derive_trace_id(ID) + "\n"


def test_version_is_that_of_the_package(run):
    assert run("--version").stdout == f"trackline {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["find", "--help"], ["audit", "--help"], ["trace-id", "--help"]], ids=str)
def test_help_fits_a_terminal_of_80_columns(run, arguments):
    result = run(*arguments, env={"COLUMNS": "80"})

    assert result.returncode == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_command_trackline_is_the_same_as_the_module():
    (script,) = entry_points(group="console_scripts", name="trackline")

    assert script.value == "trackline.cli:main"


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("env", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({"FORCE_COLOR": ""}, False)],
    ids=str,
)
def test_pipe_has_colours_only_where_they_are_forced(run, env, colored):
    assert ("\x1b[" in run("find", ID, env=env).stdout) == colored


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(("env", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str)
def test_terminal_has_colours_unless_they_are_switched_off(run, env, colored):
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        run("find", ID, env={"TERM": "xterm", **env}, capture_output=False, stdout=theirs)
        os.close(theirs)
        assert (b"\x1b[" in terminal.read(4096)) == colored


def test_story_is_printed_on_a_terminal_that_knows_no_unicode(run, logs):
    (logs / "orders.log").write_bytes(line("schön 日本"))

    result = run("find", ID, env={"PYTHONIOENCODING": "ascii"})

    assert result.returncode == 0
    assert r"sch\xf6n" in result.stdout


def test_reader_that_has_seen_enough_is_no_error(tmp_path, logs):
    (logs / "orders.log").write_bytes(b"".join(line(f"{n} " + "x" * 1000) for n in range(2000)))

    for output in ([], ["--json"]):
        command = [sys.executable, "-m", "trackline", "find", ID, *output]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141


def test_ctrl_c_is_quiet(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)  # both ends, so that nobody waits for the other to open it
    os.write(pipe, b"x")
    command = [sys.executable, "-m", "trackline", "find", ID, "pipe"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None and select.select([pipe], [], [], 0)[0]:
            time.sleep(0.01)  # until the command has read the byte, and waits for more
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    os.close(pipe)

    assert (process.returncode, out, err) == (130, b"", b"")


def test_hostile_file_name_does_not_reach_the_terminal(run, logs):
    (logs / "\x1b[2J.log").symlink_to("gone")

    result = run("find", ID)

    assert r"\x1b[2J.log: No such file" in result.stderr
    assert "\x1b" not in result.stderr


def test_command_and_search_import_nothing_but_the_standard_library():
    code = """if True:
        import sys, trackline
        before = set(sys.modules)
        import trackline.cli, trackline.__main__, trackline.search
        names = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(*sorted(names - set(sys.stdlib_module_names) - {"trackline"}))
    """
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert result.stdout == "\n"


def test_help_does_not_import_the_search():
    code = "import sys, trackline.cli; print('trackline.search' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert result.stdout == "False\n"


@pytest.mark.parametrize("command", [["find", "a"], ["audit"], ["audit", "logs"]], ids=str)
def test_elasticsearch_that_is_not_installed_is_named_with_what_to_do(tmp_path, command):
    code = f"import sys; sys.modules['elasticsearch'] = None; from trackline.cli import main; sys.exit(main({command} + sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--elasticsearch", "http://127.0.0.1:9"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    assert (result.returncode, result.stdout) == (2, "")
    assert "pip install 'trackline[elasticsearch]'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["find", "a", "--index", "logs-*"],
        ["audit", "--ca", "x"],
        ["audit", "--wait", "1"],
        ["audit", "--since", "1d"],
        ["find", "a", "logs", "--elasticsearch", "http://127.0.0.1:9"],
        ["audit", "logs", "--since", "1d", "--elasticsearch", "http://127.0.0.1:9"],
        ["find", "a", "--timeout", "soon", "--elasticsearch", "http://127.0.0.1:9"],
    ],
    ids=str,
)
def test_option_that_means_nothing_beside_the_others_exits_2_and_is_named(run, arguments):
    result = run(*arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert "error: argument" in result.stderr
