"""`trackline audit`: whether every line is there, process by process, in files, in Elasticsearch, or from the one to the other."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trackline.cli.connection import OptionError
from trackline.cli.console import complain, tell
from trackline.cli.options import (
    add_elasticsearch,
    add_paths,
    add_times,
    connect_by,
    explained,
    index_of,
    named,
    only_with_elasticsearch,
    seconds,
)

if TYPE_CHECKING:
    from trackline.cli.options import Commands
    from trackline.elastic.connection import Connection
    from trackline.search.audit import AuditReport
    from trackline.search.elasticsearch import ComparisonReport

_PATIENCE = 10.0
_DESCRIPTION = """\
Prove that no line was lost: each process numbers its lines without gaps, in
event.id, and says how many it has dropped. For each process: what is there,
dropped, missing, there more than once, and whether its log is closed; then
what is broken. Live, rotated and compressed files are read, also while they
are written to. Lines of the schema flat have no numbers.

PATH and --elasticsearch together compare: is each line of the files in the
index, and there once? --elasticsearch alone goes by the numbers in the index.
"""
_EPILOG = """\
exit status:
  0 nothing is missing that was not declared dropped, 1 something is, or is
  in the index more than once,
  2 the command line is wrong, something could not be read, or has no numbers

Lines from before the oldest file of a process (retention has deleted it, or it
was not given) are counted, but not as missing. Duplicated and broken lines and
processes that are not closed do not make it 1 either; with --strict all do.
Lines that the index has refused are not lost: they are counted, and are in the
dead-letter index.

examples:
  trackline audit
  trackline audit /var/log/orders /var/log/billing
  trackline audit --strict logs              after a test, when all has ended
  trackline audit logs --elasticsearch https://logs.example.org:9200
  trackline audit --elasticsearch --since 1d    of ELASTICSEARCH_URL
  trackline audit --json | jq -c 'select(.missing > 0)'
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "audit",
        help="whether every line is there, process by process",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(command)
    command.add_argument("--strict", action="store_true", help="exit with 1 for all that is not proved, see below")
    command.add_argument("--json", action="store_true", help="one JSON object a process, and one with the summary")
    group = add_elasticsearch(command, "compare with what is there")
    add_times(group)
    group.add_argument(
        "--wait", metavar="SECONDS", type=seconds, help="look again for what is missing, until none has come for so long (default: 10)"
    )
    command.set_defaults(run=audit, parser=command)


def audit(arguments: argparse.Namespace) -> int:
    """Say of each process what was written, dropped, missing and duplicated."""
    if arguments.elasticsearch is None:
        only_with_elasticsearch(arguments, "wait", "since", "until")
        return _in_files(arguments)
    if arguments.paths and (arguments.since or arguments.until):
        arguments.parser.error("argument --since, --until: not with PATH, whose lines all count")

    from trackline.elastic.connection import ElasticError

    try:
        with connect_by(arguments) as connection:
            return (_compared if arguments.paths else _in_index)(arguments, connection)
    except (OptionError, ElasticError) as error:
        complain(explained(error))
        return 2


def _in_files(arguments: argparse.Namespace) -> int:
    from trackline.search.audit import audit as audited

    report = audited(named(arguments.paths))
    _tell_audit(report, arguments)
    return _status(report, arguments, is_wrong=bool(report.missing))


def _in_index(arguments: argparse.Namespace, connection: Connection) -> int:
    from trackline.search.elasticsearch import audit_index

    times = {"since": arguments.since, "until": arguments.until}
    report = audit_index(connection, index=index_of(arguments), patience=_patience(arguments), **times)
    _tell_audit(report, arguments)
    return _status(report, arguments, is_wrong=any(process.missing or process.duplicated for process in report.processes))


def _compared(arguments: argparse.Namespace, connection: Connection) -> int:
    from trackline.search.elasticsearch import audit_arrival
    from trackline.search.elasticsearch.verdict import render_comparison

    report = audit_arrival(named(arguments.paths), connection, index=index_of(arguments), patience=_patience(arguments))
    _tell(report, arguments)
    if report.files.files and not arguments.json:
        tell(lambda width, color: render_comparison(report, width=width, color=color))
    return _status(report, arguments, is_wrong=bool(report.missing or report.duplicated or report.lost))


def _tell_audit(report: AuditReport, arguments: argparse.Namespace) -> None:
    from trackline.search.verdict import render_audit

    _tell(report, arguments)
    if not arguments.json and (report.files or report.kept_in == "index"):  # of files it was said already that there are none
        tell(lambda width, color: render_audit(report, width=width, color=color))


def _tell(report: AuditReport | ComparisonReport, arguments: argparse.Namespace) -> None:
    """Say what could not be read, and, as JSON, all there is."""
    import json

    for problem in report.problems:
        complain(explained(problem))
    if arguments.json:
        for process in report.processes:
            print(json.dumps(process.as_dict()))
        print(json.dumps({"summary": report.as_dict()}))


def _status(report: AuditReport | ComparisonReport, arguments: argparse.Namespace, *, is_wrong: bool) -> int:
    if is_wrong or (arguments.strict and report.processes and not report.is_proved):
        return 1
    return 2 if report.problems or not report.processes else 0


def _patience(arguments: argparse.Namespace) -> float:
    return _PATIENCE if arguments.wait is None else arguments.wait
