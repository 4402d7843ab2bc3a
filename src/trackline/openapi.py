"""The headers in FastAPI's OpenAPI document: clients and their generators learn of the ID."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from trackline.identity import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackline.config import TrackingSettings

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"})
_DOCUMENTED = "_trackline_documented"
_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": r"^[A-Za-z0-9\-._~:/+=@|;,]+$"}


def document_headers(app: Any, settings: Callable[[], TrackingSettings | None]) -> None:
    """
    Let ``app.openapi()`` list the request and response headers, also where the application has an ``openapi`` of its own.

    ``settings`` is asked each time; None leaves the document as it is.
    """
    original = app.openapi
    if getattr(original, _DOCUMENTED, False):
        return

    @functools.wraps(original)
    def openapi() -> dict[str, Any]:
        document: dict[str, Any] = original()
        if (current := settings()) is not None:
            add_headers(document, current)
        return document

    setattr(openapi, _DOCUMENTED, True)
    app.openapi = openapi


def add_headers(document: dict[str, Any], settings: TrackingSettings) -> None:
    """
    Add the headers to an OpenAPI document, in place (FastAPI keeps it). Adding them again changes nothing.

    A header that an operation documents by itself is left as it is.
    """
    components = document.setdefault("components", {})
    for name in settings.id_headers:
        parameter = {
            "name": name,
            "in": "header",
            "required": False,
            "description": "The ID that this request is to be tracked by. Made by the service where there is none.",
            "schema": _SCHEMA,
        }
        components.setdefault("parameters", {}).setdefault(name, parameter)
    for name in settings.response_headers:
        description = "The ID that this request is tracked by: name it when you ask for support."
        components.setdefault("headers", {}).setdefault(name, {"description": description, "schema": _SCHEMA})
    for path in document.get("paths", {}).values():
        for method, operation in path.items():
            if method in _METHODS:
                _add_to_operation(operation, components, settings)


def _add_to_operation(operation: dict[str, Any], components: dict[str, Any], settings: TrackingSettings) -> None:
    parameters = operation.get("parameters", [])
    documented = {str(parameter.get("name", "")).lower() for parameter in parameters}
    documented |= {str(parameter.get("$ref", "")).rpartition("/")[2].lower() for parameter in parameters}
    missing = [name for name in settings.id_headers if name.lower() not in documented]
    if missing:
        operation["parameters"] = [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in missing)]
    for response in operation.get("responses", {}).values():
        if "$ref" in response:
            continue
        headers = response.setdefault("headers", {})
        present = {name.lower() for name in headers}
        for name in components.get("headers", {}):
            if name in settings.response_headers and name.lower() not in present:
                headers[name] = {"$ref": f"#/components/headers/{name}"}
