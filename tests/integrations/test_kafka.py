"""Kafka through inject and extract: the example with both clients, against the broker that librdkafka simulates."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import confluent_kafka
import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from trackline import extract

EXAMPLE = Path(__file__).parents[2] / "examples" / "kafka.py"
CAME = {"X-Request-ID": "abc", "traceparent": "00-0af7651916cd43dd0448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("kafka_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def servers():
    """Give the address of a simulated broker, which is real enough to answer to both clients. It is no Kafka."""
    client = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1", "test.mock.num.brokers": 1, "log_level": 0})
    [broker] = client.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    client.flush(0)


def test_headers_are_pairs_of_text_and_bytes_and_what_is_there_stays(example):
    with extract(CAME):
        headers = example.with_ids([("content-type", b"text/plain"), ("x-request-id", b"mine"), ("n", None), ("n", b"2")])

    traced = [(name, value.encode()) for name, value in CAME.items() if name != "X-Request-ID"]
    assert headers == [("content-type", b"text/plain"), ("x-request-id", b"mine"), ("n", None), ("n", b"2"), *traced]
    assert example.with_ids() == []


def test_through_aiokafkas_own_encoding_they_come_back_as_they_went(example):
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 4096)
    with extract(CAME):
        builder.append(0, 0, None, b"value", example.with_ids([("n", None)]))
    [record] = DefaultRecordBatch(bytes(builder.build()))

    with extract(record.headers) as tracking_id:
        assert tracking_id == "abc"
        assert dict(example.with_ids()) == {name: value.encode() for name, value in CAME.items()}


async def test_through_aiokafkas_client_and_a_simulated_broker_they_come_back_as_they_went(example, servers, monkeypatch):
    seen = []
    monkeypatch.setattr(example, "handle", lambda value: seen.append((value, dict(example.with_ids()))))
    with extract(CAME):
        await example.produce_async(servers, b"paid")
    await example.consume_async(servers)

    assert seen == [(b"paid", {name: value.encode() for name, value in CAME.items()})]


async def test_from_confluents_client_to_aiokafkas_they_come_as_they_went(example, servers, monkeypatch):
    seen = []
    monkeypatch.setattr(example, "handle", lambda value: seen.append((value, dict(example.with_ids()))))
    with extract(CAME):
        example.produce(servers, b"paid")
    await example.consume_async(servers)

    assert seen == [(b"paid", {name: value.encode() for name, value in CAME.items()})]


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
def test_the_example_runs_and_both_sides_log_one_id(servers, tmp_path, client):
    done = subprocess.run(
        [sys.executable, EXAMPLE, client, servers], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )

    lines = [json.loads(line) for line in done.stdout.splitlines() if '"log.logger":"app"' in line]
    assert [(line["message"], line["tracking_id"]) for line in lines] == [("sending", "order-1742"), ("handled paid", "order-1742")]
