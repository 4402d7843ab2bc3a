"""The jobs and the worker of the arq tests: python -m arq integrations.arq_app.WorkerSettings."""

from __future__ import annotations

import asyncio
import json
import logging
import os

from arq import Retry
from arq.connections import RedisSettings

from integrations.servers import worker_logging

log = logging.getLogger("app")


async def say(ctx, mark, seconds=0):
    log.info("begin %s", mark)
    await asyncio.sleep(seconds)
    log.info("end %s", mark)


async def nest(ctx, mark):
    log.info("outer %s", mark)
    await ctx["redis"].enqueue_job("say", mark)


async def again(ctx, mark):
    log.info("try %d %s", ctx["job_try"], mark)
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)


async def fail(ctx, mark):
    raise ValueError(mark)


def to_json(job):
    return json.dumps(job, default=str).encode()


class WorkerSettings:
    functions = (say, nest, again, fail)
    poll_delay = 0.05
    keep_result = 0
    health_check_interval = 3600


if "TEST_BROKER" in os.environ:
    WorkerSettings.redis_settings = RedisSettings.from_dsn(os.environ["TEST_BROKER"])
    WorkerSettings.queue_name = os.environ["TEST_QUEUE"]
    worker_logging()
    if os.environ["TEST_INSTRUMENT"]:
        from trackline.integrations import arq as integration

        integration.instrument()
