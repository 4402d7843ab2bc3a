"""`trackline find ID`: the lines of one request, from files or from Elasticsearch, as a story or as they are."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from trackline.cli.connection import OptionError
from trackline.cli.console import complain, tell
from trackline.cli.options import (
    add_elasticsearch,
    add_paths,
    add_times,
    connect_by,
    explained,
    index_of,
    named,
    only_with_elasticsearch,
)

if TYPE_CHECKING:
    from trackline.cli.options import Commands
    from trackline.search.line import Line

_DESCRIPTION = """\
Search log files for the lines of one request and tell them in order of time,
over all services and processes: live, rotated and compressed files, in the
formats ecs, otel and flat, even while they are written to. With --elasticsearch
the same lines are read from where a shipper has put them.

ID is a tracking ID or a trace ID. Lines count whose ID it is, or whose trace ID
is derived from it; not those whose message merely mentions it.
"""
_EPILOG = """\
exit status:
  0 there are lines, 1 there are none, 2 the command line is wrong, or
  Elasticsearch cannot be searched

examples:
  trackline find 7b1c9a52
  trackline find 7b1c9a52 /var/log/orders /var/log/billing/app.log*
  kubectl logs deploy/orders | trackline find 7b1c9a52 -
  trackline find 7b1c9a52 --since 2h         older files are not even opened
  trackline find 7b1c9a52 --json | jq -r '.message'
  trackline find 7b1c9a52 --elasticsearch https://logs.example.org:9200
  trackline find 7b1c9a52 --since 2d --elasticsearch     of ELASTICSEARCH_URL
  trackline find -- -odd-id                  an ID that begins with a dash

An API key is taken from ELASTICSEARCH_API_KEY or from a file, never from the
command line, which others can read; a user from ELASTICSEARCH_USERNAME and
ELASTICSEARCH_PASSWORD. It needs the privilege read.

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
    add_times(command)
    command.add_argument("--json", action="store_true", help="print the lines as they were logged, one JSON object each")
    add_elasticsearch(command, "search there instead of in files")
    command.set_defaults(run=find, parser=command)


def find(arguments: argparse.Namespace) -> int:
    """Print the lines of a request as a story, or as they are."""
    from trackline.search.story import render_story

    if not arguments.id:
        arguments.parser.error("argument ID: expected a text that is not empty")
    if arguments.elasticsearch is not None and arguments.paths:
        arguments.parser.error("argument PATH: not with --elasticsearch")
    lines, is_searched = _in_files(arguments) if arguments.elasticsearch is None else _in_elasticsearch(arguments)
    if arguments.json:
        # As bytes: the lines are printed exactly as they were logged.
        for line in lines:
            sys.stdout.buffer.write(line.raw + b"\n")
    elif lines:
        tell(lambda width, color: render_story(arguments.id, lines, width=width, color=color))
    if not lines and is_searched is not None:
        complain(f"no line with the ID {arguments.id}")
    return 0 if lines else 1 if is_searched else 2


def _in_files(arguments: argparse.Namespace) -> tuple[list[Line], bool | None]:
    """Give the lines, and whether there was anything to search."""
    from trackline.search.files import find_lines

    only_with_elasticsearch(arguments)
    paths = named(arguments.paths)
    lines = find_lines(arguments.id, paths, since=arguments.since, until=arguments.until, warn=complain)
    return lines, any(map(os.path.lexists, paths))


def _in_elasticsearch(arguments: argparse.Namespace) -> tuple[list[Line], bool | None]:
    """Give the lines, and whether it could be searched; None where it was said why not."""
    from trackline.elastic.connection import ElasticError
    from trackline.search.elasticsearch import find_lines

    times = {"since": arguments.since, "until": arguments.until}
    try:
        with connect_by(arguments) as connection:
            return find_lines(arguments.id, connection, index=index_of(arguments), **times, warn=complain), True
    except (OptionError, ElasticError) as error:
        complain(explained(error))
        return [], None
