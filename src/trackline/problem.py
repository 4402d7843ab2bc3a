"""Answers to errors as problem documents (RFC 9457) which carry the tracking ID: what a customer can read out to support."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from trackline.context import get_tracking_id
from trackline.middleware import TRACKED_KEY

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request


class ProblemResponse(JSONResponse):
    """A problem document (RFC 9457, section 3); ``tracking_id`` is an extension member (section 3.2)."""

    media_type = "application/problem+json"


def add_handlers(app: Starlette) -> None:
    """Handle HTTPException, FastAPI's RequestValidationError and unhandled errors, each only where the application does not."""
    handlers = app.exception_handlers
    ours: dict[Any, Any] = {HTTPException: _http_exception, Exception: _unhandled}
    defaults: set[Any] = set()
    if hasattr(app, "openapi"):
        from fastapi.exception_handlers import (
            http_exception_handler,
            request_validation_exception_handler,
        )
        from fastapi.exceptions import RequestValidationError

        ours[RequestValidationError] = _invalid_request
        defaults = {http_exception_handler, request_validation_exception_handler}
    for error, handler in ours.items():
        taken = handlers.get(error) or (handlers.get(500) if error is Exception else None)
        if taken is None or taken in defaults:
            handlers[error] = handler


def problem(request: Request, status: int, detail: str | None = None, **members: Any) -> ProblemResponse:
    """Give the problem document of a request; ``members`` are further ones, and what is None is left out."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    document = {
        "type": "about:blank",  # the problem is what the status says (RFC 9457, section 4.2.1)
        "title": title,
        "status": status,
        "detail": detail if detail != title else None,
        "tracking_id": request.scope.get(TRACKED_KEY) or get_tracking_id(),
        **members,
    }
    return ProblemResponse({key: value for key, value in document.items() if value is not None}, status_code=status)


async def _http_exception(request: Request, error: HTTPException) -> Response:
    if error.status_code in {204, 304}:
        return Response(status_code=error.status_code, headers=error.headers)  # no content is allowed (RFC 9110, 15.3.5, 15.4.5)
    if isinstance(error.detail, str):
        response = problem(request, error.status_code, error.detail)
    else:  # FastAPI allows any JSON there; RFC 9457 wants a string
        from fastapi.encoders import jsonable_encoder

        response = problem(request, error.status_code, errors=jsonable_encoder(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _invalid_request(request: Request, error: Any) -> Response:
    from fastapi.encoders import jsonable_encoder

    return problem(request, 422, "The request is not valid.", errors=jsonable_encoder(error.errors()))


async def _unhandled(request: Request, _error: Exception) -> Response:
    return problem(request, 500)  # nothing of the error itself: it is in the log, under this ID
