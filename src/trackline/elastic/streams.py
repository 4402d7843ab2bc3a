"""The data streams that are there: whose template each has, and which were made by an earlier state of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackline.elastic.connection import Connection

    Body = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """A data stream and the index that it is written to now. Its name says what it is: `logs-<service>-<namespace>`."""

    name: str
    write_index: str


@dataclass(frozen=True)
class Template:
    """What says whether a data stream comes under an index template."""

    name: str
    patterns: tuple[str, ...]
    priority: int

    def covers(self, stream: str) -> bool:
        """Say whether a pattern of the template matches; `*` is all that a pattern can have."""
        return any(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), stream) for pattern in self.patterns)


def streams_of(connection: Connection, patterns: Iterable[str]) -> list[Stream]:
    """Give the data streams that match."""
    found: dict[str, Stream] = {}
    for pattern in patterns:
        answer = connection.get(f"/_resolve/index/{quote(pattern, safe='*')}") or {}
        for one in answer.get("data_streams", []):
            found[one["name"]] = Stream(one["name"], one["backing_indices"][-1])
    return sorted(found.values(), key=lambda stream: stream.name)


def templates_of(connection: Connection) -> list[Template]:
    """Give the index templates for data streams."""
    answer = connection.get("/_index_template") or {}
    return [template_of(one["name"], one["index_template"]) for one in answer.get("index_templates", [])]


def template_of(name: str, body: Body) -> Template:
    """Give what matters of the body of an index template."""
    patterns = body["index_patterns"]
    return Template(name, (patterns,) if isinstance(patterns, str) else tuple(patterns), body.get("priority") or 0)


def winner(stream: str, templates: Iterable[Template]) -> str | None:
    """Give the name of the template that a data stream's next index is made by: the one of highest priority that covers it."""
    covering = [template for template in templates if template.covers(stream)]
    return max(covering, key=lambda template: template.priority).name if covering else None


def taken_over(streams: Iterable[Stream], before: Sequence[Template], ours: Sequence[Template]) -> list[tuple[str, str]]:
    """Give the data streams that would come under a template of ours and do not now, each with the name of the one that it has."""
    names = {template.name for template in ours}
    after = [*(template for template in before if template.name not in names), *ours]
    return [
        (stream.name, now or "none")
        for stream in streams
        if winner(stream.name, after) in names and (now := winner(stream.name, before)) not in names
    ]


def outdated(
    connection: Connection, streams: Iterable[Stream], ours: Sequence[tuple[Template, str]], all_templates: Sequence[Template]
) -> list[str]:
    """Give the data streams of ours whose present index was made by another revision of our templates than the one of now."""
    revisions = {template.name: revision for template, revision in ours}
    found = []
    for stream in streams:
        of = winner(stream.name, all_templates)
        if of not in revisions:
            continue
        answer = connection.get(f"/{quote(stream.write_index)}/_mapping") or {}
        mappings = [index["mappings"] for index in answer.values()]
        if any((mapping.get("_meta") or {}).get("revision") != revisions[of] for mapping in mappings):
            found.append(stream.name)
    return found


def roll_over(connection: Connection, stream: str) -> str:
    """Begin a new index of a data stream, and give its name."""
    return str(connection.request("POST", f"/{quote(stream)}/_rollover")["new_index"])
