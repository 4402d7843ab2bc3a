"""What is in Elasticsearch, in the form in which we say what is to be: it answers with defaults added, and in other spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackline.elastic.connection import Connection
    from trackline.elastic.parts import Part

    Body = dict[str, Any]

# What the server adds of itself, at the top of an object.
_OF_THE_SERVER = frozenset(
    {"version", "created_date", "created_date_millis", "modified_date", "modified_date_millis", "in_use_by", "transient_metadata"}
)


def fetch(connection: Connection, part: Part) -> Body | None:
    """Give what is there now in the place of a part, in canonical form; None where nothing is."""
    answer = connection.get(part.path)
    if not answer:
        return None
    if part.kind == "component template":
        found = [one["component_template"] for one in answer["component_templates"]]
    elif part.kind == "index template":
        found = [one["index_template"] for one in answer["index_templates"]]
    else:
        found = [answer[part.name]] if part.name in answer else []
    return canonical(part.kind, found[0]) if found else None


def canonical(kind: str, body: Body) -> Body:
    """Give an object so that two that mean the same are equal."""
    body = {key: value for key, value in body.items() if key not in _OF_THE_SERVER}
    if kind == "ILM policy":
        return _policy(body)
    if kind == "role":
        return _role(body)
    if "template" in body:
        body["template"] = _template(body["template"])
    if isinstance(body.get("data_stream"), dict):
        body["data_stream"] = {key: value for key, value in body["data_stream"].items() if value}
    return body


def is_ours(kind: str, body: Body) -> bool:
    """Say whether an object was made from our files, by us or by hand."""
    holder = body.get("policy", {}) if kind == "ILM policy" else body
    meta = holder.get("metadata" if kind == "role" else "_meta") or {}
    return bool(meta.get("managed_by") == "trackline")


def _template(template: Body) -> Body:
    found = {key: value for key, value in template.items() if value or key == "lifecycle"}
    if "settings" in found:
        found["settings"] = dict(sorted(_flat("", found["settings"])))
    if isinstance(found.get("lifecycle"), dict):
        found["lifecycle"] = {"enabled": True, **found["lifecycle"]}
    return found


def _flat(prefix: str, settings: Body) -> list[tuple[str, Any]]:
    """Give settings one by one, with `index.` in front, as texts, which is what they are in an answer."""
    rows: list[tuple[str, Any]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _flat(f"{name}.", value)
            continue
        name = name if name.startswith("index.") else f"index.{name}"
        rows.append((name, [_text(item) for item in value] if isinstance(value, list) else _text(value)))
    return rows


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _policy(body: Body) -> Body:
    policy = dict(body["policy"])
    phases = {}
    for name, phase in policy.get("phases", {}).items():
        actions = {
            action: {key: value for key, value in said.items() if (key, value) != ("delete_searchable_snapshot", True)}
            for action, said in phase.get("actions", {}).items()
        }
        phases[name] = {"min_age": "0ms", **phase, "actions": actions}
    return {"policy": {key: value for key, value in policy.items() if value or key == "phases"} | {"phases": phases}}


def _role(body: Body) -> Body:
    role = {key: value for key, value in body.items() if value}
    role["cluster"] = sorted(role.get("cluster", []))
    role["indices"] = [
        {key: sorted(value) if isinstance(value, list) else value for key, value in rights.items() if value}
        for rights in role.get("indices", [])
    ]
    return role
