"""What a reader of committed records finds in Apache Kafka: nothing here comes from the service's code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from data_emulator.stack.apache_kafka import ApacheKafka


def messages(broker: ApacheKafka, topic: str, isolation_level: str = "read_committed") -> list[Message]:
    """Return what is in a topic, from the start to the end, each partition in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation_level,
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        ended: set[int | None] = set()
        found: list[Message] = []
        while len(ended) < len(partitions):
            batch = consumer.consume(5000, timeout=30)
            assert batch, "the broker is silent"
            for message in batch:
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended.add(message.partition())
        return found
    finally:
        consumer.close()


def of_emulation(found: Iterable[Message], emulation_id: str) -> list[Message]:
    """Return the messages of one emulation."""
    marker = emulation_id.encode()
    return [message for message in found if marker in message.value()[:64]]


def as_in_manifest(found: Iterable[Message]) -> list[dict[str, Any]]:
    """Return where messages lie, as a manifest says it."""
    partitions: dict[int, dict[str, Any]] = {}
    for message in found:
        each = partitions.setdefault(
            message.partition(),
            {"partition": message.partition(), "first_offset": message.offset(), "records": 0, "bytes": 0},
        )
        each["next_offset"] = message.offset() + 1
        each["records"] += 1
        each["bytes"] += len(message.value())
    return [partitions[number] for number in sorted(partitions)]


def own_ids(found: Iterable[Message]) -> list[str]:
    """Return the records' own ids: the first field of each one's data."""
    return [next(iter(json.loads(message.value())["data"].values())) for message in found]
