"""What the tests of the collector's files share: the folder, and real lines of a real application."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import trackline

COLLECTOR = Path(__file__).parents[2] / "collector"
IDS = ("order-1742", "order-1743")


async def order(request):
    try:
        logging.getLogger("app").info("paid %d", {1: 12}[request.path_params["number"]])
    except KeyError:
        logging.getLogger("app").exception("not paid")
        raise
    return PlainTextResponse("paid")


async def lines_of(schema, directory):
    """Give the lines, as dicts, that a service wrote: of a request, of one that failed, and of a burst too large for its queue."""
    app = Starlette(routes=[Route("/orders/{number:int}", order, methods=["POST"])])
    trackline.install(app)
    options = {"schema": schema, "log_dir": directory, "console": False, "max_queue_lines": 100, "queue_policy": "drop-newest"}
    with trackline.setup_logging("orders", **options) as handle:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://orders.test") as client:
            for number, tracking_id in enumerate(IDS, 1):
                await client.post(f"/orders/{number}", content=b"12", headers={"X-Request-ID": tracking_id, "User-Agent": "tests"})
        handle.flush()
        for number in range(5000):
            logging.getLogger("app").info("burst %d", number)
        handle.flush()
        logging.getLogger("app").info("after it")
    return [orjson.loads(line) for line in (directory / "orders.log").read_bytes().splitlines()]


@pytest.fixture
async def lines(tmp_path):
    """Give the lines of a service in ECS."""
    return await lines_of("ecs", tmp_path)


@pytest.fixture
async def fields(tmp_path, lines):
    """Give the fields of the lines in all schemas, as Elasticsearch names them."""
    of_others = [line for schema in ("otel", "flat") for line in await lines_of(schema, tmp_path / schema)]
    return {name for line in (*lines, *of_others) for name in names(line)}


def names(line, prefix=""):
    """Give the dotted names of the fields of a document."""
    for key, value in line.items():
        if isinstance(value, dict):
            yield from names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


KIBANA = [orjson.loads(line) for line in (COLLECTOR / "kibana" / "trackline.ndjson").read_text().splitlines()]
"""What is imported into Kibana, and last the summary of it."""


def _attributes(kind):
    (attributes,) = (one["attributes"] for one in KIBANA if one.get("type") == kind)
    return attributes


KIBANA_LENSES = {
    panel["panelIndex"]: panel["embeddableConfig"]["attributes"]
    for panel in orjson.loads(_attributes("dashboard")["panelsJSON"])
    if panel["type"] == "lens"
}
"""The visualizations of the dashboard, by the names of their panels."""

KIBANA_RUNTIME_FIELDS = orjson.loads(_attributes("index-pattern")["runtimeFieldMap"])
