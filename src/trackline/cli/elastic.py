"""`trackline elastic`: the templates, the lifecycle and the rights for log lines in Elasticsearch; and keys."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from trackline.cli import elastic_apply, elastic_key

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
Prepare an Elasticsearch (8.14 or later) for log lines. Who asks is said by
ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD.
"""


def add(commands: Commands) -> None:
    """Add the subcommand, which has subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "elastic", help="prepare an Elasticsearch: templates, retention, keys", description=_DESCRIPTION, formatter_class=raw
    )
    parser.set_defaults(run=lambda arguments: arguments.parser.print_help(sys.stderr) or 2, parser=parser)
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for subcommand in (elastic_apply, elastic_key):
        subcommand.add(subcommands)
