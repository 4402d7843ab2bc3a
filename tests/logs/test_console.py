"""Standard output: for a person on a terminal, lines of JSON everywhere else."""

import json
import logging
import os
import pty
import re
import sys

import pytest

from logs.reading import run
from trackline import setup_logging

SCRIPT = """
import logging, trackline
with trackline.setup_logging("orders", file=False{}):
    logging.getLogger("app").info("paid", extra={{"amount": 12}})
    logging.getLogger("app").error("not paid")
"""
PRETTY = re.compile(r"\d\d:\d\d:\d\d\.\d{3} INFO  -        app              paid  amount=12\n")


def on_terminal(script, cwd, **environment):
    """Give what a script writes to a terminal."""
    terminal, inner = pty.openpty()
    process = run(script, cwd=cwd, wait=False, stdout=inner, env={"TERM": "xterm", **environment})
    os.close(inner)
    read = b""
    try:
        while chunk := os.read(terminal, 65536):
            read += chunk
    except OSError:  # EIO: nobody has the other end any more
        pass
    os.close(terminal)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    return read.decode().replace("\r\n", "\n")


def test_terminal_shows_colored_rows_for_a_person(tmp_path):
    shown = on_terminal(SCRIPT.format(""), tmp_path)

    assert "\x1b[32mINFO \x1b[0m" in shown
    assert "\x1b[31mERROR\x1b[0m" in shown
    assert PRETTY.match(re.sub(r"\x1b\[[0-9;]*m", "", shown))


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_terminal_without_colors_shows_plain_rows(environment, tmp_path):
    assert PRETTY.match(on_terminal(SCRIPT.format(""), tmp_path, **environment))


@pytest.mark.parametrize("console", ["True", "'json'"])
def test_terminal_shows_json_where_it_is_asked_for(console, tmp_path):
    assert [json.loads(line)["message"] for line in on_terminal(SCRIPT.format(f", console={console}"), tmp_path).splitlines()] == [
        "paid",
        "not paid",
    ]


def test_pipe_gets_json(tmp_path):
    assert [json.loads(line)["message"] for line in run(SCRIPT.format(""), cwd=tmp_path).out.splitlines()] == ["paid", "not paid"]


def test_pipe_gets_rows_for_a_person_where_they_are_asked_for(tmp_path):
    script = SCRIPT.format(", console='pretty'")

    assert PRETTY.match(run(script, cwd=tmp_path).out)
    assert "\x1b[32mINFO" in run(script, cwd=tmp_path, env={"FORCE_COLOR": "1"}).out


@pytest.mark.parametrize("console", ["auto", "pretty"])
def test_stream_that_can_do_nothing_but_write_gets_the_lines(console, tmp_path, monkeypatch):
    class Stream:
        written = ""

        def write(self, text):
            self.written += text

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Stream())
    with setup_logging("orders", file=False, console=console):
        logging.getLogger("app").info("paid")

    assert "paid" in sys.stdout.written


def test_stream_of_another_encoding_gets_what_it_can_show(tmp_path):
    script = (
        "import logging, trackline\nwith trackline.setup_logging(file=False, console='pretty'):\n    logging.getLogger('ä').info('€')"
    )

    assert "\\u20ac" in run(script, cwd=tmp_path, env={"PYTHONIOENCODING": "latin-1"}, encoding="latin-1").out


def test_file_has_json_while_the_terminal_has_rows(tmp_path):
    on_terminal(SCRIPT.format(", log_dir='.'").replace("file=False", "file=True"), tmp_path)

    assert [json.loads(line)["log.level"] for line in (tmp_path / "orders.log").read_text().splitlines()[1:3]] == ["info", "error"]
