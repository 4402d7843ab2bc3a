"""The headers of the answer: exactly one of each of ours, whatever the application set, readable for a browser on another origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackline._asgi import Message

    Header = tuple[bytes, bytes]

_ALLOW_ORIGIN = b"access-control-allow-origin"
_ALLOW_CREDENTIALS = b"access-control-allow-credentials"
_EXPOSE = b"access-control-expose-headers"


class ResponseHeaders:
    """Puts a tracking ID into the ASGI messages that start an answer."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.keys = tuple(name.lower().encode("ascii") for name in names)
        self.special = frozenset((*self.keys, _ALLOW_ORIGIN))

    def stamp(self, message: Message, value: bytes) -> Message:
        """
        Give the message with our headers, each with this value and each once; the one that came in is left as it is.

        A new message and a new list: an application may send the same ones for every request.
        """
        headers: Iterable[Header] = message.get("headers") or ()
        special = self.special
        for header in headers:
            if header[0].lower() in special:
                keys = self.keys
                headers = self._expose([header for header in headers if header[0].lower() not in keys])
                break
        stamped = list(headers)
        for key in self.keys:
            stamped.append((key, value))  # noqa: PERF401  (faster for two, on every answer's way)
        return {**message, "headers": stamped}

    def _expose(self, headers: list[Header]) -> list[Header]:
        """With CORS, merge our names into Access-Control-Expose-Headers: its other names stay (Fetch, section 3.3.3)."""
        if not any(header[0].lower() == _ALLOW_ORIGIN for header in headers):
            return headers
        listed = [header[1].decode("latin-1") for header in headers if header[0].lower() == _EXPOSE]
        present = [name.strip() for value in listed for name in value.split(",") if name.strip()]
        # With credentials, "*" is the name of a header and no wildcard.
        if "*" in present and not any(header[0].lower() == _ALLOW_CREDENTIALS for header in headers):
            return headers
        known = {name.lower() for name in present}
        merged = ", ".join((*present, *(name for name in self._names if name.lower() not in known)))
        if not merged:
            return headers
        return [*(header for header in headers if header[0].lower() != _EXPOSE), (_EXPOSE, merged.encode("latin-1"))]
