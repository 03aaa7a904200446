"""What a reader of committed records finds in Apache Kafka: nothing here comes from the service's code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tests.support.apache_kafka import ApacheKafka


def ends(broker: ApacheKafka, topic: str) -> dict[int, int]:
    """Return where each partition of a topic ends now; none of a topic that is not there yet."""
    consumer = _consumer(broker, "read_uncommitted")
    try:
        metadata = consumer.list_topics(timeout=30).topics
        partitions = metadata[topic].partitions if topic in metadata else ()
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1]
            for partition in partitions
        }
    finally:
        consumer.close()


def until_marked(broker: ApacheKafka, topic: str) -> None:
    """Wait until readers of committed records get to the end of a topic, to which nobody is writing.

    An Apache Kafka of one node, as 4.3.1 is, that is killed after it has confirmed a commit and before it has marked
    the partitions never marks them: when it starts again it has no leader for them for a moment, and takes them for
    deleted. No test kills it there.
    """
    deadline = time.monotonic() + 30
    while True:
        reader = _consumer(broker, "read_committed")
        try:
            partitions = reader.list_topics(topic, timeout=30).topics[topic].partitions
            stable = {each: reader.get_watermark_offsets(TopicPartition(topic, each))[1] for each in partitions}
        finally:
            reader.close()
        if stable == ends(broker, topic):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def messages(
    broker: ApacheKafka,
    topic: str,
    isolation_level: str = "read_committed",
    since: Mapping[int, int] = MappingProxyType({}),
) -> list[Message]:
    """Return what is in a topic, from the start, or from these offsets on, to the end, each partition in order."""
    consumer = _consumer(broker, isolation_level)
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, since.get(partition, 0)) for partition in partitions])
        ended: set[int | None] = set()
        found: list[Message] = []
        deadline = time.monotonic() + 60
        while len(ended) < len(partitions):
            assert time.monotonic() < deadline, "the broker does not come to an end"
            for message in consumer.consume(5000, timeout=0.2):
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended.add(message.partition())
        return found
    finally:
        consumer.close()


def _consumer(broker: ApacheKafka, isolation_level: str) -> Consumer:
    return Consumer(
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


def value_of(message: Message) -> bytes:
    """Return what a message holds; all of ours hold something."""
    value = message.value()
    assert value is not None
    return value


def of_emulation(found: Iterable[Message], emulation_id: str) -> list[Message]:
    """Return the messages of one emulation."""
    marker = emulation_id.encode()
    return [message for message in found if marker in value_of(message)[:64]]


def as_in_manifest(found: Iterable[Message]) -> list[dict[str, Any]]:
    """Return where messages lie, as a manifest says it."""
    partitions: dict[int, dict[str, Any]] = {}
    for message in found:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        each = partitions.setdefault(
            partition, {"partition": partition, "first_offset": offset, "records": 0, "bytes": 0}
        )
        each["next_offset"] = offset + 1
        each["records"] += 1
        each["bytes"] += len(value_of(message))
    return [partitions[number] for number in sorted(partitions)]


def own_ids(found: Iterable[Message]) -> list[str]:
    """Return the records' own ids: the first field of each one's data."""
    return [next(iter(json.loads(value_of(message))["data"].values())) for message in found]
