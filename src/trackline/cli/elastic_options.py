"""What the subcommands of `trackline elastic` have in common: the connection, and the streams that are meant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trackline.cli.connection import CA, URL, OptionError, connect
from trackline.cli.console import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from trackline.elastic.connection import Connection
    from trackline.elastic.options import Options


def add_connection(command: argparse.ArgumentParser) -> None:
    """Add --url and --ca. Who asks is said by the environment alone: a command line can be read by others."""
    command.add_argument("--url", metavar="URL", help=f"where Elasticsearch is (default: {URL})")
    command.add_argument("--ca", metavar="FILE", help=f"certificates to trust, in PEM (default: {CA}, or the system's)")


def add_streams(command: argparse.ArgumentParser) -> None:
    """Add --service and --namespace."""
    command.add_argument(
        "--service",
        metavar="NAME",
        action="append",
        default=[],
        help="only its streams, logs-NAME-*; again for more (default: all)",
    )
    command.add_argument("--namespace", metavar="NAME", help="only logs-*-NAME (default: TRACKLINE_NAMESPACE, else all)")


def connected(arguments: argparse.Namespace, run: Callable[[Connection, Options], int]) -> int:
    """Connect, read the options, and run; what is wrong is said."""
    from trackline.elastic.connection import ElasticError
    from trackline.elastic.options import Options
    from trackline.terminal import printable

    given: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("lifecycle", "replicas", "timestamp") if getattr(arguments, name, None) is not None
    }
    if (retention := getattr(arguments, "retention", None)) is not None:
        given["retention"] = None if retention == "forever" else retention
    try:
        options = Options(
            services=tuple(arguments.service),
            namespace=arguments.namespace or os.environ.get("TRACKLINE_NAMESPACE") or None,
            failure_store=not getattr(arguments, "no_failure_store", False),
            **given,
        )
        options.patterns  # noqa: B018  (says what is wrong with the name of a service)
    except ValueError as error:
        arguments.parser.error(str(error))
    try:
        with connect("--url", arguments.url, arguments.ca) as connection:
            return run(connection, options)
    except (OptionError, ElasticError) as error:
        complain("\n".join(map(printable, str(error).splitlines())))
        return 2
