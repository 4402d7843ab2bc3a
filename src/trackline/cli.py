"""The command `trackline`. Each subcommand is one function, which imports what it needs: ``--help`` is there at once."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trackline._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_EXAMPLES = """\
examples:
  trackline demo                          how it looks, with real services
  trackline find 7b1c9a52                 the story of one request, from ./logs
  trackline find 7b1c9a52 /var/log/myapp  from another directory, and below it
  trackline find 7b1c9a52 --json | jq .   the lines themselves
  trackline audit                         is every line there?
  trackline trace-id order-1742           what to look for in the tracing UI
"""
_DEMO = """\
Start three services (gateway, orders with two workers, payments) with uvicorn on
free ports of this machine, send ten requests through them, and tell the story
of each from the log files, found by the ID on its response. It takes a few
seconds; no process and no port is left behind, also after Ctrl-C.

The files go to a new folder trackline-demo-… where this system has temporary
files (see --dir); the output says which.
"""
_DEMO_MORE = """\
exit status:
  0 every expected line was found under its ID and under no other, 1 not so,
  2 the command line is wrong or a package is missing, 130 Ctrl-C
"""
_FIND = """\
Search log files for the lines of one request and tell them in order of time,
over all services and processes: live, rotated and compressed files, in the
formats ecs, otel and flat, even while they are written to.

ID is a tracking ID or a trace ID. Lines count whose ID it is, or whose trace ID
is derived from it; not those whose message merely mentions it.
"""
_FIND_MORE = """\
exit status:
  0 there are lines, 1 there are none, 2 the command line is wrong

examples:
  trackline find 7b1c9a52
  trackline find 7b1c9a52 /var/log/orders /var/log/billing/app.log*
  kubectl logs deploy/orders | trackline find 7b1c9a52 -
  trackline find 7b1c9a52 --since 2h         older files are not even opened
  trackline find 7b1c9a52 --json | jq -r '.message'
  trackline find -- -odd-id                  an ID that begins with a dash

NO_COLOR=1 switches colours off, FORCE_COLOR=1 keeps them in a pipe.
"""
_AUDIT = """\
Prove that no line was lost: each process numbers its lines without gaps, in
event.id, and says how many it has dropped. For each process: what is there,
dropped, missing, there more than once, and whether its log is closed; then
what is broken. Live, rotated and compressed files are read, also while they
are written to. Lines of the schema flat have no numbers.
"""
_AUDIT_MORE = """\
exit status:
  0 nothing is missing that was not declared dropped, 1 something is,
  2 the command line is wrong, something could not be read, or has no numbers

Lines from before the oldest file of a process (retention has deleted it, or it
was not given) are counted, but not as missing. Duplicated and broken lines and
processes that are not closed do not make it 1 either; with --strict all do.

examples:
  trackline audit
  trackline audit /var/log/orders /var/log/billing
  trackline audit --strict logs              after a test, when all has ended
  trackline audit --json | jq -c 'select(.missing > 0)'
"""
_TRACE_ID = """\
Print the trace ID which every service derives from a tracking ID: what to look
for in the tracing UI, if the request came with X-Request-ID and no traceparent.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.run is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough (`| head`). What is still buffered must not be written when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def find(arguments: argparse.Namespace) -> int:
    """Print the lines of a request as a story, or as they are."""
    from trackline.search.files import find_lines
    from trackline.search.story import render_story
    from trackline.terminal import printable, wants_color

    if not arguments.id:
        arguments.parser.error("argument ID: expected a text that is not empty")
    paths = _named(arguments.paths)
    times = {"since": arguments.since, "until": arguments.until}
    lines = find_lines(arguments.id, paths, **times, warn=lambda message: _complain(printable(message)))
    if arguments.json:
        # As bytes: the lines are printed exactly as they were logged.
        for line in lines:
            sys.stdout.buffer.write(line.raw + b"\n")
    elif lines:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        width = shutil.get_terminal_size((120, 24)).columns
        story = render_story(arguments.id, lines, width=width, color=wants_color(sys.stdout))
        # Row by row: under PYTHONUNBUFFERED one large write that breaks off half-way raises nothing.
        sys.stdout.writelines(story.splitlines(keepends=True))
    if not lines:
        _complain(f"no line with the ID {printable(arguments.id)}")
        return 2 if not any(map(os.path.lexists, paths)) else 1
    return 0


