"""Options that more than one subcommand takes, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse names it nowhere else


def add_paths(command: argparse.ArgumentParser) -> None:
    """Add PATH, of which there may be several."""
    command.add_argument(
        "paths", metavar="PATH", nargs="*", default=["logs"], help="a log file, a directory, or - for stdin (default: logs)"
    )


def named(paths: Sequence[str]) -> list[str]:
    """Give the paths of files, also for ``-``."""
    return ["/dev/stdin" if path == "-" else path for path in paths]


def when(text: str) -> datetime:
    """Read the value of an option that takes a time; the parser says what is wrong with it."""
    from trackline.search.line import parse_when

    try:
        return parse_when(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
