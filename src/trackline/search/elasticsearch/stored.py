"""Which lines are in an index: of each process in each backing index the numbers, as runs, and what the log says about itself."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackline.elastic.connection import ElasticError
from trackline.search.elasticsearch.hits import refused_number
from trackline.search.elasticsearch.queries import everything, notices, number_fields, with_ids_of, with_numbers, without_numbers
from trackline.search.ledger import Part
from trackline.search.line import EVENT, PROCESS, SERVICE, first_text, flatten, read_number, read_time
from trackline.search.notice import read_notice
from trackline.search.numbers import Numbers, common, gaps, merged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from trackline.search.elasticsearch.index import Hit, Index
    from trackline.search.numbers import Run

_PAGE = 10_000  # documents, of which only the number and the time are read: Elasticsearch's own limit
_SOURCES = 500  # documents, of which all is read
_PROCESSES = 200  # in one query
_IN_ORDER = ["_shard_doc"]  # as they are stored, which costs nothing
_TIME = {"field": "@timestamp", "format": "strict_date_optional_time"}


class StoredPart(Part):
    """What an index has of one process. Times are as the index has them, to the millisecond."""

    def __init__(self) -> None:
        super().__init__(0, {})
        self.earliest = self.latest = ""

    @property
    def times(self) -> list[datetime]:
        return [time for text in (self.earliest, self.latest) if (time := read_time(text)) is not None]


class StoredLedger:
    """One backing index, or the dead letters. Holds no line, and no number: runs of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, StoredPart] = defaultdict(StoredPart)


