"""What the log says about itself: a file opens, lines were dropped, the log is closed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trackline.search.line import first_text

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = ("log-open", "log-drop", "log-close")
ACTION = "event.action"
EVENT_NAME = "event_name"  # in `otel`
OTEL_PREFIX = "trackline."
_LOGGER = ("log.logger", "instrumentation_scope.name", "scope.name")


class Notice(NamedTuple):
    """A line of the log about itself: its action, its number, and what it states, as far as an audit needs it."""

    action: str
    number: int
    dropped: int
    """How many lines were dropped since the notice before."""
    dropped_total: int
    """How many since the process began."""
    file_number: int


def read_notice(flat: Mapping[str, Any], number: int) -> Notice | None:
    """Read a line's fields, by their dotted names, as a notice; None where it is an ordinary line."""
    action = first_text(flat, ACTION) or first_text(flat, EVENT_NAME).removeprefix(OTEL_PREFIX)
    if action not in ACTIONS or first_text(flat, *_LOGGER) != "trackline":
        return None
    dropped = _fact(flat, "dropped")
    since, total = (0, dropped) if action == "log-close" else (dropped, max(dropped, _fact(flat, "dropped_total")))
    return Notice(action, number, since, total, _fact(flat, "file_number"))


def _fact(flat: Mapping[str, Any], name: str) -> int:
    value = flat.get(f"labels.{name}", flat.get(name))
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:  # labels are texts to many an index
        value = int(value)
    return value if type(value) is int and value > 0 else 0
