"""`trackline elastic`: the templates, the lifecycle and the rights for log lines in Elasticsearch; and keys."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from trackline.cli.console import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline.cli.options import Commands
    from trackline.elastic.connection import Connection
    from trackline.elastic.install import Plan
    from trackline.elastic.options import Options

_DESCRIPTION = """\
Prepare an Elasticsearch (8.14 or later) for log lines. Who asks is said by
ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD.
"""
_APPLY = """\
Install or update what Elasticsearch has to know before log lines come: the
mappings of all fields, how indices are kept and when they are deleted, and the
roles of who writes and who reads. What is there is compared with what is to be,
the difference is shown, and nothing is changed before you have said so. It may
be run at any time again.

What the server lacks (ILM, a type of field, security) is said, and what is done
instead. Fields of your own go into the component template trackline-logs@custom,
which is yours.
"""
_APPLY_MORE = """\
exit status:
  0 all is as it is to be, 1 it is not (with --dry-run, or you said no),
  2 the command line is wrong, or Elasticsearch refused

examples:
  export ELASTICSEARCH_URL=https://logs.example.org:9200
  trackline elastic apply --dry-run
  trackline elastic apply --retention 90d
  trackline elastic apply --service orders --service payments     a cluster with logs of others
  trackline elastic apply --namespace shop                        the same, by namespace
  trackline elastic apply --yes --rollover                        from a script
"""
_KEY = """\
Make an API key which can append log lines and nothing else: not read, not
delete, not overwrite, no other index. For Filebeat, the Collector and whoever
else ships. With --read one which can read them and nothing else, for
`trackline find --elasticsearch`. It is printed this once.
"""
_KEY_MORE = """\
exit status:
  0 here it is, 2 the command line is wrong, or Elasticsearch refused

examples:
  trackline elastic key web-1
  trackline elastic key web-1 --expires 365d --service orders
  trackline elastic key support --read
  trackline elastic key web-1 --json | jq -r .encoded | filebeat keystore add ELASTICSEARCH_API_KEY --stdin
"""
_ROWS = 24
"""Of each difference, unless all is asked for."""


def add(commands: Commands) -> None:
    """Add the subcommand, which has subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "elastic", help="prepare an Elasticsearch: templates, retention, keys", description=_DESCRIPTION, formatter_class=raw
    )
    parser.set_defaults(run=lambda arguments: arguments.parser.print_help(sys.stderr) or 2, parser=parser)
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND")

    command = subcommands.add_parser(
        "apply",
        help="install or update templates, lifecycle and roles",
        description=_APPLY,
        epilog=_APPLY_MORE,
        formatter_class=raw,
    )
    _add_connection(command)
    _add_streams(command)
    command.add_argument(
        "--retention", metavar="AGE", default="30d", help="delete lines that are older: 30d, 12h, or forever (default: 30d)"
    )
    command.add_argument(
        "--lifecycle",
        choices=("auto", "ilm", "data-stream", "none"),
        default="auto",
        help="what deletes them (default: ILM where there is one, else the data stream lifecycle)",
    )
    command.add_argument("--replicas", metavar="N", type=int, help="copies of each index (default: one, where there is a second node)")
    command.add_argument(
        "--timestamp",
        choices=("auto", "date", "date_nanos"),
        default="auto",
        help="milliseconds or nanoseconds in @timestamp (default: as the server's own logs have it)",
    )
    command.add_argument("--no-failure-store", action="store_true", help="refuse what does not fit, rather than keep it apart")
    command.add_argument("--take-over", action="store_true", help="also data streams and objects that are not of our making")
    command.add_argument("--rollover", action="store_true", help="begin a new index where the present one has earlier templates")
    command.add_argument("--full", action="store_true", help="show each difference whole")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="show what would be changed, and change nothing")
    how.add_argument("--yes", action="store_true", help="do not ask")
    command.set_defaults(run=apply, parser=command)

    command = subcommands.add_parser(
        "key", help="make an API key that can only append, or only read", description=_KEY, epilog=_KEY_MORE, formatter_class=raw
    )
    command.add_argument("name", metavar="NAME", help="what to call it: the machine or the shipper that has it")
    _add_connection(command)
    _add_streams(command)
    command.add_argument("--read", action="store_true", help="one that reads, rather than appends")
    command.add_argument("--expires", metavar="AGE", help="when it ends: 90d (default: never)")
    command.add_argument("--json", action="store_true", help="as one JSON object")
    command.set_defaults(run=key, parser=command)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", metavar="URL", help="where Elasticsearch is (default: ELASTICSEARCH_URL)")
    command.add_argument("--ca", metavar="FILE", help="certificates to trust, PEM (default: ELASTICSEARCH_CA, else the system's)")