def audit(arguments: argparse.Namespace) -> int:
    """Say of each process what was written, dropped, missing and duplicated."""
    import json

    from trackline.search.audit import audit as audited
    from trackline.search.verdict import render_audit
    from trackline.terminal import printable, wants_color

    report = audited(_named(arguments.paths))
    for problem in report.problems:
        _complain(printable(problem))
    if arguments.json:
        for process in report.processes:
            print(json.dumps(process.as_dict()))
        print(json.dumps({"summary": report.as_dict()}))
    elif report.files:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        width = shutil.get_terminal_size((120, 24)).columns
        sys.stdout.writelines(render_audit(report, width=width, color=wants_color(sys.stdout)).splitlines(keepends=True))
    if report.missing or (arguments.strict and report.processes and not report.is_proved):
        return 1
    return 2 if report.problems or not report.processes else 0


def demo(arguments: argparse.Namespace) -> int:
    """Run three services, send ten requests, and tell their stories."""
    if missing := [name for name in ("fastapi", "httpx", "uvicorn", "websockets") if find_spec(name) is None]:
        _complain(f"the demo needs {', '.join(missing)}: pip install 'trackline[demo]'")
        return 2
    from trackline.demo.run import run_demo
    from trackline.terminal import wants_color

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    color = not arguments.no_color and wants_color(sys.stdout)
    try:
        return run_demo(arguments.dir, serve=arguments.serve, width=width, color=color)
    except ValueError as error:
        _complain(str(error))
        return 2


def trace_id(arguments: argparse.Namespace) -> int:
    """Print the trace ID which is derived from a tracking ID."""
    from trackline.identity import derive_trace_id

    print(derive_trace_id(arguments.id))
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "trackline", description="One tracking ID for every request.", epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"trackline {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    command = commands.add_parser(
        "demo", help="three real services, ten requests, the story of each", description=_DEMO, epilog=_DEMO_MORE, formatter_class=raw
    )
    command.add_argument("--serve", action="store_true", help="keep the services running afterwards, until Ctrl-C")
    command.add_argument("--dir", metavar="DIR", type=Path, help="where the log files go: a folder that is empty or not there yet")
    command.add_argument("--no-color", action="store_true", help="no colours, as with NO_COLOR=1")
    command.set_defaults(run=demo, parser=command)

    command = commands.add_parser(
        "find", help="the story of one request, from the log files", description=_FIND, epilog=_FIND_MORE, formatter_class=raw
    )
    command.add_argument("id", metavar="ID", help="a tracking ID or trace ID, exactly as it was logged")
    command.add_argument(
        "paths", metavar="PATH", nargs="*", default=["logs"], help="a log file, a directory, or - for stdin (default: logs)"
    )
    command.add_argument("--since", metavar="WHEN", type=_when, help="only lines from then on: 2026-11-22T14:40, in UTC, or 2h ago: 2h")
    command.add_argument("--until", metavar="WHEN", type=_when, help="only lines up to then")
    command.add_argument("--json", action="store_true", help="print the lines as they were logged, one JSON object each")
    command.set_defaults(run=find, parser=command)

    command = commands.add_parser(
        "audit", help="whether every line is there, process by process", description=_AUDIT, epilog=_AUDIT_MORE, formatter_class=raw
    )
    command.add_argument(
        "paths", metavar="PATH", nargs="*", default=["logs"], help="a log file, a directory, or - for stdin (default: logs)"
    )
    command.add_argument("--strict", action="store_true", help="exit with 1 for all that is not proved, see below")
    command.add_argument("--json", action="store_true", help="one JSON object a process, and one with the summary")
    command.set_defaults(run=audit, parser=command)

    command = commands.add_parser(
        "trace-id", help="the trace ID derived from a tracking ID", description=_TRACE_ID, formatter_class=raw
    )
    command.add_argument("id", metavar="ID", help="a tracking ID; any text")
    command.set_defaults(run=trace_id)
    return parser


def _when(text: str) -> datetime:
    from trackline.search.line import parse_when

    try:
        return parse_when(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _named(paths: Sequence[str]) -> list[str]:
    return ["/dev/stdin" if path == "-" else path for path in paths]


def _complain(message: str) -> None:
    print(f"trackline: {message}", file=sys.stderr)
