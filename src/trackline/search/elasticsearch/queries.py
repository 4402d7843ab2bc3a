"""What Elasticsearch is asked. Pure. Fields by all names that shippers give them: what an index does not have finds nothing there."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from trackline.search.line import EVENT, FOREIGN, TRACE, TRACKING, WRAPPERS
from trackline.search.notice import ACTION, ACTIONS, EVENT_NAME, OTEL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    Query = dict[str, Any]

BY_TIME = [
    # Streams with date and with date_nanos, and an index that has none, in one order.
    {"@timestamp": {"order": "asc", "unmapped_type": "date", "numeric_type": "date"}},
    {"_shard_doc": "asc"},
]


def with_ids(ids: Iterable[str], *, since: datetime | None, until: datetime | None) -> Query:
    """Find what carries one of these IDs in any of its fields. It may be more than that, where a field is an analysed text."""
    fields = spelled((*TRACKING, *FOREIGN, *TRACE))
    return _filtered([_any(_is(text, fields) for text in sorted(ids)), *_between(since, until)])


def mentioning(texts: Iterable[str], *, since: datetime | None, until: datetime | None) -> Query:
    """Find dead letters in which one of these texts is, a whole line being a text there."""
    fields = [*spelled((*TRACKING, *FOREIGN, *TRACE)), "message", "event.original", "document.source.*"]
    return _filtered([_any(_is(text, fields) for text in sorted(texts)), *_between(since, until)])


def with_numbers(fields: Sequence[str], nonces: Iterable[str] | None, *, since: datetime | None, until: datetime | None) -> Query:
    """Find what has a number in one of the fields: all lines, or those of some processes."""
    if nonces is None:
        found = _any({"exists": {"field": field}} for field in fields)
    else:
        found = _any({"prefix": {field: f"{nonce}-"}} for nonce in sorted(nonces) for field in fields)
    return _filtered([found, *_between(since, until)])


def without_numbers(fields: Sequence[str], *, since: datetime | None, until: datetime | None) -> Query:
    """Find what has a number in none of the fields."""
    return {"bool": {"must_not": [{"exists": {"field": field}} for field in fields], "filter": _between(since, until)}}


def with_ids_of(fields: Sequence[str], event_ids: Sequence[str]) -> Query:
    """Find the documents of these lines, by their numbers."""
    return _filtered([_any({"terms": {field: list(event_ids)}} for field in fields)])


def everything(*, since: datetime | None, until: datetime | None) -> Query:
    """Find all there is of a time."""
    return _filtered(_between(since, until))


def notices(fields: Sequence[str], nonces: Iterable[str] | None, *, since: datetime | None, until: datetime | None) -> Query:
    """Find what the log says about itself. It may be more than that: others have actions too."""
    said = [_is(action, spelled((ACTION,))) for action in ACTIONS]
    said += [_is(OTEL_PREFIX + action, spelled((EVENT_NAME,))) for action in ACTIONS]
    return _filtered([_any(said), with_numbers(fields, nonces, since=since, until=until)])


def number_fields() -> list[str]:
    """Give the fields in which a line's number may be, the best first."""
    return spelled(EVENT)


def spelled(names: Iterable[str]) -> list[str]:
    """
    Give the names as shippers wrap them, and as Elasticsearch maps a text that no template speaks of.

    >>> spelled(["trace.id"])[:3]
    ['trace.id', 'attributes.trace.id', 'resource.attributes.trace.id']
    """
    bare = [prefix + name for prefix in ("", *WRAPPERS) for name in names]
    return [*bare, *(f"{name}.keyword" for name in bare)]


def _is(text: str, fields: Sequence[str]) -> Query:
    # A phrase, so that all words of the ID are there in their order, where a field is a text; of a keyword it is the whole. Lenient,
    # since a field of numbers has no text to compare.
    return {"multi_match": {"query": text, "type": "phrase", "lenient": True, "fields": list(fields)}}


def _any(queries: Iterable[Query]) -> Query:
    return {"bool": {"should": list(queries), "minimum_should_match": 1}}


def _filtered(queries: list[Query]) -> Query:
    return {"bool": {"filter": queries}}


def _between(since: datetime | None, until: datetime | None) -> list[Query]:
    """Leave out what is before and after; what has no time stays. Times are cut to milliseconds, as those in an index are."""
    if since is None and until is None:
        return []
    bounds = {"gte": since, "lte": until}
    times = {name: time.astimezone(UTC).isoformat(timespec="milliseconds") for name, time in bounds.items() if time is not None}
    has_none = {"bool": {"must_not": {"exists": {"field": "@timestamp"}}}}
    return [_any([{"range": {"@timestamp": {**times, "format": "strict_date_optional_time"}}}, has_none])]
