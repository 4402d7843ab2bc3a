"""install(app): find the right place in a FastAPI or Starlette application for the middleware, whoever else is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.config import DEFAULT_ID_HEADERS, DEFAULT_RESPONSE_HEADERS, TrackingSettings
from trackline.request import RequestReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

    from trackline._asgi import ASGIApp, Receive, Scope, Send
    from trackline.config import Exclude, Trust

_INSTALLED = "_trackline"


def install(
    app: Starlette,
    *,
    id_headers: Sequence[str] = DEFAULT_ID_HEADERS,
    response_headers: Sequence[str] = DEFAULT_RESPONSE_HEADERS,
    trust: Trust = "all",
    exclude: Exclude | None = None,
    openapi: bool = True,
    problem_details: bool = False,
) -> None:
    """
    Track every request of a FastAPI or Starlette application.

    May be called before or after other middleware and instrumentation, at any time before the first request; a second call changes
    nothing. The middleware is outside of everything of the application's, and just inside of whatever makes the server span.

    - ``id_headers``: which request headers carry a tracking ID, in order; the first usable value counts.
    - ``response_headers``: which response headers carry it.
    - ``trust``: whose IDs count: "all", "none", a list of networks, or a callable of the ASGI scope.
    - ``exclude``: a callable of the ASGI scope; a request for which it is true is not touched at all.
    - ``openapi``: list the headers in FastAPI's OpenAPI document.
    - ``problem_details``: give the answers to errors that have no handler of yours as RFC 9457 problem documents with the ID.

    Raises ValueError where a setting is wrong, TypeError where ``app`` is no Starlette application (wrap those in
    `TrackingMiddleware`), RuntimeError where it has begun to serve.
    """
    options: dict[str, Any] = {
        "id_headers": id_headers,
        "response_headers": response_headers,
        "trust": trust,
        "exclude": exclude,
    }
    settings = TrackingSettings(**options)
    build = getattr(app, "build_middleware_stack", None)
    if build is None:
        raise TypeError(f"install(app={app!r}): expected a FastAPI or Starlette application; for others: TrackingMiddleware(app)")
    if getattr(app, _INSTALLED, False):
        return
    if app.middleware_stack is not None:
        raise RuntimeError("install(app): the application has begun to serve; call it before the first request")

    if problem_details:
        from trackline.problem import add_handlers

        add_handlers(app)
    has_document = openapi and hasattr(app, "openapi")
    if has_document:
        _document_headers(app, settings)

    def build_middleware_stack() -> ASGIApp:
        from trackline.edge import enclose

        if has_document:
            _document_headers(app, settings)  # the application may have been given an `openapi` of its own since
        return enclose(build(), options)

    if settings.trusts is not None:
        _guard(app, settings)
    setattr(app, _INSTALLED, True)
    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


def _document_headers(app: Starlette, settings: TrackingSettings) -> None:
    from trackline.openapi import document_headers

    document_headers(app, settings)


def _guard(app: Starlette, settings: TrackingSettings) -> None:
    """
    Take the IDs of callers who are not trusted off the request before anything else sees it.

    What makes the server span may be outside of any middleware stack (FastAPI's own telemetry, contrib's if it comes later): only the
    application's ``__call__`` is outside of that, and Python looks it up on the class.
    """
    plain = type(app)
    reader = RequestReader(settings)

    async def guarded(self: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
        reader.hide_untrusted(scope)
        await plain.__call__(self, scope, receive, send)

    names = {
        "__call__": guarded,
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
    }
    app.__class__ = type(plain.__name__, (plain,), names)
