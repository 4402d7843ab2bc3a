"""The command `trackline`. One file a subcommand, which imports what it needs when it is run: ``--help`` is there at once."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from trackline._version import __version__
from trackline.cli import audit, collector, demo, elastic, find, trace_id

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  trackline demo                          how it looks, with real services
  trackline find 7b1c9a52                 the story of one request, from ./logs
  trackline find 7b1c9a52 /var/log/myapp  from another directory, and below it
  trackline find 7b1c9a52 --json | jq .   the lines themselves
  trackline audit                         is every line there?
  trackline trace-id order-1742           what to look for in the tracing UI
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


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "trackline", description="One tracking ID for every request.", epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"trackline {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for subcommand in (demo, find, audit, elastic, collector, trace_id):
        subcommand.add(commands)
    return parser
