"""The worker: Celery. Asks `prices` over gRPC."""

import json
import logging
import os

import grpc
from celery import Celery

import trackline
import trackline.integrations.celery
import trackline.integrations.grpc

trackline.setup_logging("worker")
trackline.integrations.celery.instrument()  # every task runs under the ID of who published it
trackline.integrations.grpc.instrument()  # every call: the ID and the trace go along as metadata

app = Celery("worker", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.broker_connection_retry_on_startup = True
PRICES = os.environ.get("PRICES_TARGET", "127.0.0.1:8002")
log = logging.getLogger("worker")


@app.task(name="reserve", ignore_result=True)
def reserve(item: str) -> None:
    """Reserve an item at its price of now."""
    log.info("%s: asking for its price", item)
    with grpc.insecure_channel(PRICES) as channel:  # made in the pool's process: gRPC's channels do not survive a fork
        ask = channel.unary_unary("/fleet.Prices/Price", lambda asked: json.dumps(asked).encode(), json.loads)
        answer = ask({"item": item}, timeout=10)
    log.info("%s: reserved for %d", item, answer["price"])
