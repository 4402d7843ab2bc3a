"""What tests share: a client of an application in this process, and nothing of one test left for the next."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import HealthCheck, settings

from trackline.context import IDENTITY, TRACKING_ID

# A machine that is busy is no failure: how fast examples are made and run is not what is claimed.
settings.register_profile("trackline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trackline")


@pytest.fixture
def client_of():
    """Give a client of an ASGI application; unhandled errors become the 500 that a server's client would see."""

    @asynccontextmanager
    async def make(app, *, client=("127.0.0.1", 50000), raise_app_exceptions=False):
        transport = httpx.ASGITransport(app, client=client, raise_app_exceptions=raise_app_exceptions)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as made:
            yield made

    return make


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Begin each test outside of any request."""
    TRACKING_ID.set(None)
    IDENTITY.set(None)
