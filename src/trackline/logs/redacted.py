"""What the user passes in ``extra=``, without its secrets: by keys, in nested values and lists of headers too, and by texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trackline.credentials import MASK, is_card
from trackline.logs.fields import ecs_fields
from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from trackline.redaction import Redaction

_LEAST_CARD = 10**12
_MAX_DEPTH = 24
_MAX_NODES = 150_000
"""More do not fit a line: it would be cut anyhow."""
_HARMLESS = (date, time, timedelta, Decimal, UUID)
_LISTS = (list, tuple, set, frozenset)


def redacted(extras: list[tuple[str, Any]], redaction: Redaction) -> list[tuple[str, Any]]:
    """
    Give extras with ``[redacted]`` for the secrets in them; the values themselves where there are none. Changes nothing in place.

    Under the key of a secret None and booleans stay, for they say nothing. Mappings of any class are looked into, so are lists of pairs
    (headers), 24 levels deep; of another object its text. Never raises.
    """
    if _is_harmless(extras, redaction):
        return extras
    walk = _Walk(redaction)
    return [(key, MASK if walk.hides(key, value) else walk.of(value, key=key)) for key, value in extras]


def _is_harmless(extras: list[tuple[str, Any]], redaction: Redaction) -> bool:
    """Say whether there is nothing to hide in extras: only of plain ones, as most are, and with one search for all."""
    texts = []
    for key, value in extras:
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is int:
            if value >= _LEAST_CARD:
                return False
        elif kind is not float and kind is not bool and value is not None:
            return False
        if redaction.is_secret(key):
            return False
    return not redaction.suspicious_text("\n".join(texts))


class _Walk:
    """One for one line: the number of values is bounded, also where a few lists that hold each other spell a million of them."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._left = _MAX_NODES

    def hides(self, key: object, value: object) -> bool:
        return value is not None and type(value) is not bool and self._redaction.is_secret(key if type(key) is str else text_of(key))

    def of(self, value: Any, depth: int = _MAX_DEPTH, within: tuple[int, ...] = (), key: str = "") -> Any:
        """Give a value without the secrets in it: itself, if there are none."""
        kind = type(value)
        if kind is str:
            return self._redaction.clean(value)
        if value is None or kind is bool or kind is float or issubclass(kind, _HARMLESS):
            return value
        if kind is int:
            # No issuer's digits are followed by so few, or so many, that this would take the digits of every number.
            is_hidden = _LEAST_CARD <= value < 10**19 and is_card(str(value)) and key not in ecs_fields()
            return MASK if is_hidden else value
        if issubclass(kind, _LISTS) or _is_mapping(kind):
            if id(value) in within:
                return "<cycle>"
            if not depth:
                return "<too deep>"
            try:
                return self._items(value, kind, depth - 1, (*within, id(value)))
            except Exception:  # noqa: BLE001  (a mapping of the user's, whose own methods raise)
                return self._text(value)
        return self._text(value)

    def _text(self, value: Any) -> Any:
        text = text_of(value)
        cleaned = self._redaction.clean(text)
        return value if cleaned == text else cleaned

    def _items(self, value: Any, kind: type, depth: int, within: tuple[int, ...]) -> Any:
        if not issubclass(kind, _LISTS):
            return self._mapping(value, kind, depth, within)
        base = next(base for base in _LISTS if issubclass(kind, base))
        listed: list[Any] = []
        is_changed = False
        items = list(base.__iter__(value))
        for number, item in enumerate(items):
            self._left -= 1
            if self._left < 0:
                return [*listed, f"… {len(items) - number} more, cut"]
            hidden = self._pair(item)
            made = self.of(item, depth, within) if hidden is None else hidden
            is_changed = is_changed or made is not item
            listed.append(made)
        return listed if is_changed else value

    def _pair(self, item: Any) -> list[Any] | None:
        """Give a header, a pair of a secret's name and its value, without that; None for any other item."""
        if type(item) in (list, tuple) and len(item) == 2 and type(item[0]) in (str, bytes) and self.hides(item[0], item[1]):
            return [item[0], MASK]
        return None

    def _mapping(self, value: Any, kind: type, depth: int, within: tuple[int, ...]) -> Any:
        given: dict[Any, Any] = {}
        is_changed = False
        pairs = list(dict.items(value)) if issubclass(kind, dict) else list(islice(value.items(), _MAX_NODES))
        for number, (key, inner) in enumerate(pairs):
            self._left -= 1
            if self._left < 0:
                return {**given, "trackline_cut": f"{len(pairs) - number} more, cut"}
            made = MASK if self.hides(key, inner) else self.of(inner, depth, within)
            is_changed = is_changed or made is not inner
            given[key] = made
        return given if is_changed else value


def _is_mapping(kind: type) -> bool:
    try:
        return issubclass(kind, dict) or issubclass(kind, Mapping)
    except Exception:  # noqa: BLE001  (a metaclass of the user's)
        return False
