"""What was measured, for whoever reads the end of the tests' output."""

from __future__ import annotations

REPORT: list[tuple[str, str, int, int, int, float, int]] = []
"""Of each case of `test_loss`: shipper, fault, lines, lost, stored twice, seconds, stops that took SIGKILL."""


def table() -> list[str]:
    """Give the rows of a table in Markdown."""
    if not REPORT:
        return []
    head = ["| shipper | | lines | lost | stored twice | seconds | lines/s | stops by force |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    return head + [
        f"| {name} | {fault} | {lines:,} | {lost} | {doubled} | {took:.0f} | {lines / took:,.0f} | {forced} |"
        for name, fault, lines, lost, doubled, took, forced in REPORT
    ]
