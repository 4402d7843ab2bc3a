"""
The orders: asks `payments` for the money. Runs in two processes; each writes a log file of its own.

By itself: ``uvicorn trackline.demo.orders:app --port 8001 --workers 2``
"""

import logging
import os
from typing import Annotated

import httpx
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

import trackline
import trackline.integrations.httpx

app = FastAPI(title="orders")

trackline.setup_logging("orders")
trackline.install(app)
trackline.integrations.httpx.instrument()
logging.getLogger("httpx").setLevel(logging.WARNING)

payments = httpx.AsyncClient(base_url=os.environ.get("PAYMENTS_URL", "http://127.0.0.1:8002"))
log = logging.getLogger("orders")

PRICES = {"mug": 9, "shirt": 19}
TraceHeader = Annotated[str | None, Header()]


class Order(BaseModel):
    """What is ordered, and how it is paid."""

    item: str
    count: int
    card: str


@app.post("/orders", status_code=201)
async def place(order: Order, traceparent: TraceHeader = None, tracestate: TraceHeader = None) -> dict[str, object]:
    """Have it paid, then take the order."""
    log.info("%d x %s: asking payments", order.count, order.item, extra={"traceparent": traceparent, "tracestate": tracestate})
    amount = order.count * PRICES[order.item]
    answer = await payments.post("/charges", json={"amount": amount, "card": order.card})
    if answer.is_error:
        log.warning("order not taken: payments answered %d", answer.status_code)
        raise HTTPException(502, "the payment failed")
    log.info("order 1742 taken")
    return {"number": 1742, "amount": amount}


@app.get("/orders/{number}")
async def look_up(number: int) -> dict[str, object]:
    """Give an order."""
    log.info("order %d looked up", number)
    return {"number": number, "state": "paid"}


@app.get("/stock/{item}")
def stock(item: str) -> dict[str, object]:
    """Say how many are left."""
    log.info("%s counted", item)
    return {"item": item, "left": 7}
