"""The endpoint for levels: nothing for whoever has no token, and what `set_level` does for the others."""

import logging
import os

import httpx
import pytest
from fastapi import FastAPI

from trackline import LevelEndpoint
from trackline.logs.levels import go_back

TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def client():
    app = FastAPI()
    app.mount("/log-level", LevelEndpoint(token=TOKEN))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as made:
        yield made
    go_back()
    logging.getLogger("orders.endpoint").setLevel(logging.NOTSET)


async def test_levels_are_listed_with_the_process_they_are_of(client):
    logging.getLogger("orders.endpoint").setLevel("ERROR")
    answer = await client.get("/log-level/", headers=BEARER)

    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200,
        "application/json",
        "no-store",
    )
    assert answer.json()["pid"] == os.getpid()
    assert answer.json()["levels"]["root"]["level"] == logging.getLevelName(logging.getLogger().level)
    assert answer.json()["levels"]["orders.endpoint"] == {"level": "ERROR"}
    assert "each worker has its own" in answer.json()["note"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_level_is_set(client, method):
    body = {"logger": "orders.endpoint", "level": "DEBUG", "for_seconds": 600}
    answer = await client.request(method, "/log-level/", headers=BEARER, json=body)

    assert logging.getLogger("orders.endpoint").level == logging.DEBUG
    assert answer.json()["levels"]["orders.endpoint"]["level"] == "DEBUG"
    assert 590 < answer.json()["levels"]["orders.endpoint"]["seconds_left"] <= 600


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")],
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nothing_is_said_or_done_without_the_token(client, headers, method):
    answer = await client.request(method, "/log-level/", headers=headers, content=b'{"logger": "orders.endpoint", "level": "DEBUG"}')

    assert (answer.status_code, answer.json()) == (401, {"error": "a token is needed"})
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert logging.getLogger("orders.endpoint").level == logging.NOTSET


async def test_scheme_counts_in_any_case(client):
    assert (await client.get("/log-level/", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", "expected an object"),
        (b'{"logger": "orders.endpoint"}', "expected an object"),
        (b'{"logger": "orders.endpoint", "level": "DEBUG", "more": 1}', "expected an object"),
        (b'{"logger": "orders.endpoint", "level": "LOUD"}', "level='LOUD'"),
        (b'{"logger": "orders.endpoint", "level": {}}', "level={}"),
        (b'{"logger": "orders.endpoint", "level": "DEBUG", "for_seconds": -1}', "for_seconds=-1"),
        (b'{"logger": 5, "level": "DEBUG"}', "logger: expected"),
        (b'{"logger": "' + b"x" * 300 + b'", "level": "DEBUG"}', "logger: expected"),
    ],
)
async def test_wrong_request_is_refused_and_changes_nothing(client, body, message):
    answer = await client.put("/log-level/", headers=BEARER, content=body)

    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert logging.getLogger("orders.endpoint").level == logging.NOTSET


async def test_large_body_is_refused(client):
    assert (await client.put("/log-level/", headers=BEARER, content=b" " * 5000)).status_code == 413


async def test_other_methods_are_refused(client):
    answer = await client.delete("/log-level/", headers=BEARER)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, PUT, POST")


async def test_websocket_is_refused():
    sent = []

    async def send(message):
        sent.append(message)

    await LevelEndpoint(token=TOKEN)({"type": "websocket", "headers": []}, None, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    "token", ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789äbcdef", None, 5, b"0123456789abcdef"]
)
def test_weak_token_is_refused_and_not_repeated(token):
    with pytest.raises(ValueError, match="token: expected at least 16 characters") as raised:
        LevelEndpoint(token=token)

    assert not token or str(token) not in str(raised.value)
