"""httpx and httpx2: the ID goes along, to where it may, once."""

from __future__ import annotations

import asyncio
import functools
import importlib

import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from trackline import extract, use_tracking_id
from trackline.integrations import httpx as integration

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
CAME = {"X-Request-ID": "abc", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "a=1"}


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return importlib.import_module(request.param)


@pytest.fixture(autouse=True)
def undone():
    yield
    integration.uninstrument()


def echo(library):
    """Give a transport that answers with the headers it got; /to?url redirects."""

    def handle(request):
        if request.url.path == "/to":
            return library.Response(302, headers={"Location": request.url.query.decode()})
        return library.Response(200, json=[[name.decode().lower(), value.decode()] for name, value in request.headers.raw])

    return library.MockTransport(handle)


def ours(response):
    return {name: value for name, value in response.json() if name in ("x-request-id", "traceparent", "tracestate", "baggage")}


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


def test_every_client_sends_id_and_trace_as_they_came(library):
    older = library.Client(transport=echo(library))
    integration.instrument()
    newer = library.Client(transport=echo(library))

    with extract(CAME):
        assert ours(older.get("http://orders/")) == ours(newer.get("http://orders/")) == lowered(CAME)


async def test_async_clients_too(library):
    integration.instrument()
    async with library.AsyncClient(transport=echo(library)) as client:
        with extract(CAME):
            responses = await asyncio.gather(*(client.get("http://orders/") for _ in range(3)))

    assert [ours(response) for response in responses] == [lowered(CAME)] * 3


async def test_requests_at_once_carry_each_its_own_id(library):
    integration.instrument()
    async with library.AsyncClient(transport=echo(library)) as client:

        async def call(number):
            with use_tracking_id(f"id-{number}"):
                await asyncio.sleep(0)
                return ours(await client.get("http://orders/"))["x-request-id"]

        assert await asyncio.gather(*map(call, range(20))) == [f"id-{number}" for number in range(20)]


def test_third_parties_get_nothing_unless_told_so(library):
    integration.instrument()
    client = library.Client(transport=echo(library))

    with extract(CAME):
        assert ours(client.get("https://api.example.com/")) == {}
        integration.instrument(targets=["*.example.com"])
        assert ours(client.get("https://api.example.com/"))["x-request-id"] == "abc"
        assert ours(client.get("http://orders/")) == {}


def test_a_redirect_to_a_third_party_takes_the_headers_off_again(library):
    integration.instrument()
    client = library.Client(transport=echo(library), follow_redirects=True)

    with extract(CAME):
        assert ours(client.get("http://orders/to?https://evil.example.com/")) == {}
        assert ours(client.get("http://orders/to?http://payments/")) == lowered(CAME)


def test_a_redirect_keeps_what_the_user_has_set(library):
    integration.instrument()
    client = library.Client(transport=echo(library), follow_redirects=True)

    with extract(CAME):
        response = client.get("http://orders/to?https://partner.example.com/", headers={"X-Request-ID": "abc"})

    assert ours(response) == {"x-request-id": "abc"}


def test_headers_that_the_user_sets_stay(library):
    integration.instrument()
    client = library.Client(transport=echo(library))

    with extract(CAME):
        response = client.get("http://orders/", headers={"x-request-id": "mine"})

    assert [value for name, value in response.json() if name == "x-request-id"] == ["mine"]


def test_outside_of_a_request_nothing_is_added(library):
    integration.instrument()

    assert ours(library.Client(transport=echo(library)).get("http://orders/")) == {}


def test_instrumenting_twice_sends_once(library):
    integration.instrument()
    integration.instrument()
    client = library.Client(transport=echo(library))
    integration.instrument(client)
    integration.instrument(client)

    with extract(CAME):
        response = client.get("http://orders/")

    assert [name for name, _ in response.json()].count("x-request-id") == 1
    assert len(client.event_hooks["request"]) == 1


def test_one_client_alone(library):
    client, other = library.Client(transport=echo(library)), library.Client(transport=echo(library))
    integration.instrument(client)

    with extract(CAME):
        assert ours(client.get("http://orders/")) == lowered(CAME)
        assert ours(other.get("http://orders/")) == {}
        integration.uninstrument(client)
        assert ours(client.get("http://orders/")) == {}


def test_uninstrument_gives_everything_back(library):
    original = library.Client.send
    integration.instrument()
    client = library.Client(transport=echo(library))
    with extract(CAME):
        client.get("http://orders/")
        integration.uninstrument()
        assert ours(client.get("http://orders/")) == {}
    assert library.Client.send is original


def test_uninstrument_leaves_what_somebody_has_wrapped_around(library, monkeypatch):
    monkeypatch.setattr(library.Client, "send", library.Client.send)  # put back at the end
    integration.instrument()
    inner = library.Client.send

    @functools.wraps(inner)
    def send(self, *args, **kwargs):
        return inner(self, *args, **kwargs)

    library.Client.send = send
    integration.uninstrument()
    assert library.Client.send is send
    with extract(CAME):
        assert ours(library.Client(transport=echo(library)).get("http://orders/")) == {}


def test_hooks_of_the_user_stay_and_come_first(library):
    seen = []
    client = library.Client(transport=echo(library), event_hooks={"request": [lambda request: seen.append(dict(request.headers))]})
    integration.instrument(client)

    with extract(CAME):
        client.get("http://orders/")

    assert "x-request-id" not in seen[0]


def test_wrong_targets_raise_at_once():
    with pytest.raises(ValueError, match="targets='everyone'"):
        integration.instrument(targets="everyone")


def test_an_error_of_ours_does_not_fail_the_request(library, caplog):
    def fails(host, port):
        raise KeyError(host)

    client = library.Client(transport=echo(library))
    integration.instrument(client, targets=fails)

    with extract(CAME):
        assert client.get("http://orders/").status_code == 200
    assert "without its tracking ID" in caplog.messages[0]


def test_where_otel_instruments_too_the_parent_is_its_client_span(library):
    provider = TracerProvider()
    client = library.Client(transport=echo(library))
    instrumentor = HTTPXClientInstrumentor if library.__name__ == "httpx" else HTTPX2ClientInstrumentor
    integration.instrument(client)
    instrumentor.instrument_client(client, tracer_provider=provider)
    try:
        with extract(CAME), provider.get_tracer("test").start_as_current_span("server") as server:
            response = client.get("http://orders/")
    finally:
        instrumentor.uninstrument_client(client)

    [traceparent] = [value for name, value in response.json() if name == "traceparent"]
    assert traceparent.split("-")[1] == TRACE_ID
    assert traceparent.split("-")[2] != f"{server.get_span_context().span_id:016x}"
    assert ours(response)["x-request-id"] == "abc"
