"""A connection to Elasticsearch whose errors say what to do. elasticsearch-py below; the extra is `elasticsearch`."""

from __future__ import annotations

import base64
import re
import ssl
import time
import warnings
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

# What servers 8 and 9 both speak, whichever of the two lines of elasticsearch-py is installed: 9 by itself asks for what 8 refuses.
_JSON = "application/vnd.elasticsearch+json; compatible-with=8"
_NO_SECURITY = "built-in security features are not enabled"
_TIMEOUT = 30.0
_PATIENCE = 20.0
_NOT_NOW = frozenset({429, 503})


class ElasticError(Exception):
    """What Elasticsearch refused, or why it could not be asked, in words for who runs it. ``status`` is HTTP's, 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Connection:
    """
    Requests and answers as plain JSON. A context manager.

    ``api_key`` is taken in both of its forms, ``id:key`` and encoded. ``ca`` is the path of a file of certificates to trust instead
    of the system's. ``warnings`` has what Elasticsearch said beside its answers. Raises ElasticError where an argument cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca: str | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        try:
            import elasticsearch
        except ImportError:
            raise ElasticError("Elasticsearch needs a package: pip install 'trackline[elasticsearch]'") from None
        self.url = _checked(url)
        self.warnings: list[str] = []
        self._who = "the API key" if api_key else f"the user {username}" if username else ""
        options: dict[str, Any] = {}
        if api_key:
            options["api_key"] = encoded(api_key)
        elif username:
            options["basic_auth"] = (username, password or "")
        if self.url.startswith("https:"):
            if ca is not None:
                _check_certificates(ca)
            options["ca_certs"] = ca
        elif ca is not None:
            raise ElasticError(f"url={url!r}: with a CA an address of https:// is expected")
        self._client = elasticsearch.Elasticsearch(self.url, request_timeout=timeout, max_retries=0, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        """Give what is at a path, or None where nothing is."""
        try:
            return self.repeat("GET", path)
        except ElasticError as error:
            if error.status == 404:
                return None
            raise

    def repeat(self, method: str, path: str, body: object = None) -> Any:
        """
        Send a request that may be sent again, and send it again for some seconds while Elasticsearch says that it cannot just now.

        So it is for the index of roles and keys when it has just been made, and while a master is elected.
        """
        deadline = time.monotonic() + _PATIENCE
        pause = 0.05
        while True:
            try:
                return self.request(method, path, body)
            except ElasticError as error:
                if error.status not in _NOT_NOW or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request and give the answer."""
        import elastic_transport
        import elasticsearch

        headers = {"accept": _JSON} | ({"content-type": _JSON} if body is not None else {})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answer = self._client.perform_request(method, path, headers=headers, body=body)
            except elasticsearch.UnsupportedProductError:  # without the header by which Elasticsearch says what it is
                raise ElasticError(f"{self.url} answers, but it is no Elasticsearch") from None
            except elasticsearch.ApiError as error:
                raise ElasticError(self._refused(method, path, error.meta.status, error.body), error.meta.status) from None
            except elastic_transport.SerializationError:
                raise ElasticError(self.strange()) from None
            except elastic_transport.TransportError as error:
                raise ElasticError(self._unreached(error)) from None
            finally:
                self.warnings += _told(caught)
        return answer.body

    def strange(self) -> str:
        """Say that what answers does not answer as Elasticsearch does."""
        return f"{self.url} answers, but not as Elasticsearch does: is that the page of a proxy before it?"

    def _refused(self, method: str, path: str, status: int, body: Any) -> str:
        reason = _reason(body) or f"status {status}"
        if status == 401:
            if not self._who:
                known = "ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD"
                return f"{self.url} wants to know who asks: set {known}"
            return f"{self.url} does not accept {self._who}: {reason}"
        if status == 403:
            granted = re.search(r"granted by the (index|cluster) privileges \[([^\]]*)\]", reason)
            if granted:
                one, *others = granted[2].split(",")
                more = f" (or {', '.join(others)})" if others else ""
                return f"{self._who or 'who asks'} may not {method} {path}: the {granted[1]} privilege {one} is missing{more}"
        return f"{method} {path}: {reason}"

    def _unreached(self, error: Any) -> str:
        import elastic_transport

        said = str(error.message)
        if isinstance(error, elastic_transport.TlsError):
            if "CERTIFICATE_VERIFY_FAILED" in said or "certificate verify failed" in said:
                why = said.rpartition("certificate verify failed")[2].strip(": ").partition(" (_ssl.c")[0]
                return f"{self.url}: its certificate is not trusted here ({why}): name its authority's with --ca or ELASTICSEARCH_CA"
            return f"{self.url}: no TLS with it ({said}): does it speak http:// rather than https://?"
        if isinstance(error, elastic_transport.ConnectionTimeout):
            return f"{self.url}: no answer in time ({said})"
        hint = ": does it speak https:// rather than http://?" if _is_broken_off(said) and self.url.startswith("http:") else ""
        return f"{self.url}: cannot be reached ({said}){hint}"


def encoded(api_key: str) -> str:
    """Give an API key as it goes over the wire, in base64, whether it comes so or as ``id:key``, as Filebeat takes it."""
    return base64.b64encode(api_key.encode()).decode() if ":" in api_key else api_key


def _checked(url: str) -> str:
    if "@" in url:
        raise ElasticError("url: expected one without a user and a password in it, which others could read in the list of processes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ElasticError(f"url={url!r}: expected one such as http://127.0.0.1:9200 or https://logs.example.org")
    # elasticsearch-py wants a port to be named.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}{parts.path.rstrip('/')}"


def _check_certificates(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # as ssl.SSLError is
        reason = "" if isinstance(error, ssl.SSLError) else f" ({error.strerror})"
        raise ElasticError(f"ca={path!r}: expected the path of a file of certificates, in PEM{reason}") from None


def _reason(body: Any) -> str:
    """Give what Elasticsearch says is wrong, with its causes."""
    if not isinstance(body, dict):
        return str(body or "").strip()[:500]
    error = body.get("error", body)
    if not isinstance(error, dict):
        return str(error)
    return ": ".join(dict.fromkeys(_reasons(error)))


def _reasons(error: dict[str, Any]) -> Iterator[str]:
    cause: Any = error
    while isinstance(cause, dict):
        if reason := cause.get("reason"):
            yield str(reason)
        cause = cause.get("caused_by")


def _told(caught: list[warnings.WarningMessage]) -> list[str]:
    return [text for warning in caught if _NO_SECURITY not in (text := str(warning.message))]


def _is_broken_off(said: str) -> bool:
    return any(part in said for part in ("Connection aborted", "RemoteDisconnected", "Connection reset", "BadStatusLine"))
