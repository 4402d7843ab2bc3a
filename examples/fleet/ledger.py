"""The ledger: FastAPI, the end of the line."""

import logging

from fastapi import FastAPI

import trackline

app = FastAPI(title="ledger")

trackline.setup_logging("ledger")
trackline.install(app)

log = logging.getLogger("ledger")


@app.post("/quotes/{item}", status_code=201)
def write(item: str) -> dict[str, str]:
    """Write a quote down. Not async: Starlette runs it in a thread, and the ID is there too."""
    log.info("%s: quote written", item)
    return {"item": item}
