"""`trackline find ID`: the lines of one request, as a story or as they are."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from trackline.cli.console import complain, tell
from trackline.cli.options import add_paths, named, when

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
Search log files for the lines of one request and tell them in order of time,
over all services and processes: live, rotated and compressed files, in the
formats ecs, otel and flat, even while they are written to.

ID is a tracking ID or a trace ID. Lines count whose ID it is, or whose trace ID
is derived from it; not those whose message merely mentions it.
"""
_EPILOG = """\
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


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "find",
        help="the story of one request, from the log files",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("id", metavar="ID", help="a tracking ID or trace ID, exactly as it was logged")
    add_paths(command)
    command.add_argument("--since", metavar="WHEN", type=when, help="only lines from then on: 2026-11-22T14:40, in UTC, or 2h ago: 2h")
    command.add_argument("--until", metavar="WHEN", type=when, help="only lines up to then")
    command.add_argument("--json", action="store_true", help="print the lines as they were logged, one JSON object each")
    command.set_defaults(run=find, parser=command)


def find(arguments: argparse.Namespace) -> int:
    """Print the lines of a request as a story, or as they are."""
    from trackline.search.files import find_lines
    from trackline.search.story import render_story
    from trackline.terminal import printable

    if not arguments.id:
        arguments.parser.error("argument ID: expected a text that is not empty")
    paths = named(arguments.paths)
    times = {"since": arguments.since, "until": arguments.until}
    lines = find_lines(arguments.id, paths, **times, warn=lambda message: complain(printable(message)))
    if arguments.json:
        # As bytes: the lines are printed exactly as they were logged.
        for line in lines:
            sys.stdout.buffer.write(line.raw + b"\n")
    elif lines:
        tell(lambda width, color: render_story(arguments.id, lines, width=width, color=color))
    if not lines:
        complain(f"no line with the ID {printable(arguments.id)}")
        return 2 if not any(map(os.path.lexists, paths)) else 1
    return 0
