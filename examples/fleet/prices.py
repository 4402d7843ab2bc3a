"""The prices: a gRPC server. Has each quote written into the `ledger`, over HTTP."""

import json
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx

import trackline
import trackline.integrations.grpc
import trackline.integrations.httpx

trackline.setup_logging("prices")
trackline.integrations.grpc.instrument()  # every server made from now on: its calls run under the ID of their caller
trackline.integrations.httpx.instrument()

ledger = httpx.Client(base_url=os.environ.get("LEDGER_URL", "http://127.0.0.1:8003"))
log = logging.getLogger("prices")


def price(asked: dict[str, str], _context: grpc.ServicerContext) -> dict[str, Any]:
    """Say what an item costs."""
    log.info("%s: price asked for", asked["item"])
    ledger.post(f"/quotes/{asked['item']}").raise_for_status()
    log.info("%s: price told", asked["item"])
    return {"item": asked["item"], "price": 9}


def serve() -> None:
    """Serve until SIGTERM or Ctrl+C."""
    # JSON in place of protobuf, so that there are no stubs to generate; with stubs nothing else is different.
    handler = grpc.unary_unary_rpc_method_handler(price, json.loads, lambda answer: json.dumps(answer).encode())
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("fleet.Prices", {"Price": handler})])
    server.add_insecure_port(os.environ.get("PRICES_TARGET", "127.0.0.1:8002"))
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=5))
    server.wait_for_termination()


if __name__ == "__main__":
    serve()
