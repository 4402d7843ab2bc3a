"""API keys with the least rights: to append log lines, or to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackline.elastic.abilities import abilities_of
from trackline.elastic.connection import ElasticError
from trackline.elastic.parts import MANAGED_BY, READER, WRITER, role_of

if TYPE_CHECKING:
    from trackline.elastic.connection import Connection
    from trackline.elastic.options import Options


@dataclass(frozen=True)
class ApiKey:
    """A new key. Elasticsearch tells the secret this once. ``streams`` are the patterns of the data streams that it is good for."""

    name: str
    id: str
    secret: str
    encoded: str
    streams: tuple[str, ...]

    @property
    def pair(self) -> str:
        """The form that Filebeat's own setting takes: ``id:key``."""
        return f"{self.id}:{self.secret}"


def create_key(connection: Connection, name: str, options: Options, *, reads: bool = False, expires: str | None = None) -> ApiKey:
    """
    Make a key which can append to the streams of ``options`` and do nothing else, or with ``reads`` read them and nothing else.

    ``expires`` is a time as Elasticsearch has it, such as `90d`; None is never. Raises ElasticError where security is off, or who asks
    may make none.
    """
    abilities = abilities_of(connection)
    if not abilities.has_security:
        raise ElasticError(f"{connection.url} has its security off: there are no API keys")
    role = role_of(READER if reads else WRITER, options, abilities)
    rights = {key: value for key, value in role.items() if key != "metadata"}
    body: dict[str, Any] = {
        "name": name,
        "role_descriptors": {READER if reads else WRITER: rights},
        "metadata": {"managed_by": MANAGED_BY},
    }
    if expires is not None:
        body["expiration"] = expires
    try:
        answer = connection.request("POST", "/_security/api_key", body)
    except ElasticError as error:
        if "derived" in str(error):
            raise ElasticError("one API key cannot make another that has rights: ask with a user's name and password instead") from None
        raise
    return ApiKey(name, answer["id"], answer["api_key"], answer["encoded"], tuple(rights["indices"][0]["names"]))