def _add_streams(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--service",
        metavar="NAME",
        action="append",
        default=[],
        help="only its streams, logs-NAME-*; again for more (default: all)",
    )
    command.add_argument("--namespace", metavar="NAME", help="only logs-*-NAME (default: TRACKLINE_NAMESPACE, else all)")


def apply(arguments: argparse.Namespace) -> int:
    """Show what would be changed, ask, and change it."""

    def run(connection: Connection, options: Options) -> int:
        from trackline.elastic.install import carry_out, plan

        planned = plan(connection, options)
        _show(planned, connection.url, full=arguments.full)
        for said in connection.warnings:
            print(f"Elasticsearch: {said}")
        if planned.changes:
            if arguments.dry_run:
                return 1
            if (refusal := _not_ours(planned, options)) and not arguments.take_over:
                complain(refusal)
                return 2
            if not arguments.yes and not _agreed(f"make {_counted(len(planned.changes), 'this change', 'these {} changes')}?"):
                return 1
            carry_out(connection, planned)
            print(f"done, and read back: {_counted(len(planned.changes), 'one object', '{} objects')}")
            if planned.lifecycle == "data-stream" and any(
                change.part.name.endswith("-lifecycle") and change.before is not None for change in planned.changes
            ):
                print("data streams that are there keep their retention: PUT _data_stream/NAME/_lifecycle changes it")
        else:
            print("nothing to change")
        return 0 if arguments.dry_run else _roll_over(connection, planned, arguments)

    return _with(arguments, run)


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

    return _with(arguments, run)


def _with(arguments: argparse.Namespace, run: Callable[[Connection, Options], int]) -> int:
    """Connect, read the options, and run; what is wrong is said."""
    from trackline.elastic.connection import Connection, ElasticError
    from trackline.elastic.options import Options
    from trackline.terminal import printable

    environment = os.environ
    url = arguments.url or environment.get("ELASTICSEARCH_URL")
    if not url:
        complain("argument --url: expected the address of Elasticsearch, here or in ELASTICSEARCH_URL")
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
            ca=arguments.ca or environment.get("ELASTICSEARCH_CA") or None,
        ) as connection:
            return run(connection, options)
    except ElasticError as error:
        complain("\n".join(map(printable, str(error).splitlines())))
        return 2


def _show(planned: Plan, url: str, *, full: bool) -> None:
    from trackline.terminal import wants_color

    color = wants_color(sys.stdout)
    print(f"{url}: Elasticsearch {planned.abilities.version}")
    for note in planned.notes:
        print(f"  {note}")
    for change in planned.changes:
        state = "new" if change.before is None else "not of our making" if change.part in planned.foreign else "changed"
        print(f"\n{change.part}: {state}")
        rows = change.rows
        shown = rows if full else rows[:_ROWS]
        for row in shown:
            print(f"  {_painted(row) if color else row}")
        if len(shown) < len(rows):
            print(f"  … {len(rows) - len(shown)} rows more: --full shows them")
    if planned.changes:
        print()
    if planned.taken_over:
        print("data streams that would come under these templates with their next index:")
        for stream, template in planned.taken_over:
            print(f"  {stream} (now: {template})")


def _not_ours(planned: Plan, options: Options) -> str | None:
    """Say what would have to be said for others' things to be taken. Who has named the streams has said it."""
    if planned.foreign:
        return "not done: what is there under our names is not of our making; --take-over overwrites it"
    if planned.taken_over and not options.names_streams:
        return "not done: name your streams with --service or --namespace, or say --take-over"
    return None


def _roll_over(connection: Connection, planned: Plan, arguments: argparse.Namespace) -> int:
    from trackline.elastic.install import to_roll_over
    from trackline.elastic.streams import roll_over

    streams = to_roll_over(connection, planned)
    if not streams:
        return 0
    print("what has changed begins with the next index of: " + ", ".join(streams))
    if arguments.rollover or (not arguments.yes and sys.stdin.isatty() and _agreed("begin it now?")):
        for stream in streams:
            print(f"  {stream}: {roll_over(connection, stream)}")
    else:
        print("that is begun by the lifecycle in its time, or now by --rollover")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        complain("not done: there is nobody to ask; say --yes")
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _counted(number: int, one: str, many: str) -> str:
    return one if number == 1 else many.format(number)


def _painted(row: str) -> str:
    styles = {"+": "32", "-": "31", "@": "36"}
    style = styles.get(row[:1])
    return f"\x1b[{style}m{row}\x1b[0m" if style else row
