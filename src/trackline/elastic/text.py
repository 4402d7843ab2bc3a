"""JSON for people, and the difference between two pieces of it."""

from __future__ import annotations

import json
from difflib import unified_diff
from textwrap import wrap
from typing import Any

WIDTH = 136


def as_text(value: Any, indent: int = 0) -> str:
    """Give JSON in which everything is on one line that fits on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(key)}: {as_text(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if all(isinstance(item, str) for item in value):
        filled = wrap(line[1:-1], WIDTH - indent - 2, break_on_hyphens=False)
        return "[\n" + "\n".join(inner + row for row in filled) + "\n" + " " * indent + "]"
    return "[\n" + ",\n".join(inner + as_text(item, indent + 2) for item in value) + "\n" + " " * indent + "]"


def difference(before: Any, after: Any) -> list[str]:
    """Give the rows of a unified diff, without its header; keys are sorted on both sides. ``before`` may be None: nothing is there."""
    old = [] if before is None else _rows(before)
    return list(unified_diff(old, _rows(after), lineterm=""))[2:]


def _rows(value: Any) -> list[str]:
    return as_text(_sorted(value)).splitlines()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
