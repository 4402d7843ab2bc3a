"""How the tests read what was logged, and run what has to end."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from trackline.logs.resource import Resource
from trackline.logs.schema import SCHEMAS

MAX_LINE = 256 * 1024
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACKLINE_"))}


def parse(line):
    """Give the JSON object of a line; fails where it is not exactly one line, of UTF-8, shorter than the limit, with unique keys."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) < MAX_LINE

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), "a key is there twice"
        return dict(pairs)

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(line.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


def read(path):
    """Give all lines of a file, parsed."""
    return [parse(line) for line in Path(path).read_bytes().splitlines(keepends=True)]


def action(line):
    return line.get("event.action")


def messages(*paths):
    """Give the messages of ECS lines that are not our own."""
    return [line["message"] for path in paths for line in read(path) if action(line) is None]


def numbers(*paths):
    """Give the number that each message begins with."""
    return [int(message.split()[0]) for message in messages(*paths)]


def make_record(msg="paid", args=(), *, level=logging.INFO, exc_info=None, **extra):
    record = logging.getLogger("app").makeRecord("app", level, "/srv/main.py", 12, msg, None, exc_info, "pay", extra or None)
    record.args = args[0] if len(args) == 1 and type(args[0]) is dict and args[0] else args  # as logging does
    return record


def schema(name="ecs", service="orders", **attributes):
    return SCHEMAS[name](Resource(service, attributes))


def line_of(record, name="ecs"):
    return parse(schema(name).line(record))


def run(script, *, cwd, wait=True, env=None, file=None, **options):
    """Run a script, or a file, in a process of its own."""
    command = [sys.executable, "-W", "error", *([file] if file else ["-c", textwrap.dedent(script)])]
    options = {"cwd": cwd, "env": {**ENVIRONMENT, **(env or {})}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(command, text=True, **options)
    if not wait:
        return process
    try:
        process.out, process.err = process.communicate(timeout=60)
    finally:
        process.kill()  # where it hangs
    return process


def wait_for(condition, seconds=20):
    """Wait until something is so, and fail where it is not so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)
