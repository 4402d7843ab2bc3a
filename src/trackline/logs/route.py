"""The route of a request: the template that its router has matched, such as ``/orders/{number}``, as OTel's ``http.route``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def route_of(scope: Mapping[str, Any]) -> str | None:
    """
    Give the route from what Starlette or FastAPI has left in a scope, with the paths of the mounts around it; None where there is none.

    What a mounted application had no route for has the mount's path. The root path that a server was told is a part of it, as OTel's
    semantic conventions have it. A mount's own parameters are in the scope by value only: each is found by that.
    """
    route = scope.get("route")
    root = scope.get("root_path") or ""
    template = getattr(route, "path_format", None)
    if (fastapi := scope.get("fastapi")) is not None:
        # With routers in routers the route itself has the innermost part.
        effective = fastapi.get("effective_route_context")
        if effective is not None and effective.original_route is route:
            template = getattr(effective.starlette_route, "path_format", None) or effective.path_format
    if type(template) is not str or hasattr(route, "routes"):
        template = "" if root and "endpoint" in scope else None  # a mount is as far as it got
    if template is None or not root:
        return template
    parameters = scope.get("path_params") or {}
    named = {str(value): name for name, value in parameters.items() if f"{{{name}}}" not in template}
    if named:
        root = "/".join([f"{{{named[part]}}}" if part in named else part for part in root.split("/")])
    return str(root.rstrip("/") + template)
