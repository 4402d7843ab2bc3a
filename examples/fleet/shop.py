"""The shop: FastAPI. Asks `stock` over HTTP."""

import logging
import os

import httpx
from fastapi import FastAPI

import trackline
import trackline.integrations.httpx

app = FastAPI(title="shop")

trackline.setup_logging("shop")  # every logger: JSON lines with the ID, one file a process, in ./logs
trackline.install(app)  # every request: its ID, taken from the headers or new, and on the response
trackline.integrations.httpx.instrument()  # every outgoing call: the ID and the trace go along

stock = httpx.AsyncClient(base_url=os.environ.get("STOCK_URL", "http://127.0.0.1:8001"))
log = logging.getLogger("shop")


@app.post("/orders/{item}", status_code=202)
async def order(item: str) -> dict[str, str]:
    """Have an item reserved: shop -> stock -> worker -> prices -> ledger."""
    log.info("%s ordered", item)
    answer = await stock.post(f"/reservations/{item}")
    answer.raise_for_status()
    log.info("%s is being reserved", item)
    return {"item": item, "task": answer.json()["task"]}
