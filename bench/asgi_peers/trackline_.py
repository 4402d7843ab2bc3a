"""Trackline with its default settings: the middleware round a bare ASGI app, install() into FastAPI."""

import trackline
from common import AsgiPeer


class Trackline(AsgiPeer):
    def raw(self, app):
        return trackline.TrackingMiddleware(app)

    def fastapi(self, app):
        trackline.install(app)
        return app


PEERS = [Trackline("trackline", header=b"x-request-id", adopts="x-request-id", current_id=trackline.get_tracking_id)]
