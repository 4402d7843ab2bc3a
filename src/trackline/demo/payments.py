"""
The payments: the last of the three, and the one that fails when the card is ``expired``.

By itself: ``uvicorn trackline.demo.payments:app --port 8002``
"""

import logging
from typing import Annotated

from fastapi import FastAPI, Header
from pydantic import BaseModel

import trackline

app = FastAPI(title="payments")

trackline.setup_logging("payments")
trackline.install(app)

log = logging.getLogger("payments")

TraceHeader = Annotated[str | None, Header()]


class Charge(BaseModel):
    """How much, from which card."""

    amount: int
    card: str


class BankError(Exception):
    """The bank did not do it."""


@app.post("/charges", status_code=201)
async def charge(charge: Charge, traceparent: TraceHeader = None, tracestate: TraceHeader = None) -> dict[str, object]:
    """Charge a card. What the bank raises is handled by nobody: a 500, and a traceback in the log."""
    log.info("charging EUR %d", charge.amount, extra={"traceparent": traceparent, "tracestate": tracestate})
    ask_bank(charge)
    log.info("charged")
    return {"charged": charge.amount}


def ask_bank(charge: Charge) -> None:
    """Stand in for the bank."""
    if charge.card == "expired":
        raise BankError("card refused: it has expired")
