"""`trackline elastic apply`: what would be changed is shown, asked about, and changed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from trackline.cli.console import complain
from trackline.cli.elastic_options import add_connection, add_streams, connected

if TYPE_CHECKING:
    from trackline.cli.options import Commands
    from trackline.elastic.connection import Connection
    from trackline.elastic.install import Plan
    from trackline.elastic.options import Options

_DESCRIPTION = """\
Install or update what Elasticsearch has to know before log lines come: the
mappings of all fields, how indices are kept and when they are deleted, and the
roles of who writes and who reads. What is there is compared with what is to be,
the difference is shown, and nothing is changed before you have said so. It may
be run at any time again.

What the server lacks (ILM, a type of field, security) is said, and what is done
instead. Fields of your own go into the component template trackline-logs@custom,
which is yours.
"""
_EPILOG = """\
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
_ROWS = 24
"""Of each difference, unless all is asked for."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "apply",
        help="install or update templates, lifecycle and roles",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_connection(command)
    add_streams(command)
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


def apply(arguments: argparse.Namespace) -> int:
    """Show what would be changed, ask, and change it."""

    def run(connection: Connection, options: Options) -> int:
        from trackline.elastic.install import carry_out, plan

        planned = plan(connection, options)
        _show(planned, connection.url, full=arguments.full)
        _tell_warnings(connection)
        if planned.changes:
            if arguments.dry_run:
                return 1
            if (refusal := _not_ours(planned, options)) and not arguments.take_over:
                complain(refusal)
                return 2
            if not arguments.yes and not _agreed(f"make {_counted(len(planned.changes), 'this change', 'these {} changes')}?"):
                return 1
            carry_out(connection, planned)
            _tell_warnings(connection)
            print(f"done, and read back: {_counted(len(planned.changes), 'one object', '{} objects')}")
            if planned.lifecycle == "data-stream" and any(
                change.part.name.endswith("-lifecycle") and change.before is not None for change in planned.changes
            ):
                print("data streams that are there keep their retention: PUT _data_stream/NAME/_lifecycle changes it")
        else:
            print("nothing to change")
        return 0 if arguments.dry_run else _roll_over(connection, planned, arguments)

    return connected(arguments, run)


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


def _tell_warnings(connection: Connection) -> None:
    for said in dict.fromkeys(connection.warnings):
        print(f"Elasticsearch: {said}")
    connection.warnings.clear()


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
