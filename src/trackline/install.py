"""install(app): find the right place in a FastAPI or Starlette application for the middleware, whoever else is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.config import DEFAULT_ID_HEADERS, DEFAULT_RESPONSE_HEADERS, TrackingSettings
from trackline.environment import INSTALL, else_from_env
from trackline.request import RequestReader, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.applications import Starlette

    from trackline._asgi import ASGIApp, Receive, Scope, Send
    from trackline.config import Exclude, Trust

_INSTALLED = "_trackline"
_GUARDED = "_trackline_guarded"


@else_from_env(INSTALL)
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
    nothing. The middleware is outside of everything of the application's, and just inside of whatever makes the server span. An option
    that is not given is that of the environment, where it is set there: ``trust`` is TRACKLINE_TRUST
    (`trackline.environment.VARIABLES`).

    - ``id_headers``: which request headers carry a tracking ID, in order; the first usable value counts.
    - ``response_headers``: which response headers carry it.
    - ``trust``: whose IDs count: "all", "none", a list of networks, or a callable of the ASGI scope.
    - ``exclude``: a callable of the ASGI scope; a request for which it is true is not touched at all.
    - ``openapi``: list the headers in FastAPI's OpenAPI document.
    - ``problem_details``: give the answers to errors that have no handler of yours as RFC 9457 problem documents with the ID.

    Raises ValueError where a setting is wrong, TypeError where ``app`` is no Starlette application (wrap those in
    `TrackingMiddleware`), RuntimeError where it has begun to serve.
    """
    track = {"id_headers": id_headers, "response_headers": response_headers, "trust": trust, "exclude": exclude}
    _install(app, track, openapi=openapi, problem_details=problem_details, is_default=False)


def install_default(app: Starlette, *, openapi: bool = True, problem_details: bool = False, **track: Any) -> None:
    """Install for somebody who has written no `install`: one that the application calls itself, now or later, wins."""
    _install(app, track, openapi=openapi, problem_details=problem_details, is_default=True)


class _Installation:
    """What is installed in an application; read when its stack is built, so that a later call may still change it."""

    def __init__(self, app: Starlette) -> None:
        self.build = app.build_middleware_stack
        self.own: Callable[[], ASGIApp] | None = None
        self.is_default = True

    def configure(self, track: dict[str, Any], *, openapi: bool, problem_details: bool, is_default: bool) -> None:
        settings = TrackingSettings(**track)
        self.is_default, self.has_document, self.has_problems = is_default, openapi, problem_details
        self.settings = settings
        self.reader = RequestReader(settings)


def _install(app: Starlette, track: dict[str, Any], *, openapi: bool, problem_details: bool, is_default: bool) -> None:
    if getattr(app, "build_middleware_stack", None) is None:
        raise TypeError(f"install(app={app!r}): expected a FastAPI or Starlette application; for others: TrackingMiddleware(app)")
    installed: _Installation | None = getattr(app, _INSTALLED, None)
    if installed is not None and (is_default or not installed.is_default):
        TrackingSettings(**track)  # changes nothing, but is not silent about what is wrong
        return
    if app.middleware_stack is not None:
        raise RuntimeError("install(app): the application has begun to serve; call it before the first request")
    installation = installed or _Installation(app)
    installation.configure(track, openapi=openapi, problem_details=problem_details, is_default=is_default)
    if installed is None:
        setattr(app, _INSTALLED, installation)

        def build_middleware_stack() -> ASGIApp:
            return _build(app, installation)

        installation.own = app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]
    _document_headers(app, installation)
    if installation.settings.trusts is not None and not hasattr(type(app), _GUARDED):
        _guard(app, installation)


def _build(app: Starlette, installation: _Installation) -> ASGIApp:
    from trackline.edge import enclose

    if installation.has_problems:
        from trackline.problem import add_handlers  # now, when all handlers of the application's own are known

        add_handlers(app)
    _document_headers(app, installation)  # the application may have been given an `openapi` of its own since
    settings = installation.settings
    options = {
        "id_headers": settings.id_headers,
        "response_headers": settings.response_headers,
        "trust": settings.trust,
        "exclude": settings.exclude,
    }
    return enclose(installation.build(), options, is_outermost=app.build_middleware_stack is installation.own)


def _document_headers(app: Starlette, installation: _Installation) -> None:
    if hasattr(app, "openapi"):
        from trackline.openapi import document_headers

        document_headers(app, lambda: installation.settings if installation.has_document else None)


def _guard(app: Starlette, installation: _Installation) -> None:
    """
    Take the IDs of callers who are not trusted off the request before anything else sees it.

    What makes the server span may be outside of any middleware stack (FastAPI's own telemetry, contrib's if it comes later): only the
    application's ``__call__`` is outside of that, and Python looks it up on the class.
    """
    plain = type(app)

    async def guarded(self: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
        exclude = installation.settings.exclude
        if exclude is None or not holds(exclude, scope, otherwise=False):
            installation.reader.hide_untrusted(scope)
        await plain.__call__(self, scope, receive, send)

    names = {
        "__call__": guarded,
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
        _GUARDED: True,
    }
    app.__class__ = type(plain.__name__, (plain,), names)
