"""aiohttp's client: the ID goes along, to where it may, once, over real connections."""

from __future__ import annotations

import asyncio
import contextvars

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

from integrations.http_clients import CAME, ClientContract, echo_server, sent_ids
from trackline import extract, use_tracking_id
from trackline.integrations import aiohttp as integration


async def get(session, url, headers=None, proxy=None):
    async with session.get(url, headers=headers, proxy=proxy, timeout=aiohttp.ClientTimeout(5)) as response:
        return await response.json()


class TestAiohttp(ClientContract):
    integration = integration

    @pytest.fixture(autouse=True)
    def loop_of_its_own(self):
        self.sessions = []
        with asyncio.Runner() as self.runner:
            yield
            for session in self.sessions:
                self.run(session.close())

    def run(self, coroutine):
        return self.runner.run(coroutine, context=contextvars.copy_context())

    def make(self, **options):
        async def make():
            return aiohttp.ClientSession(**options)

        self.sessions.append(self.run(make()))
        return self.sessions[-1]

    def get(self, client, url, headers=None):
        return self.run(get(client, url, headers))

    def instrumentor(self):
        return AioHttpClientInstrumentor()

    def patched(self):
        return [aiohttp.ClientSession._request]

    def test_trace_configs_of_the_user_stay_as_they_are(self, here):
        seen, config = [], aiohttp.TraceConfig()

        async def on_start(session, context, params):
            seen.append(dict(params.headers))

        config.on_request_start.append(on_start)
        configs = [config]
        session = self.make(trace_configs=configs)
        integration.instrument()
        with extract(CAME):
            self.get(session, f"http://{here}/")
        assert configs == [config]
        assert len(session.trace_configs) == 2

        integration.uninstrument()
        assert session.trace_configs == [config]
        assert len(seen) == 1

    def test_a_header_of_the_session_stays(self, here):
        integration.instrument()
        session = self.make(headers={"x-request-id": "mine"})
        with extract(CAME):
            assert sent_ids(self.get(session, f"http://{here}/"))["x-request-id"] == "mine"

    def test_a_session_with_a_base_url(self, here):
        integration.instrument()
        with extract(CAME):
            assert sent_ids(self.get(self.make(base_url=f"http://{here}"), "/there")) == CAME

    def test_a_proxy_is_not_the_target(self, here):
        integration.instrument()
        session, proxy = self.make(), f"http://{here}"
        with extract(CAME):
            assert sent_ids(self.run(get(session, "http://api.example.com/", proxy=proxy))) == {}
            assert sent_ids(self.run(get(session, "http://orders/", proxy=proxy))) == CAME

    def test_the_session_is_not_kept_alive(self, here):
        integration.instrument()
        with extract(CAME):
            self.get(self.make(), f"http://{here}/")
        assert len(integration._sessions) == 1
        self.run(self.sessions.pop().close())

        assert len(integration._sessions) == 0


async def test_requests_at_once_carry_each_its_own_id():
    integration.instrument()
    try:
        with echo_server() as here:
            async with aiohttp.ClientSession() as session:

                async def call(number):
                    with use_tracking_id(f"id-{number}"):
                        await asyncio.sleep(0)
                        return sent_ids(await get(session, f"http://{here}/"))["x-request-id"]

                assert await asyncio.gather(*map(call, range(20))) == [f"id-{number}" for number in range(20)]
    finally:
        integration.uninstrument()


async def test_the_handshake_of_a_websocket_carries_it_too():
    async def answer(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.headers.get("X-Request-ID", "none"))
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    integration.instrument()
    try:
        host, port = runner.addresses[0]
        async with aiohttp.ClientSession() as session:
            with use_tracking_id("abc"):
                async with session.ws_connect(f"ws://{host}:{port}/") as socket:
                    assert await socket.receive_str() == "abc"
    finally:
        integration.uninstrument()
        await runner.cleanup()
