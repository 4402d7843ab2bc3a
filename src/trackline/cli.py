"""The command `trackline`. Each subcommand is one function, which imports what it needs: ``--help`` is there at once."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from trackline._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  trackline find 7b1c9a52                 the story of one request, from ./logs
  trackline find 7b1c9a52 /var/log/myapp  from another directory, and below it
  trackline find 7b1c9a52 --json | jq .   the lines themselves
  trackline trace-id order-1742           what to look for in the tracing UI
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
  trackline find 7b1c9a52 --json | jq -r '.message'
  trackline find -- -odd-id                  an ID that begins with a dash

NO_COLOR=1 switches colours off, FORCE_COLOR=1 keeps them in a pipe.
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
    from trackline.search.terminal import printable

    if not arguments.id:
        arguments.parser.error("argument ID: expected a text that is not empty")
    paths = ["/dev/stdin" if path == "-" else path for path in arguments.paths]
    lines = find_lines(arguments.id, paths, warn=lambda message: _complain(printable(message)))
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


def trace_id(arguments: argparse.Namespace) -> int:
    """Print the trace ID which is derived from a tracking ID."""
    from trackline.identity import derive_trace_id

    print(derive_trace_id(arguments.id))
    return 0


def wants_color(stream: TextIO) -> bool:
    """Say whether to colour what goes to a stream: on a terminal, save that NO_COLOR and FORCE_COLOR have the last word."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "trackline", description="One tracking ID for every request.", epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"trackline {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    command = commands.add_parser(
        "find", help="the story of one request, from the log files", description=_FIND, epilog=_FIND_MORE, formatter_class=raw
    )
    command.add_argument("id", metavar="ID", help="a tracking ID or trace ID, exactly as it was logged")
    command.add_argument(
        "paths", metavar="PATH", nargs="*", default=["logs"], help="a log file, a directory, or - for stdin (default: logs)"
    )
    command.add_argument("--json", action="store_true", help="print the lines as they were logged, one JSON object each")
    command.set_defaults(run=find, parser=command)

    command = commands.add_parser(
        "trace-id", help="the trace ID derived from a tracking ID", description=_TRACE_ID, formatter_class=raw
    )
    command.add_argument("id", metavar="ID", help="a tracking ID; any text")
    command.set_defaults(run=trace_id)
    return parser


def _complain(message: str) -> None:
    print(f"trackline: {message}", file=sys.stderr)
