"""What is read from: the indices and data streams that a pattern names, page by page, as they were at one moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from trackline.elastic.connection import ElasticError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trackline.elastic.connection import Connection

    Hit = Mapping[str, Any]

DEFAULT_PATTERN = "logs-*-*"
DEAD_LETTERS = "logs-trackline.deadletter"
"""What was refused is in `logs-trackline.deadletter-<namespace>`, which `logs-*-*` names as well."""

_KEEP_ALIVE = "2m"  # from one page to the next
_ENVELOPE = ("pit_id", "timed_out", "_shards.total", "_shards.failed", "_shards.failures")


class Index:
    """
    Documents of all indices that a pattern names, dead letters left out.

    ``warn`` is told where a part of them did not answer: what is found is not all then. Raises ElasticError where nothing can be read.
    """

    def __init__(self, connection: Connection, pattern: str, warn: Callable[[str], None], *, may_be_missing: bool = False) -> None:
        self.connection, self.pattern = connection, pattern
        self.may_be_missing = may_be_missing
        self._warn = warn

    def dead_letters(self) -> Index:
        """Give the index of what was refused on its way to this one; there need not be one."""
        namespaces = {part.rpartition("-")[2] for part in self.pattern.split(",") if part.startswith("logs-") and part.count("-") > 1}
        patterns = [f"{DEAD_LETTERS}-{namespace}" for namespace in sorted(namespaces or {"*"})]
        return Index(self.connection, ",".join(patterns), self._warn, may_be_missing=True)

    def failures(self) -> Index:
        """Give the failure store of its data streams, where Elasticsearch 8.19 and later keep by themselves what they refuse."""
        patterns = [f"{part}::failures" for part in self.pattern.split(",") if not part.startswith("-")]
        return Index(self.connection, ",".join(patterns), self._warn, may_be_missing=True)

    def pages(self, body: Mapping[str, Any], *, size: int, of_hits: tuple[str, ...] = ()) -> Iterator[list[Hit]]:
        """
        Give all documents that a search finds, in its order, so many at a time; every one once, whatever is stored meanwhile.

        ``of_hits`` names what is wanted of each hit, by default all of it.
        """
        pit = self._point_in_time()
        if pit is None:
            return
        wanted = [f"hits.hits.{name}" for name in (*of_hits, "sort")] if of_hits else ["hits.hits"]
        body = {**body, "size": size, "track_total_hits": False}
        try:
            while True:
                body["pit"] = {"id": pit, "keep_alive": _KEEP_ALIVE}
                answer = self._ask("POST", "/_search", body, filter_path=",".join((*_ENVELOPE, *wanted)))
                pit = str(answer.get("pit_id", pit))
                self._check(answer)
                hits: list[Hit] = answer.get("hits", {}).get("hits", [])
                if hits:
                    yield hits
                if len(hits) < size:
                    return
                body["search_after"] = hits[-1]["sort"]
        finally:
            with suppress(ElasticError):  # it ends by itself
                self.connection.request("DELETE", "/_pit", {"id": pit})

    def count(self, query: Mapping[str, Any]) -> int:
        """Count the documents that a query finds."""
        answer = self._ask("POST", self._path("_count"), {"query": query}, **self._leniency())
        self._check(answer)
        return int(answer["count"])

    def types(self, fields: list[str]) -> dict[str, set[str]]:
        """Give the types which these fields have in any of the indices; of those that one of them has."""
        answer = self._ask("GET", self._path("_field_caps"), None, fields=",".join(fields), **self._leniency())
        if not answer.get("indices") and not self.may_be_missing:
            raise ElasticError(self._nothing(), 404)
        return {name: set(types) for name, types in answer.get("fields", {}).items() if name in fields}

    def _point_in_time(self) -> str | None:
        """Open one, and give its ID; None where there is nothing to search, and need not be."""
        answer = self._ask("POST", self._path("_pit"), None, keep_alive=_KEEP_ALIVE, **self._leniency())
        if answer.get("_shards", {}).get("total", 1):
            return str(answer["id"])
        if self.may_be_missing:
            return None
        raise ElasticError(self._nothing(), 404)

    def _ask(self, method: str, path: str, body: object, **parameters: str) -> dict[str, Any]:
        try:
            answer = self.connection.request(method, f"{path}?{urlencode(parameters)}" if parameters else path, body)
        except ElasticError as error:
            if error.status == 404 and "search context" in str(error):
                text = f"the search was given up by Elasticsearch, because a page took longer than {_KEEP_ALIVE}: search again"
                raise ElasticError(text, error.status) from None
            if error.status == 404:
                raise ElasticError(self._nothing(), error.status) from None
            if error.status == 403:
                text = f"{error}; index={self.pattern!r} wants an API key with the privilege read on it"
                raise ElasticError(text, error.status) from None
            raise
        if not isinstance(answer, dict):
            raise ElasticError(self.connection.strange())
        return answer

    def _path(self, action: str) -> str:
        pattern = self.pattern
        if "*" in pattern and not self.may_be_missing:
            pattern += f",-{DEAD_LETTERS}-*"
        return f"/{quote(pattern, safe='*,')}/{action}"

    def _leniency(self) -> dict[str, str]:
        return {"ignore_unavailable": "true", "allow_no_indices": "true"} if self.may_be_missing else {}

    def _nothing(self) -> str:
        return f"index={self.pattern!r}: there is no such index or data stream, or none that may be read with these credentials"

    def _check(self, answer: Mapping[str, Any]) -> None:
        shards = answer.get("_shards", {})
        if failed := shards.get("failed"):
            reasons = {str((failure.get("reason") or {}).get("reason") or "") for failure in shards.get("failures", ())} - {""}
            why = f": {'; '.join(sorted(reasons))}" if reasons else ""
            self._warn(f"index={self.pattern!r}: {failed} of {shards.get('total')} shards did not answer{why}")
        if answer.get("timed_out"):
            self._warn(f"index={self.pattern!r}: a search was cut short by Elasticsearch's own timeout (search.default_search_timeout)")
