"""
The gateway: what the browser talks to. It asks `orders` for everything.

By itself: ``uvicorn trackline.demo.gateway:app --port 8000``
"""

import logging
import os
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, FastAPI, Header, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import trackline
import trackline.integrations.httpx

app = FastAPI(title="gateway")

trackline.setup_logging("gateway")  # every logger: JSON lines with the ID, one file a process, in ./logs
trackline.install(app)  # every request: its ID, taken from the headers or new, and on the response
trackline.integrations.httpx.instrument()  # every outgoing call: the ID and the trace go along
logging.getLogger("httpx").setLevel(logging.WARNING)  # it says each call at INFO; so do the services that are called

ORDERS = os.environ.get("ORDERS_URL", "http://127.0.0.1:8001")
orders = httpx.AsyncClient(base_url=ORDERS)
orders_sync = httpx.Client(base_url=ORDERS)
log = logging.getLogger("gateway")

# What came in is logged only to show that it is passed on; the ID is in every line without any of this.
TraceHeader = Annotated[str | None, Header()]


class Cart(BaseModel):
    """What is bought, and how it is paid."""

    item: str = "mug"
    count: int = 2
    card: str = "visa"


@app.post("/checkout")
async def checkout(cart: Cart, traceparent: TraceHeader = None, tracestate: TraceHeader = None) -> dict[str, object]:
    """Buy a cart: gateway -> orders -> payments."""
    log.info("%d x %s: asking orders", cart.count, cart.item, extra={"traceparent": traceparent, "tracestate": tracestate})
    answer = await orders.post("/orders", json=cart.model_dump())
    if answer.is_error:
        log.warning("checkout failed: orders answered %d", answer.status_code)
        raise HTTPException(502, "the order could not be placed")
    order: dict[str, object] = answer.json()
    log.info("checkout done: order %s", order["number"])
    return order


@app.get("/stock/{item}")
def stock(item: str) -> dict[str, object]:
    """Say how many are left. Not async: Starlette runs it in a thread, and the ID is there too."""
    log.info("stock of %s: asking orders", item)
    left: dict[str, object] = orders_sync.get(f"/stock/{item}").json()
    log.info("stock of %s: %s left", item, left["left"])
    return left


@app.post("/receipts/{number}", status_code=202)
async def receipt(number: int, background: BackgroundTasks) -> dict[str, str]:
    """Promise a receipt, and send it when the response is out."""
    background.add_task(send_receipt, number)
    log.info("receipt %d: will be sent", number)
    return {"receipt": "will be sent"}


async def send_receipt(number: int) -> None:
    """Look the order up, in the background, and send its receipt."""
    log.info("receipt job: asking orders")
    await orders.get(f"/orders/{number}")
    log.info("receipt job: receipt sent")


@app.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """Answer each order number that comes in with the order."""
    await websocket.accept()
    log.info("live: connected")
    async for number in websocket.iter_text():
        log.info("live: asking orders for %s", number)
        answer = await orders.get(f"/orders/{number}")
        await websocket.send_text(answer.text)
    log.info("live: closed by the client")


@app.get("/export")
async def export(first: int = 1741, last: int = 1742) -> StreamingResponse:
    """Stream orders, one line each."""

    async def rows() -> AsyncIterator[str]:
        for number in range(first, last + 1):
            answer = await orders.get(f"/orders/{number}")
            log.info("export: streaming order %d", number)
            yield answer.text + "\n"
        log.info("export: end of stream")

    return StreamingResponse(rows(), media_type="application/x-ndjson")
