"""The application that the Celery tests publish to and start workers of: python -m celery -A integrations.celery_app worker."""

from __future__ import annotations

import logging
import os
import threading
import time

from celery import Celery, signals
from opentelemetry import trace

log = logging.getLogger("app")


def make_app(url: str, queue: str = "celery") -> Celery:
    """Give the application with its tasks, for a Redis's address."""
    app = Celery("tests", broker=f"{url}/0", backend=f"{url}/1", set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 60},
        task_default_queue=queue,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=40,  # so that pool processes are replaced under way
    )

    @app.task(name="say", shared=False)
    def say(mark, seconds=0):
        log.info("begin %s", mark)
        time.sleep(seconds)
        log.info("end %s", mark)
        return mark

    @app.task(name="nest", shared=False)
    def nest(mark):
        log.info("outer %s", mark)
        app.tasks["say"].delay(mark)

    @app.task(name="again", shared=False, bind=True, max_retries=2)
    def again(self, mark):
        log.info("try %d %s", self.request.retries, mark)
        if self.request.retries < 2:
            raise self.retry(countdown=0)

    @app.task(name="join", shared=False)
    def join(marks, mark):
        log.info("join %d %s", len(marks), mark)

    @app.task(name="fail", shared=False)
    def fail(mark):
        raise ValueError(mark)

    @app.task(name="headers", shared=False, bind=True)
    def headers(self, mark):
        log.info("headers %s", mark, extra={"headers": self.request.headers})

    @app.task(name="trace", shared=False)
    def traced(mark):
        with trace.get_tracer("test").start_as_current_span(f"inner {mark}"):
            log.info("traced %s", mark)

    @app.task(name="where", shared=False)
    def where(mark):
        log.info("where %s", mark, extra={"thread_id": threading.get_ident()})

    return app


def make_publisher(url: str, queue: str) -> Celery:
    """Give the application for a process that only publishes: it subscribes to no results, and so needs nobody to end that."""
    app = make_app(url, queue)
    app.backend.on_task_call = app.backend.remove_pending_result = lambda *_: None
    return app


if "TEST_BROKER" in os.environ:
    from integrations.servers import worker_logging

    if "TEST_OTEL" in os.environ:
        from integrations.tracing import worker_tracing

        worker_tracing()
    app = make_app(os.environ["TEST_BROKER"], os.environ["TEST_QUEUE"])
    worker_logging()
    if "trackline" not in os.environ["TEST_INSTRUMENT"]:
        signals.setup_logging.connect(lambda **_: None, weak=False)  # or Celery takes the handlers away
    for name in os.environ["TEST_INSTRUMENT"].split():  # in the order that is to be tried
        if name == "trackline":
            from trackline.integrations import celery as integration

            integration.instrument()
        elif name == "opentelemetry":
            from opentelemetry.instrumentation.celery import CeleryInstrumentor

            CeleryInstrumentor().instrument()
