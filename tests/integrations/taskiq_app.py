"""The tasks and the broker of the taskiq tests: python -m taskiq worker integrations.taskiq_app:broker."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from taskiq import Context, SimpleRetryMiddleware, TaskiqDepends, TaskiqMiddleware
from taskiq_redis import ListQueueBroker

log = logging.getLogger("app")


class Other(TaskiqMiddleware):
    """A middleware of the user's, which logs."""

    def pre_execute(self, message):
        log.info("other %s", message.args[0])
        return message


def declare(broker):
    """Declare the tasks on a broker."""

    @broker.task("say")
    async def say(mark: str, seconds: float = 0) -> None:
        log.info("begin %s", mark)
        await asyncio.sleep(seconds)
        log.info("end %s", mark)

    @broker.task("say-sync")
    def say_sync(mark: str, seconds: float = 0) -> None:
        log.info("begin %s", mark)
        time.sleep(seconds)
        log.info("end %s", mark)

    @broker.task("nest")
    async def nest(mark: str) -> None:
        log.info("outer %s", mark)
        await say.kiq(mark)

    @broker.task("again", retry_on_error=True, max_retries=3)
    async def again(mark: str, context: Context = TaskiqDepends()) -> None:  # noqa: B008
        log.info("try %s %s", context.message.labels.get("_retries", 0), mark)
        raise ValueError(mark)

    @broker.task("labels")
    async def labels(mark: str, context: Context = TaskiqDepends()) -> None:  # noqa: B008
        log.info("labels %s", mark, extra={"sent": sorted(context.message.labels)})

    return broker


def make_broker(url, queue):
    """Give a broker with its tasks, for a Redis's address."""
    # No timeout: redis-py 8 has one of 5 seconds by default, and taskiq-redis 1.2 waits for a task without end.
    broker = ListQueueBroker(f"{url}/4", queue_name=queue, socket_timeout=None)
    return declare(broker.with_middlewares(SimpleRetryMiddleware(), Other()))


if "TEST_BROKER" in os.environ:
    from integrations.servers import worker_logging

    broker = make_broker(os.environ["TEST_BROKER"], os.environ["TEST_QUEUE"])
    worker_logging()
    if os.environ["TEST_INSTRUMENT"]:
        from trackline.integrations import taskiq as integration

        integration.instrument(broker)
