"""Where a value of the user's ``extra=`` goes: to an ECS field that has its name and takes its type, or under ``labels``."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from functools import cache, lru_cache
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from trackline.logs.dump import json_text
from trackline.logs.plain import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ECS_VERSION = "9.5.0"
"""Of `ecs-fields.txt`: the names of ECS's field reference, by the kind of value that they take."""

# Field aliases of tracking_id in our index template: Elasticsearch refuses a document that writes to an alias.
_ALIASES = frozenset({"http.request.id", "labels.tracking_id"})
_LABEL_KEY = str.maketrans({".": "_", "*": "_", "\\": "_"})  # ECS logging specification, "labels", sanitization
_MAX_ITEMS = 64
"""A list with more is a label, where it can be cut: no field of ECS may have our word for that among its addresses or numbers."""
_is_date = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?", re.ASCII).fullmatch


@cache
def ecs_fields() -> dict[str, str]:
    """Give the kind of value of each ECS field: text, integer, int32, number, boolean, date or ip. Read once, when first needed."""
    kinds: dict[str, str] = {}
    kind = ""
    for line in files("trackline.logs").joinpath("ecs-fields.txt").read_text("ascii").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        else:
            kinds[line] = kind
    return kinds


def place(extras: Iterable[tuple[str, Any]], taken: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Sort extras into ECS fields, with dots in their names, and labels.

    Nothing overwrites a field in ``taken``, nor one of another extra. A nested ``{"http": {"request": {"method": "GET"}}}`` counts as
    the field that it spells. What no ECS field takes is a label: its dots become underscores, and a value that is no scalar or list of
    scalars stays one value, so that ``labels`` cannot explode an index.
    """
    fields: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    for name, value in extras:
        if name == "labels" and type(value) is dict:
            for key, inner in list(value.items()):
                _label(labels, text_of(key), inner)
            continue
        leaves = dict(spelled) if type(value) is dict and (spelled := _spelled(name, value)) else {name: value}
        values = {path: fit(path, leaf) for path, leaf in leaves.items() if path not in taken and path not in fields}
        if len(values) == len(leaves) and None not in values.values():
            fields.update(values)
        else:
            _label(labels, name.removeprefix("labels."), value)
    return fields, labels


def is_alias(name: str) -> bool:
    """Say whether a name is an alias of ``tracking_id`` in Elasticsearch, to which nothing can be written."""
    return name in _ALIASES


def takes(kind: str, value: Any) -> bool:
    """Say whether an ECS field of this kind takes this value without a mapping conflict; a list of such values is one (ECS, arrays)."""
    if type(value) in (list, tuple):
        return len(value) <= _MAX_ITEMS and all(type(one) not in (list, tuple) and takes(kind, one) for one in list(value))
    of = type(value)
    if kind == "text":
        return issubclass(of, str)
    if kind == "boolean":
        return of is bool
    if kind == "integer":
        return issubclass(of, int) and of is not bool and -(2**63) <= value < 2**63
    if kind == "int32":
        return issubclass(of, int) and of is not bool and -(2**31) <= value < 2**31
    if kind == "number":  # some are 32-bit floats, and Elasticsearch refuses what such a one cannot hold
        return (issubclass(of, float) or (issubclass(of, int) and of is not bool)) and abs(value) < 2**63
    if kind == "ip":
        return issubclass(of, str) and _is_ip(value)
    return kind == "date" and issubclass(of, str) and _is_date(value) is not None and _parses(value)


def fit(field: str, value: Any) -> Any:
    """Give a value as the ECS field of this name takes it, or None. Never raises."""
    kind = ecs_fields().get(field)
    if kind is None or field in _ALIASES:
        return None
    with suppress(Exception):  # whatever may be wrong with an object of the user's
        if kind == "date" and issubclass(type(value), date):
            value = value.isoformat()
        return value if takes(kind, value) else None
    return None


@lru_cache(maxsize=4096)
def _is_ip(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return "%" not in value  # Elasticsearch knows no zones


def _parses(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _spelled(name: str, value: dict[Any, Any]) -> list[tuple[str, Any]]:
    """Give the paths that a nested object spells, or none where two are the same, or there are more than ECS has."""
    leaves: dict[str, Any] = {}
    for number, (path, leaf) in enumerate(_leaves(name, value, depth=8)):
        if path in leaves or path not in ecs_fields() or number > _MAX_ITEMS:
            return []
        leaves[path] = leaf
    return list(leaves.items())


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if type(value) is dict and value and depth:
        for key, inner in list(value.items()):
            yield from _leaves(f"{path}.{text_of(key)}", inner, depth - 1)
    else:
        yield path, value


def _label(labels: dict[str, Any], name: str, value: Any) -> None:
    key = name.translate(_LABEL_KEY)
    if not key.strip():
        key = "_"  # Elasticsearch refuses a name of nothing
    if f"labels.{key}" in _ALIASES:
        key = f"extra_{key}"
    while key in labels:
        key += "_"
    labels[key] = _scalar(value)


def _scalar(value: Any) -> Any:
    """Give a label's value: a scalar or a list of scalars as it is, anything else as JSON in a text."""
    kind = type(value)
    if value is None or issubclass(kind, str | int | float):
        return value
    if kind in (list, tuple) and all(type(one) in (str, int, float, bool) for one in list(value)):
        return value
    if issubclass(kind, dict | list | tuple | set | frozenset):
        return json_text(value)
    return text_of(value)
