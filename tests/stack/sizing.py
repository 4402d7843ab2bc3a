"""
How much room lines take, in files and in an index, and how many a shipper brings there in a second: `python -m stack.sizing
[REQUESTS]` in tests/.

The lines are those of a service which answers requests: three of its own and one of the access log for each. They are written first;
then a shipper that was away is started, and what it brings in is timed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import trackline
from stack import binaries
from stack.elasticsearch import Elasticsearch
from stack.processes import wait_for
from stack.shippers import SHIPPERS

CUSTOMERS = [f"customer-{random.Random(number).getrandbits(32):08x}" for number in range(2000)]
log = logging.getLogger("orders.payment")


async def pay(request):
    number, customer = request.path_params["number"], random.choice(CUSTOMERS)
    log.info("order %d is looked up", number, extra={"customer": customer})
    log.info("charging %s", customer, extra={"order": number, "amount": round(random.uniform(1, 900), 2), "currency": "EUR"})
    if number % 97 == 0:
        log.warning("the card of %s was refused, tried again", customer, extra={"order": number, "attempt": 2})
    else:
        log.info("paid", extra={"order": number, "provider": random.choice(["visa", "master", "sepa"])})
    return PlainTextResponse("paid", 402 if number % 97 == 0 else 200)


async def write(schema: str, folder: Path, requests: int) -> None:
    """Write the lines of so many requests."""
    app = Starlette(routes=[Route("/orders/{number:int}/pay", pay, methods=["POST"])])
    trackline.install(app)
    with trackline.setup_logging(f"sizing-{schema}", schema=schema, log_dir=folder, console=False, max_file_bytes=None):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers={"User-Agent": "Mozilla/5.0"}) as client:
            for number in range(requests):
                await client.post(f"/orders/{number}/pay")


def ship(node: Elasticsearch, name: str, binary: Path, logs: Path, lines: int, index: str, directory: Path) -> float:
    """Give the seconds from a shipper's start until all lines are in the index; fail where they never are."""
    begin = time.monotonic()
    with SHIPPERS[name](binary, logs, node.url, directory, environment={"TRACKLINE_NAMESPACE": name}) as shipper:
        wait_for(lambda: shipper.fail_if_ended() or node.count(index) >= lines, 600, shipper.log, every=0.5)
        took = time.monotonic() - begin
        shipper.stop()
    return took


def room(node: Elasticsearch, index: str) -> tuple[int, int]:
    """Give the documents and the bytes of an index, once Lucene has merged it to one segment."""
    node.request("POST", f"/{index}/_forcemerge", max_num_segments=1)
    node.request("POST", f"/{index}/_flush", force="true", wait_if_ongoing="true")
    primaries = node.request("GET", f"/{index}/_stats/docs,store")["_all"]["primaries"]
    return primaries["docs"]["count"], primaries["store"]["size_in_bytes"]


def main(requests: int) -> None:
    logging.getLogger("httpx").setLevel("WARNING")  # it is no part of the service
    programs = {"filebeat": binaries.find(binaries.FILEBEAT), "otelcol": binaries.find(binaries.OTELCOL)}
    with tempfile.TemporaryDirectory() as temporary, Elasticsearch(binaries.find(binaries.ELASTICSEARCH)) as node:
        command = [sys.executable, "-m", "trackline", "elastic", "apply", "--url", node.url, "--yes"]
        subprocess.run(command, check=True, capture_output=True)
        for schema in ("ecs", "otel", "flat"):
            logs = Path(temporary) / schema
            asyncio.run(write(schema, logs, requests))
            (path,) = logs.glob("*.log")
            lines, size = path.read_bytes().count(b"\n"), path.stat().st_size
            gzipped = len(subprocess.run(["gzip", "-c", path], check=True, capture_output=True).stdout)
            print(f"{schema:5} {lines:,} lines, {size / lines:,.0f} bytes each, {gzipped / lines:,.0f} in gzip", flush=True)
            dataset = f"sizing_{schema}" if schema != "flat" else "trackline"  # whose lines name no service
            for name, binary in programs.items():
                index = f"logs-{dataset}-{name}"
                took = ship(node, name, binary, logs, lines, index, Path(temporary) / f"{name}-{schema}")
                documents, stored = room(node, index)
                print(
                    f"      {name:9} {took:6.1f} s, {lines / took:7,.0f} lines/s; {stored / documents:,.0f} bytes a document",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25_000)
