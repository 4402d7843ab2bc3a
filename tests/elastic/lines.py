"""Real lines of a real application, in any schema: a stack, an exception, extras, requests, drops, the opening and the closing."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import trackline
from trackline.logs.schema import SCHEMAS

TRACKING_ID = "order-1742"
ATTRIBUTES = {"service.version": "1.2", "service.instance.id": "web-1", "deployment.environment.name": "live"}


async def order(request):
    logger = logging.getLogger("app")
    extra = {"order": 7, "destination.bytes": 3, "source": {"ip": "10.0.0.1"}, "note": ["a", "b"], "nested": {"deep": 1}}
    logger.warning("looking", extra=extra, stack_info=True)
    try:
        {}["number"]
    except KeyError:
        logger.exception("not paid")
        raise
    return PlainTextResponse("paid")


async def lines_of(schema, folder):
    """Give the lines; three have the tracking ID. The request runs in a task: its context, in which it failed, ends with it."""
    app = Starlette(routes=[Route("/orders/{number:int}", order, methods=["POST"])])
    trackline.install(app)
    options = {"log_dir": folder, "console": False, "max_queue_lines": 100, "queue_policy": "drop-newest", "schema": schema}
    with trackline.setup_logging("orders", **options) as handle:
        for _ in range(400):
            logging.getLogger("app").info("much")
        assert handle.flush()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.0.0.2", 50_000))
        headers = {"X-Request-ID": TRACKING_ID, "User-Agent": "tests"}
        async with httpx.AsyncClient(transport=transport, base_url="http://orders.test") as client:
            await asyncio.create_task(client.post("/orders/1?a=b", content=b"12", headers=headers))
        path = handle.stats().path
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def ecs_lines(folder):
    """Give lines of the schema `ecs`, and one with all that resource attributes can add, and of a span."""
    return [*asyncio.run(lines_of("ecs", folder)), *_more("ecs")]


def otel_lines(folder):
    """Give lines of the schema `otel`."""
    return [*asyncio.run(lines_of("otel", folder)), *_more("otel")]


def _more(schema):
    from trackline.logs.resource import Resource

    made = SCHEMAS[schema](Resource("orders", ATTRIBUTES))
    record = logging.getLogger("app").makeRecord("app", 20, "/srv/main.py", 12, "paid", (), None, "pay")
    return [json.loads(made.line(record))]


def flat(value, prefix=""):
    """Give the leaves of a line by their dotted names."""
    leaves = {}
    for key, item in value.items():
        leaves |= flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return leaves


def nested(value):
    """Give a line as a shipper does that expands the dots of its names."""
    out = {}
    for name, item in flat(value).items():
        *parents, last = name.split(".")
        place = out
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = item
    return out


def names_of(lines):
    """Give the dotted names of all fields of some lines."""
    return {name for line in lines for name in flat(line)}
