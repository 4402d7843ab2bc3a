"""Installs what Elasticsearch is to know: a plan first, which changes nothing; then the plan, verified by reading back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackline.elastic.abilities import abilities_of
from trackline.elastic.compare import canonical, fetch, is_ours
from trackline.elastic.connection import ElasticError
from trackline.elastic.parts import DEADLETTER, NAME, lifecycle_of, parts_of
from trackline.elastic.streams import outdated, streams_of, taken_over, template_of, templates_of
from trackline.elastic.text import difference

if TYPE_CHECKING:
    from trackline.elastic.abilities import Abilities
    from trackline.elastic.connection import Connection
    from trackline.elastic.options import Options
    from trackline.elastic.parts import Part

    Body = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One object that is not as it is to be. ``before`` is None where nothing is there."""

    part: Part
    before: Body | None

    @property
    def rows(self) -> list[str]:
        """The rows of a unified diff."""
        return difference(self.before, canonical(self.part.kind, self.part.body))


@dataclass(frozen=True)
class Plan:
    """
    What would be done.

    ``notes`` say what the server lacks; ``foreign`` what is there under our names and is not of our making, ``taken_over`` the data
    streams which have another template now, with its name: neither is touched unless it is said so.
    """

    abilities: Abilities
    lifecycle: str
    parts: list[Part]
    changes: list[Change]
    notes: list[str]
    foreign: list[Part] = field(default_factory=list)
    taken_over: list[tuple[str, str]] = field(default_factory=list)


def plan(connection: Connection, options: Options) -> Plan:
    """Compare what is there with what is to be. Raises ElasticError where that cannot be found out."""
    abilities = abilities_of(connection)
    wanted, notes = parts_of(options, abilities)
    parts, changes, foreign = [], [], []
    for part in wanted:
        try:
            before = fetch(connection, part)
        except ElasticError as error:
            if part.kind != "role" or error.status != 403:
                raise
            notes.append(f"{part} is left out: {error}")  # who looks after templates need not look after rights
            continue
        parts.append(part)
        if before != canonical(part.kind, part.body):
            changes.append(Change(part, before))
            if before is not None and not is_ours(part.kind, before):
                foreign.append(part)
    ours = [template_of(part.name, part.body) for part in parts if part.kind == "index template"]
    streams = streams_of(connection, [pattern for template in ours for pattern in template.patterns])
    taken = taken_over(streams, templates_of(connection), ours)
    return Plan(abilities, lifecycle_of(options, abilities), parts, changes, notes, foreign, taken)


def carry_out(connection: Connection, planned: Plan) -> None:
    """Make the changes, each of which finds what it needs, and read all back. Raises ElasticError where one is refused."""
    for change in planned.changes:
        connection.repeat("PUT", change.part.path, change.part.body)
    for part in planned.parts:
        wanted = canonical(part.kind, part.body)
        found = fetch(connection, part)
        if found != wanted:
            rows = "\n".join(difference(found, wanted))
            raise ElasticError(f"{part} is not as it was put, says Elasticsearch when asked for it:\n{rows}")


def to_roll_over(connection: Connection, planned: Plan) -> list[str]:
    """Give the data streams whose present index is of an earlier state of the templates: what is new begins with their next index."""
    revisions = _revisions(planned.parts)
    templates = [template_of(part.name, part.body) for part in planned.parts if part.kind == "index template"]
    streams = streams_of(connection, [pattern for template in templates for pattern in template.patterns])
    return outdated(connection, streams, [(template, revisions[template.name]) for template in templates], templates_of(connection))


def _revisions(parts: list[Part]) -> dict[str, str]:
    bodies = {(part.kind, part.name): part.body for part in parts}
    holders = {NAME: bodies["component template", f"{NAME}-mappings"], DEADLETTER: bodies["index template", DEADLETTER]}
    return {name: body["template"]["mappings"]["_meta"]["revision"] for name, body in holders.items()}