class StoredLines:
    """
    All numbers in an index and among its dead letters. Memory goes by the breaks in the order of each process's lines.

    ``since`` and ``until`` leave out what is before and after. ``warn`` is told what cannot be read. Raises ElasticError.
    """

    def __init__(self, index: Index, warn: Any, *, since: datetime | None = None, until: datetime | None = None) -> None:
        self._index, self._warn = index, warn
        self._times = {"since": since, "until": until}
        self._ledgers: dict[str, StoredLedger] = {}
        self._refused: dict[str, StoredLedger] = {}
        self.others = 0
        """Documents whose ID is none of ours."""
        self._names: list[str] = []
        self._is_exact = False

    def read(self, nonces: Collection[str] | None = None) -> None:
        """Read all, or the lines of some processes, and these anew if they were read before."""
        self._names, self._is_exact = self._number_fields()  # anew: an index may have come meanwhile
        for ledger in (*self._ledgers.values(), *self._refused.values()):
            for nonce in list(ledger.parts) if nonces is None else nonces:
                ledger.parts.pop(nonce, None)
        if self._names:
            for some in [None] if nonces is None else _in_parts(sorted(nonces), _PROCESSES):
                self._read_numbers(some)
                self._read_notices(some)
        self._read_refused(nonces)

    def ledgers(self, nonce: str) -> list[StoredLedger]:
        """Give what there is of a process: its ledgers, and one of the dead letters with the lines that are nowhere else."""
        found = [ledger for _, ledger in sorted(self._ledgers.items()) if nonce in ledger.parts]
        stored, _ = merged(run for ledger in found for run in ledger.parts[nonce].numbers.runs())
        for ledger in self._refused.values():
            if nonce in ledger.parts and (left := list(_without(ledger.parts[nonce].numbers.runs(), stored))):
                only = StoredLedger(ledger.path)
                only.parts[nonce] = part = StoredPart()
                part.numbers = Numbers.of(left)
                stored, _ = merged([*stored, *left])
                found.append(only)
        return found

    def refused(self, nonce: str) -> list[Run]:
        """Give the lines of a process that are among the dead letters and nowhere else."""
        found = [ledger for ledger in self.ledgers(nonce) if str(ledger.path) in self._refused]
        return merged(run for ledger in found for run in ledger.parts[nonce].numbers.runs())[0]

    def nonces(self) -> set[str]:
        """Give the processes of which there is anything."""
        return {nonce for ledger in (*self._ledgers.values(), *self._refused.values()) for nonce in ledger.parts}

    def paths(self) -> list[Path]:
        """Give the names of the indices that have any of it, as paths."""
        return [ledger.path for ledger in (*self._ledgers.values(), *self._refused.values()) if ledger.parts]

    def refused_in(self) -> list[Path]:
        """Give the names of the indices that have what was refused, as paths."""
        return [ledger.path for _, ledger in sorted(self._refused.items()) if ledger.parts]

    def uncounted(self) -> int:
        """Count the documents that have no number of ours."""
        return self.others + self._index.count(without_numbers(self._names, **self._times))

    def describe(self, nonces: Iterable[str]) -> None:
        """Read service, host and process of those of which no notice has told them: from a line of each."""
        for some in _in_parts(sorted(nonces), _SOURCES):
            ids = []
            for nonce in some:
                found = [ledger.parts[nonce] for ledger in self._ledgers.values() if nonce in ledger.parts]
                if found and not any(part.service for part in found):
                    ids.append(f"{nonce}-{found[0].numbers.runs()[0][0]}")
            if ids:
                self._read_sources(with_ids_of(self._names, ids))

    def _number_fields(self) -> tuple[list[str], bool]:
        """Give the fields that have numbers, and whether each is a keyword everywhere: those are read at a fraction of the cost."""
        types = self._index.types(number_fields())
        names = [name for name in number_fields() if "keyword" in types.get(name, ())]
        texts = [
            name for name in number_fields() if types.get(name, set()) - {"keyword", "unmapped"} and f"{name}.keyword" not in types
        ]
        if texts:
            kind = ", ".join(sorted(set().union(*(types[name] for name in texts)) - {"keyword", "unmapped"}))
            self._warn(f"{texts[0]} is not a keyword in every index, but {kind}: lines there may be missed; `trackline elastic apply`")
        return names, all(types[name] <= {"keyword", "unmapped"} for name in names)

    def _read_numbers(self, nonces: list[str] | None) -> None:
        body: dict[str, Any] = {"query": with_numbers(self._names, nonces, **self._times), "sort": _IN_ORDER, "_source": False}
        if self._is_exact:
            body |= {"stored_fields": "_none_", "docvalue_fields": [*self._names, _TIME]}
        else:
            body |= {"fields": [*self._names, _TIME]}
        others = 0
        for hits in self._index.pages(body, size=_PAGE, of_hits=("_index", "fields")):
            others += self._count(hits)
        if nonces is None:
            self.others = others

    def _count(self, hits: list[Hit]) -> int:
        """Take a page of numbers; give how many are none of ours."""
        others, names, name = 0, self._names, ""
        parts: Mapping[str, StoredPart] = {}
        for hit in hits:
            if hit["_index"] != name:
                name = hit["_index"]
                parts = self._ledgers.setdefault(name, StoredLedger(Path(name))).parts
            fields = hit["fields"]
            text = next((str(fields[field][0]) for field in names if field in fields), "")
            counted = read_number(text)
            if counted is None:
                others += 1
                continue
            part = parts[counted[0]]
            part.numbers.add(counted[1])
            time = fields.get("@timestamp")
            if time is not None:
                part.latest = max(part.latest, time[0])
                if time[0] < part.earliest or not part.earliest:
                    part.earliest = time[0]
        return others

    def _read_notices(self, nonces: list[str] | None) -> None:
        self._read_sources(notices(self._names, nonces, **self._times))

    def _read_sources(self, query: dict[str, Any]) -> None:
        for hits in self._index.pages({"query": query, "sort": _IN_ORDER}, size=_SOURCES, of_hits=("_index", "_source")):
            for hit in hits:
                flat = flatten(hit["_source"])
                counted = read_number(first_text(flat, *EVENT))
                ledger = self._ledgers.get(hit["_index"])
                if counted is None or ledger is None or (part := ledger.parts.get(counted[0])) is None:
                    continue
                part.service = part.service or first_text(flat, *SERVICE)
                part.pid = part.pid or first_text(flat, *PROCESS)
                if (notice := read_notice(flat, counted[1])) is not None:
                    part.notices.append(notice)
                    if notice.action == "log-open":
                        part.host = first_text(flat, "labels.host", "host") or part.host
                part.host = part.host or first_text(flat, "host.name", "host.hostname")

    def _read_refused(self, nonces: Collection[str] | None) -> None:
        self._take_refused(self._index.dead_letters(), nonces)
        try:
            self._take_refused(self._index.failures(), nonces, "document.id")
        except ElasticError as error:
            if error.status not in {400, 404}:  # an older Elasticsearch does not know the name
                self._warn(f"what the failure store has of refused lines is not counted: {error}")

    def _take_refused(self, index: Index, nonces: Collection[str] | None, *fields: str) -> None:
        body = {"query": everything(**self._times), "sort": _IN_ORDER, "_source": list(fields) or True}
        for hits in index.pages(body, size=_SOURCES, of_hits=("_index", "_id", "_source")):
            for hit in hits:
                counted = refused_number(hit)
                if counted is not None and (nonces is None or counted[0] in nonces):
                    name = hit["_index"]
                    self._refused.setdefault(name, StoredLedger(Path(name))).parts[counted[0]].numbers.add(counted[1])


def _without(runs: list[Run], others: list[Run]) -> Iterator[Run]:
    return common(runs, list(gaps(others, runs[0][0], runs[-1][1]))) if runs else iter(())


def _in_parts(items: list[str], most: int) -> Iterator[list[str]]:
    yield from (items[start : start + most] for start in range(0, len(items), most))
