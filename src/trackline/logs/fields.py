"""Where a value of the user's ``extra=`` goes: to an ECS field that has its name and takes its type, or under ``labels``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ECS_VERSION = "9.5.0"
"""Of `ecs-fields.txt`: the names of ECS's field reference, by the kind of value that they take."""

# Field aliases of tracking_id in our index template: Elasticsearch refuses a document that writes to an alias.
_ALIASES = frozenset({"http.request.id", "labels.tracking_id"})
_LABEL_KEY = str.maketrans({".": "_", "*": "_", "\\": "_"})  # ECS logging specification, "labels", sanitization


@cache
def ecs_fields() -> dict[str, str]:
    """Give the kind of value of each ECS field: text, integer, number, boolean, date or ip. Read once, when first needed."""
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
    for key, value in extras:
        name = key if isinstance(key, str) else str(key)
        if type(value) is dict and (spelled := _spelled(name, value, taken, fields)):
            fields.update(spelled)
            continue
        kind = ecs_fields().get(name)
        if kind and name not in _ALIASES and name not in taken and name not in fields and takes(kind, value):
            fields[name] = value
        else:
            _label(labels, name, value)
    return fields, labels


def takes(kind: str, value: Any) -> bool:
    """Say whether an ECS field of this kind takes this value without a mapping conflict; a list of such values is one (ECS, arrays)."""
    if type(value) in (list, tuple):
        return all(takes(kind, one) for one in value)
    if kind == "text":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308
    if kind == "ip":
        return isinstance(value, str) and _is_ip(value)
    return hasattr(value, "isoformat") or (isinstance(value, str) and value[:4].isdigit() and value[4:5] == "-")  # date


def _is_ip(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _spelled(name: str, value: dict[Any, Any], taken: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the ECS fields that a nested object spells, all of them or none."""
    spelled = dict(_leaves(name, value, depth=8))
    kinds = ecs_fields()
    is_ecs = all(
        path in kinds and path not in taken and path not in fields and path not in _ALIASES and takes(kinds[path], leaf)
        for path, leaf in spelled.items()
    )
    return spelled if is_ecs else {}


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if type(value) is dict and value and depth:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner, depth - 1)
    else:
        yield path, value


def _label(labels: dict[str, Any], name: str, value: Any) -> None:
    key = name.translate(_LABEL_KEY)
    if f"labels.{key}" in _ALIASES:
        key = f"extra_{key}"
    while key in labels:
        key += "_"
    labels[key] = value
