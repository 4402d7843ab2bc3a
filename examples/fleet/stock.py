"""The stock: Flask, a WSGI application. Leaves the work to a Celery task."""

import logging
import os

from celery import Celery
from flask import Flask

import trackline
import trackline.integrations.celery
import trackline.integrations.wsgi

app = Flask("stock")

trackline.setup_logging("stock")
trackline.integrations.wsgi.install(app)  # as trackline.install, for WSGI
trackline.integrations.celery.instrument()  # every task that is published: the ID and the trace go along

tasks = Celery("stock", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
log = logging.getLogger("stock")


@app.post("/reservations/<item>")
def reserve(item: str) -> tuple[dict[str, str], int]:
    """Promise to reserve an item."""
    log.info("%s: reservation asked for", item)
    task = tasks.send_task("reserve", [item])
    log.info("%s: reservation is on its way", item)
    return {"task": task.id}, 202
