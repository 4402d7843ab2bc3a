"""
Kafka: the tracking ID and the trace go in a message's headers, with confluent-kafka or aiokafka.

    pip install trackline confluent-kafka        # or aiokafka
    python examples/kafka.py confluent localhost:9092
    python examples/kafka.py aiokafka localhost:9092

Both clients have headers as a list of (str, bytes): `with_ids` makes it, `extract` reads it as it is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

from trackline import extract, inject, setup_logging, use_tracking_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = list[tuple[str, bytes | None]]

log = logging.getLogger("app")
TOPIC = "trackline-example"


def with_ids(headers: Iterable[tuple[str, bytes | None]] = ()) -> Headers:
    """Give a message's headers with the ID and the trace of now; what they have already stays."""
    given = list(headers)
    carrier = dict(given)
    inject(carrier)
    return given + [(name, value.encode()) for name, value in carrier.items() if isinstance(value, str)]


# confluent-kafka


def produce(servers: str, value: bytes) -> None:
    """Send one message."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers})
    producer.produce(TOPIC, value, headers=with_ids([("content-type", b"text/plain")]))
    producer.flush(10)


def consume(servers: str) -> None:
    """Handle one message under the ID that it brings."""
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "example", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    try:
        message = consumer.poll(30)
        with extract(message.headers() or ()):  # None where it has none
            handle(message.value())
    finally:
        consumer.close()


# aiokafka


async def produce_async(servers: str, value: bytes) -> None:
    """Send one message."""
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(TOPIC, value, headers=with_ids([("content-type", b"text/plain")]))


async def consume_async(servers: str) -> None:
    """Handle one message under the ID that it brings."""
    from aiokafka import AIOKafkaConsumer

    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        record = await consumer.getone()
        with extract(record.headers):
            handle(record.value)


def handle(value: bytes) -> None:
    """Do what there is to do; whatever it logs and sends has the message's ID."""
    log.info("handled %s", value.decode())


def main() -> None:
    """Send a message under one ID, and handle it somewhere else."""
    client, servers = sys.argv[1:]
    setup_logging("example")
    with use_tracking_id("order-1742"):
        log.info("sending")
        if client == "confluent":
            produce(servers, b"paid")
        else:
            asyncio.run(produce_async(servers, b"paid"))
    if client == "confluent":
        consume(servers)
    else:
        asyncio.run(consume_async(servers))


if __name__ == "__main__":
    main()
