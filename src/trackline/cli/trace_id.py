"""`trackline trace-id ID`: the trace ID that is derived from a tracking ID."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
Print the trace ID which every service derives from a tracking ID: what to look
for in the tracing UI, if the request came with X-Request-ID and no traceparent.
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "trace-id",
        help="the trace ID derived from a tracking ID",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("id", metavar="ID", help="a tracking ID; any text")
    command.set_defaults(run=trace_id)


def trace_id(arguments: argparse.Namespace) -> int:
    """Print the trace ID which is derived from a tracking ID."""
    from trackline.identity import derive_trace_id

    print(derive_trace_id(arguments.id))
    return 0
