"""`trackline audit`: whether every line is there, process by process."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trackline.cli.console import complain, tell
from trackline.cli.options import add_paths, named

if TYPE_CHECKING:
    from trackline.cli.options import Commands

_DESCRIPTION = """\
Prove that no line was lost: each process numbers its lines without gaps, in
event.id, and says how many it has dropped. For each process: what is there,
dropped, missing, there more than once, and whether its log is closed; then
what is broken. Live, rotated and compressed files are read, also while they
are written to. Lines of the schema flat have no numbers.
"""
_EPILOG = """\
exit status:
  0 nothing is missing that was not declared dropped, 1 something is,
  2 the command line is wrong, something could not be read, or has no numbers

Lines from before the oldest file of a process (retention has deleted it, or it
was not given) are counted, but not as missing. Duplicated and broken lines and
processes that are not closed do not make it 1 either; with --strict all do.

examples:
  trackline audit
  trackline audit /var/log/orders /var/log/billing
  trackline audit --strict logs              after a test, when all has ended
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
    command.set_defaults(run=audit, parser=command)


def audit(arguments: argparse.Namespace) -> int:
    """Say of each process what was written, dropped, missing and duplicated."""
    import json

    from trackline.search.audit import audit as audited
    from trackline.search.verdict import render_audit

    report = audited(named(arguments.paths))
    for problem in report.problems:
        complain(problem)
    if arguments.json:
        for process in report.processes:
            print(json.dumps(process.as_dict()))
        print(json.dumps({"summary": report.as_dict()}))
    elif report.files:
        tell(lambda width, color: render_audit(report, width=width, color=color))
    if report.missing or (arguments.strict and report.processes and not report.is_proved):
        return 1
    return 2 if report.problems or not report.processes else 0
