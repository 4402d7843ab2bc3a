"""From options and environment to a connection to Elasticsearch; what is wrong is said by the names that were typed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackline.elastic.connection import Connection

URL, KEY, CA = "ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY", "ELASTICSEARCH_CA"
_USER, _PASSWORD = "ELASTICSEARCH_USERNAME", "ELASTICSEARCH_PASSWORD"


class OptionError(Exception):
    """An option that cannot be used, in words for who has typed it."""


def connect(option: str, url: str | None, ca: str | None, *, api_key_file: str | None = None, timeout: float = 30.0) -> Connection:
    """
    Give the connection to the URL that an option gave, or else the environment, with the credentials of the environment.

    Raises OptionError where one of the two has something wrong in it, ElasticError where there is no client library.
    """
    from trackline.elastic.connection import Connection, ElasticError

    names = {"url": option if url else URL, "ca": "--ca" if ca else CA}
    url = url or os.environ.get(URL)
    if not url:
        raise OptionError(f"argument {option}: expected a URL, here or in {URL}, such as https://logs.example.org:9200")
    if not ca and url.startswith("https:"):  # to any other it is of no use, and may be there for others
        ca = os.environ.get(CA)
    key, user = _api_key(api_key_file), os.environ.get(_USER)
    who = {"api_key": key} if key else {"username": user, "password": os.environ.get(_PASSWORD)}
    try:
        return Connection(url, **who, ca=ca or None, timeout=timeout)
    except ElasticError as error:
        text = str(error)
        for argument, name in names.items():
            if text.startswith((f"{argument}=", f"{argument}:")):
                raise OptionError(name + text.removeprefix(argument)) from None
        raise


def _api_key(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(KEY, "").strip() or None
    try:
        key = Path(path).read_text("ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text of ASCII"
        raise OptionError(f"--api-key-file={path!r}: {reason}") from None
    if not key or len(key.split()) != 1:
        raise OptionError(f"--api-key-file={path!r}: expected one API key in it, as id:key or encoded, and nothing else")
    return key
