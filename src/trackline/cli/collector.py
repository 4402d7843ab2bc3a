"""`trackline collector`: the files for shippers, Elasticsearch and Kibana, for who has nothing but the wheel."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trackline.cli.console import complain

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
The files that bring lines to Elasticsearch and into Kibana: Filebeat, the
OpenTelemetry Collector, templates, saved objects, logrotate, compose.yaml.
"""
_COPY = """\
Write them into a folder, to be changed there and kept with your own. What is
there already is left alone, and is named; --force overwrites it.
"""


def add(commands: Commands) -> None:
    """Add the subcommand, which has subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "collector", help="the files for Filebeat, the Collector, Kibana", description=_DESCRIPTION, formatter_class=raw
    )
    parser.set_defaults(run=lambda arguments: arguments.parser.print_help(sys.stderr) or 2, parser=parser)
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND")
    command = subcommands.add_parser("copy", help="write them into a folder", description=_COPY, formatter_class=raw)
    command.add_argument("folder", metavar="DIR", type=Path, help="made if it is not there")
    command.add_argument("--force", action="store_true", help="overwrite what is there")
    command.set_defaults(run=copy, parser=command)


def copy(arguments: argparse.Namespace) -> int:
    """Write the files into a folder."""
    from trackline.collector import copy_files

    try:
        written, kept = copy_files(arguments.folder, overwrites=arguments.force)
    except OSError as error:
        complain(str(error))
        return 2
    print(f"{arguments.folder}: {len(written)} files")
    for path in kept:
        complain(f"{path}: is there, and differs: left alone (--force overwrites it)")
    return 1 if kept else 0
