"""The application of proof.py: it logs as many lines as it is asked for."""

import logging
import os

from fastapi import FastAPI

import trackline

app = FastAPI()
trackline.install(app)
trackline.setup_logging(
    "proof",
    log_dir=os.environ["PROOF_LOGS"],
    console=False,
    rotate="1s",
    retention_bytes=int(os.environ["PROOF_RETENTION_BYTES"]),
    compress=os.environ["PROOF_COMPRESS"] or None,
    compress_after=0,
)
log = logging.getLogger("proof")


@app.get("/lines/{count}")
async def lines(count: int) -> int:
    for number in range(count):
        log.info("line %d of a request", number, extra={"order": number})
    return count
