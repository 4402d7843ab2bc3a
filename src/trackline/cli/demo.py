"""`trackline demo`: three real services, ten requests, the story of each."""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trackline.cli.console import complain

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
Start three services (gateway, orders with two workers, payments) with uvicorn on
free ports of this machine, send ten requests through them, and tell the story
of each from the log files, found by the ID on its response. It takes a few
seconds; no process and no port is left behind, also after Ctrl-C.

The files go to a new folder trackline-demo-… where this system has temporary
files (see --dir); the output says which.
"""
_EPILOG = """\
exit status:
  0 every expected line was found under its ID and under no other, 1 not so,
  2 the command line is wrong or a package is missing, 130 Ctrl-C
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "demo",
        help="three real services, ten requests, the story of each",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--serve", action="store_true", help="keep the services running afterwards, until Ctrl-C")
    command.add_argument("--dir", metavar="DIR", type=Path, help="where the log files go: a folder that is empty or not there yet")
    command.add_argument("--no-color", action="store_true", help="no colours, as with NO_COLOR=1")
    command.set_defaults(run=demo, parser=command)


def demo(arguments: argparse.Namespace) -> int:
    """Run three services, send ten requests, and tell their stories."""
    if missing := [name for name in ("fastapi", "httpx", "uvicorn", "websockets") if find_spec(name) is None]:
        complain(f"the demo needs {', '.join(missing)}: pip install 'trackline[demo]'")
        return 2
    from trackline.demo.run import run_demo
    from trackline.terminal import wants_color

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    color = not arguments.no_color and wants_color(sys.stdout)
    try:
        return run_demo(arguments.dir, serve=arguments.serve, width=width, color=color)
    except ValueError as error:
        complain(str(error))
        return 2
