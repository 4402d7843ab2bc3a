"""How extras of these names are written, worked out once; for values that are as plain as most are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from trackline.logs.fields import ecs_fields, is_alias, place, takes
from trackline.logs.record import OWN

if TYPE_CHECKING:
    from collections.abc import Collection

SCALARS = frozenset({str, int, float, bool, type(None)})


class Placing:
    """Where each of a few extras goes: to a field of ECS of its name, or to a label, of this or another name."""

    __slots__ = ("_places", "is_as_given")

    def __init__(self, places: list[tuple[str, str | None, str]]) -> None:
        self._places = places
        self.is_as_given = all(kind is None and name == key for key, kind, name in places)
        """Whether all are labels of the names that they have: the dict is that of the labels as it is."""

    def write(self, extras: dict[str, Any]) -> bytes | None:
        """Give the end of a line, from the comma before the first of them; None where a value is not plain, or not what ECS takes."""
        fields: dict[str, Any] = {}
        labels: dict[str, Any] = {}
        for key, kind, name in self._places:
            value = extras[key]
            if kind is None:
                if type(value) not in SCALARS:
                    return None
                labels[name] = value
            elif (kind == "text" and type(value) is str) or takes(kind, value):
                fields[key] = value
            else:
                return None
        end = b"," + orjson.dumps(fields)[1:-1] if fields else b""
        return end + b',"labels":' + orjson.dumps(labels) + b"}\n" if labels else end + b"}\n"


def placing_of(keys: tuple[Any, ...], taken: Collection[str]) -> Placing | None:
    """Give the placing of extras of these names, in this order; None where it depends on more than that."""
    if not all(type(key) is str for key in keys) or any(key in taken or key in OWN or is_alias(key) for key in keys):
        return None
    kinds = ecs_fields()
    # As labels go, so that none is there twice: nothing is a field whose value is None.
    names = iter(place([(key, None) for key in keys if key not in kinds], {})[1])
    return Placing([(key, kinds[key], key) if key in kinds else (key, None, next(names)) for key in keys])
