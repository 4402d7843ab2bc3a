"""The design that Trackline started from, and that most tutorials show: BaseHTTPMiddleware, uuid4, a ContextVar."""

from uuid import uuid4

from starlette.middleware.base import BaseHTTPMiddleware

from common import AsgiPeer, tracking_id


class OriginMiddleware(BaseHTTPMiddleware):
    """A new ID for every request, whatever came in: into the ContextVar, the request's headers, the response's."""

    async def dispatch(self, request, call_next):
        own_id = str(uuid4())
        token = tracking_id.set(own_id)
        request.scope["headers"].append((b"x-request-id", own_id.encode("latin-1")))
        try:
            response = await call_next(request)
        finally:
            tracking_id.reset(token)
        response.headers["X-Tracking-ID"] = own_id
        return response


PEERS = [AsgiPeer("origin (BaseHTTPMiddleware)", OriginMiddleware, b"x-tracking-id")]
