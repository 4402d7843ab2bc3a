"""The actors and the broker of the dramatiq tests: python -m dramatiq integrations.dramatiq_app:broker."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, Middleware, SkipMessage

log = logging.getLogger("app")


class Other(Middleware):
    """A middleware of the user's, which logs, and skips what it is told to."""

    def before_process_message(self, broker, message):
        log.info("other %s", message.args[-1])
        if "skipped" in str(message.args[-1]):
            raise SkipMessage


def declare(broker):
    """Declare the actors on a broker."""
    broker.add_middleware(AsyncIO())
    broker.add_middleware(CurrentMessage())
    broker.add_middleware(Other())
    actor = {"broker": broker, "min_backoff": 10, "max_backoff": 20}

    @dramatiq.actor(actor_name="say", **actor)
    def say(mark):
        log.info("begin %s", mark)
        time.sleep(0.01)
        log.info("end %s", mark)

    @dramatiq.actor(actor_name="say-async", **actor)
    async def say_async(mark):
        log.info("begin %s", mark)
        await asyncio.sleep(0.01)
        log.info("end %s", mark)

    @dramatiq.actor(actor_name="nest", **actor)
    def nest(mark):
        log.info("outer %s", mark)
        say.send(mark)

    @dramatiq.actor(actor_name="again", max_retries=2, **actor)
    def again(mark):
        retries = CurrentMessage.get_current_message().options.get("retries", 0)
        log.info("try %s %s", retries, mark)
        if retries < 2:
            raise ValueError(mark)

    @dramatiq.actor(actor_name="options", **actor)
    def options(mark):
        log.info("options %s", mark, extra={"sent": CurrentMessage.get_current_message().options.get("trackline")})

    return broker


def make_broker(url):
    """Give a broker with its actors, for a Redis's or a RabbitMQ's address."""
    return declare(RabbitmqBroker(url=url) if url.startswith("amqp:") else RedisBroker(url=url))


if "TEST_BROKER" in os.environ:
    from integrations.servers import worker_logging

    broker = make_broker(os.environ["TEST_BROKER"])
    worker_logging()
    if os.environ["TEST_INSTRUMENT"]:
        from trackline.integrations import dramatiq as integration

        integration.instrument(broker)
