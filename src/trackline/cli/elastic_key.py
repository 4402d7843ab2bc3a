"""`trackline elastic key`: an API key that can append, or read, and nothing else."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from trackline.cli.elastic_options import add_connection, add_streams, connected

if TYPE_CHECKING:
    from trackline.cli.options import Commands
    from trackline.elastic.connection import Connection
    from trackline.elastic.options import Options

_DESCRIPTION = """\
Make an API key which can append log lines and nothing else: not read, not
delete, not overwrite, no other index. For Filebeat, the Collector and whoever
else ships. With --read one which can read them and nothing else, for
`trackline find --elasticsearch`. It is printed this once.
"""
_EPILOG = """\
exit status:
  0 here it is, 2 the command line is wrong, or Elasticsearch refused

examples:
  trackline elastic key web-1
  trackline elastic key web-1 --expires 365d --service orders
  trackline elastic key support --read
  trackline elastic key web-1 --json | jq -r .encoded | filebeat keystore add ELASTICSEARCH_API_KEY --stdin
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "key",
        help="make an API key that can only append, or only read",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", metavar="NAME", help="what to call it: the machine or the shipper that has it")
    add_connection(command)
    add_streams(command)
    command.add_argument("--read", action="store_true", help="one that reads, rather than appends")
    command.add_argument("--expires", metavar="AGE", help="when it ends: 90d (default: never)")
    command.add_argument("--json", action="store_true", help="as one JSON object")
    command.set_defaults(run=key, parser=command)


def key(arguments: argparse.Namespace) -> int:
    """Make an API key and print it."""

    def run(connection: Connection, options: Options) -> int:
        from trackline.elastic.keys import create_key

        made = create_key(connection, arguments.name, options, reads=arguments.read, expires=arguments.expires)
        if arguments.json:
            said = {"name": made.name, "id": made.id, "id_key": made.pair, "encoded": made.encoded, "streams": made.streams}
            print(json.dumps(said))
            return 0
        print(f"API key {made.name}, which can only {'read' if arguments.read else 'append to'} {', '.join(made.streams)}.")
        print("It is shown this once:")
        print(f"  encoded   {made.encoded}   ELASTICSEARCH_API_KEY, of the files in collector/ and of trackline")
        print(f"  id:key    {made.pair}   what Filebeat's own setting api_key takes")
        return 0

    return connected(arguments, run)
