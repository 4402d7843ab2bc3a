"""What the subcommands of `trackline elastic` have in common: the connection, and the streams that are meant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trackline.cli.console import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from trackline.elastic.connection import Connection
    from trackline.elastic.options import Options


_URL, _CA = "ELASTICSEARCH_URL", "ELASTICSEARCH_CA"


def add_connection(command: argparse.ArgumentParser) -> None:
    """Add --url and --ca. Who asks is said by the environment alone: a command line can be read by others."""
    command.add_argument("--url", metavar="URL", help="where Elasticsearch is (default: ELASTICSEARCH_URL)")
    command.add_argument("--ca", metavar="FILE", help="certificates to trust, PEM (default: ELASTICSEARCH_CA, else the system's)")


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
    from trackline.elastic.connection import Connection, ElasticError
    from trackline.elastic.options import Options
    from trackline.terminal import printable

    environment = os.environ
    url, url_name = (arguments.url, "--url") if arguments.url else (environment.get(_URL, ""), _URL)
    # One in the environment is of no use to http://, and may be there for others.
    ca, ca_name = (arguments.ca, "--ca") if arguments.ca else (environment.get(_CA) if url.startswith("https:") else None, _CA)
    if not url:
        complain(f"argument --url: expected the address of Elasticsearch, here or in {_URL}")
        return 2
    given: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("lifecycle", "replicas", "timestamp") if getattr(arguments, name, None) is not None
    }
    if (retention := getattr(arguments, "retention", None)) is not None:
        given["retention"] = None if retention == "forever" else retention
    try:
        options = Options(
            services=tuple(arguments.service),
            namespace=arguments.namespace or environment.get("TRACKLINE_NAMESPACE") or None,
            failure_store=not getattr(arguments, "no_failure_store", False),
            **given,
        )
        options.patterns  # noqa: B018  (says what is wrong with the name of a service)
    except ValueError as error:
        arguments.parser.error(str(error))
    try:
        with Connection(
            url,
            api_key=environment.get("ELASTICSEARCH_API_KEY"),
            username=environment.get("ELASTICSEARCH_USERNAME"),
            password=environment.get("ELASTICSEARCH_PASSWORD"),
            ca=ca or None,
        ) as connection:
            return run(connection, options)
    except ElasticError as error:
        said = str(error)
        for argument, name in (("url", url_name), ("ca", ca_name)):
            if said.startswith((f"{argument}=", f"{argument}:")):
                said = name + said.removeprefix(argument)
        complain("\n".join(map(printable, said.splitlines())))
        return 2
