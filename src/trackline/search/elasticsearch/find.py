"""Find the lines of one tracking ID in Elasticsearch: the same lines as in the files, in the same order."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from trackline.identity import derive_trace_id
from trackline.search.elasticsearch.hits import read_hit, same
from trackline.search.elasticsearch.index import DEFAULT_PATTERN, Index
from trackline.search.elasticsearch.queries import BY_TIME, mentioning, with_ids
from trackline.search.line import in_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trackline.elastic.connection import Connection
    from trackline.search.line import Line

    Warn = Callable[[str], None]

_PAGE = 500  # documents: a line has up to 256 KiB


def find_lines(
    tracking_id: str,
    connection: Connection,
    *,
    index: str = DEFAULT_PATTERN,
    since: datetime | None = None,
    until: datetime | None = None,
    warn: Warn | None = None,
) -> list[Line]:
    """
    Give the lines that carry this tracking ID, its derived trace ID, or this trace ID, in order of time; each line once.

    Those that count are those that would in files. ``index`` is a pattern, or several with commas. Lines that were refused there are
    found among the dead letters, and ``warn`` is told, by default on stderr; so it is if a part of the index does not answer.

    ``since`` and ``until`` are as for files, to the millisecond. Raises ElasticError where Elasticsearch can't be searched.
    """
    if not tracking_id:
        raise ValueError(f"{tracking_id=}: expected a text that is not empty")
    wanted = {tracking_id, derive_trace_id(tracking_id)}
    stored = Index(connection, index, warn or _to_stderr)
    found: dict[tuple[object, ...], Line] = {}

    def take(searched: Index, query: dict[str, object], *, was_refused: bool) -> int:
        before = len(found)
        place = 0
        for hits in searched.pages({"query": query, "sort": BY_TIME}, size=_PAGE):
            for hit in hits:
                place += 1
                line = read_hit(hit, place, was_refused=was_refused)
                if not wanted.isdisjoint(line.ids) and _is_between(line, since, until):
                    found.setdefault(same(hit, line), line)
        return len(found) - before

    take(stored, with_ids(wanted, since=since, until=until), was_refused=False)
    dead = stored.dead_letters()
    if refused := take(dead, mentioning(wanted, since=since, until=until), was_refused=True):
        (warn or _to_stderr)(
            f"{refused} of the lines {'was' if refused == 1 else 'were'} refused by the index, and {dead.pattern} has them"
        )
    return in_order(found.values())


def _is_between(line: Line, since: datetime | None, until: datetime | None) -> bool:
    """Say whether a line counts. A time in an index may have been cut to milliseconds: a line is not left out for that."""
    if line.time is None:
        return True
    within = timedelta(milliseconds=1)
    return not ((since and line.time <= since - within) or (until and line.time > until))


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"trackline: {message}\n")
