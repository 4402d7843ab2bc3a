"""What was measured, for whoever reads the end of the tests' output."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Of one shipper in one case of `test_loss`."""

    shipper: str
    case: str
    lines: int
    lost: int
    doubled: int
    seconds: float
    """From the first line until the last one is stored."""
    forced: int = 0
    """Stops that took SIGKILL."""


REPORT: list[Row] = []
VERSIONS: list[str] = []
"""Of the shippers, as they say it."""


def table() -> list[str]:
    """Give the rows of a table in Markdown."""
    if not REPORT:
        return []
    head = ["| shipper | | lines | lost | stored twice | seconds | lines/s | stops by force |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    return head + [
        f"| {row.shipper} | {row.case} | {row.lines:,} | {row.lost} | {row.doubled} | {row.seconds:.0f} "
        f"| {row.lines / max(row.seconds, 0.001):,.0f} | {row.forced} |"
        for row in sorted(REPORT, key=lambda row: row.shipper)
    ]
