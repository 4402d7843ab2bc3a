"""The caller of the demo: no part of the services, and not instrumented. It sends just the headers that a scene says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from trackline.demo.check import Answer

if TYPE_CHECKING:
    from trackline.demo.processes import Services
    from trackline.demo.scenes import Scene

_SECONDS = 10.0


async def send(scene: Scene, services: Services) -> Answer:
    """Send a request to the gateway and give what came back; status 0 where nothing did."""
    try:
        return await (_converse if scene.method == "WS" else _request)(scene, services.url("gateway"))
    except (httpx.HTTPError, WebSocketException, OSError) as error:
        services.check()
        return Answer(0, (), f"{type(error).__name__}: {error}")


async def _request(scene: Scene, url: str) -> Answer:
    async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
        body = scene.body if scene.body is not None else {} if scene.method == "POST" else None
        response = await client.request(scene.method, url + scene.path, headers=scene.headers, json=body)
        return Answer(response.status_code, response.headers.multi_items(), response.text)


async def _converse(scene: Scene, url: str) -> Answer:
    uri = url.replace("http", "ws", 1) + scene.path
    async with connect(uri, additional_headers=scene.headers, open_timeout=_SECONDS, proxy=None) as websocket:
        await websocket.send(scene.says)
        body = str(await websocket.recv())
        response = websocket.response
    return Answer(response.status_code, list(response.headers.raw_items()), body) if response else Answer(0, (), "no handshake")
