"""Options that more than one subcommand takes, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from trackline.cli.connection import CA, KEY, URL, OptionError, connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from trackline.elastic.connection import Connection

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse names it nowhere else

_INDEX = "logs-*-*"
_TIMEOUT = 30.0


def add_paths(command: argparse.ArgumentParser) -> None:
    """Add PATH, of which there may be several."""
    command.add_argument("paths", metavar="PATH", nargs="*", help="a log file, a directory, or - for stdin (default: logs)")


def named(paths: Sequence[str]) -> list[str]:
    """Give the paths of files, also for ``-`` and for none."""
    return ["/dev/stdin" if path == "-" else path for path in paths or ["logs"]]


def add_times(command: argparse._ActionsContainer) -> None:
    """Add --since and --until."""
    command.add_argument("--since", metavar="WHEN", type=when, help="only lines from then on: 2026-11-22T14:40, in UTC, or 2h ago: 2h")
    command.add_argument("--until", metavar="WHEN", type=when, help="only lines up to then")


def add_elasticsearch(command: argparse.ArgumentParser, text: str) -> argparse._ArgumentGroup:
    """Add --elasticsearch, which ``text`` explains, and what goes with it; give their group."""
    group = command.add_argument_group("Elasticsearch")
    group.add_argument("--elasticsearch", metavar="URL", nargs="?", const="", help=f"{text} (default, if no URL follows: {URL})")
    group.add_argument("--index", metavar="PATTERN", help=f"indices or data streams, with commas (default: {_INDEX})")
    group.add_argument("--api-key-file", metavar="FILE", help=f"a file with an API key (default: the key is in {KEY})")
    group.add_argument("--ca", metavar="FILE", help=f"certificates to trust, in PEM (default: {CA}, or the system's)")
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, help=f"how long each answer may take (default: {_TIMEOUT:g})")
    return group


def index_of(arguments: argparse.Namespace) -> str:
    """Give the pattern of --index."""
    return arguments.index or _INDEX


def connect_by(arguments: argparse.Namespace) -> Connection:
    """Give the connection that the options and the environment speak of. Raises OptionError, or ElasticError."""
    if arguments.timeout == 0:
        raise OptionError("argument --timeout: expected more than 0 seconds")
    timeout = arguments.timeout or _TIMEOUT
    return connect("--elasticsearch", arguments.elasticsearch, arguments.ca, api_key_file=arguments.api_key_file, timeout=timeout)


def explained(error: Exception | str) -> str:
    """Say what went wrong between us and Elasticsearch, and by which option it can be mended."""
    text = str(error)
    if "no answer in time" in text:
        return f"{text}: give it more time with --timeout, or less to do with --since, --until and --index"
    if "Accept version must be" in text:  # the header names the version whose answers we understand
        return f"{text}: trackline needs Elasticsearch 8 or later"
    return f"--{text}" if text.startswith("index=") else text


def only_with_elasticsearch(arguments: argparse.Namespace, *more: str) -> None:
    """Refuse the options that mean nothing without it."""
    for option in ("index", "api_key_file", "ca", "timeout", *more):
        if getattr(arguments, option) is not None:
            arguments.parser.error(f"argument --{option.replace('_', '-')}: only with --elasticsearch")


def when(text: str) -> datetime:
    """Read the value of an option that takes a time; the parser says what is wrong with it."""
    from trackline.search.line import parse_when

    try:
        return parse_when(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """Read the value of an option that takes a number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds up to 3600")
    return number
