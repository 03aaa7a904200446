"""Keys go where other Kafka clients put them: Java's default partitioner, and librdkafka's `murmur2`."""

import random
import uuid

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from data_emulator.sinks.kafka.partitioner import partitions_of
from data_emulator.stack.tansu import Tansu

VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
"""Apache Kafka's own reference values of the hash."""


def keys_of_all_lengths() -> list[str]:
    """Return keys whose UTF-8 has each length from 0 to 40 octets, among them octets beyond 127."""
    rng = random.Random(0)
    keys = [""]
    for length in range(1, 41):
        for _ in range(5):
            keys.append("".join(chr(rng.randrange(32, 127)) for _ in range(length)))
            keys.append("".join(rng.choice("äéñüßø") for _ in range(length // 2)) + "x" * (length % 2))
    assert {len(key.encode()) for key in keys} == set(range(41))
    return keys


def test_the_hash_is_kafkas() -> None:
    # With 2**31 partitions, a key's partition is all of its hash but the sign.
    chosen = partitions_of(pa.array([*VECTORS]), 2**31)
    assert chosen.tolist() == [value & 0x7FFFFFFF for value in VECTORS.values()]


@pytest.mark.parametrize("partitions", [1, 2, 7, 100])
def test_a_slice_of_a_column_is_its_own(partitions: int) -> None:
    keys = keys_of_all_lengths()
    random.Random(1).shuffle(keys)
    column = pa.array(keys)
    whole = partitions_of(column, partitions).tolist()
    assert all(0 <= each < partitions for each in whole)
    assert partitions_of(column.slice(17, 100), partitions).tolist() == whole[17:117]
    assert [int(partitions_of(pa.array([key]), partitions)[0]) for key in keys] == whole
    assert partitions_of(column.slice(0, 0), partitions).tolist() == []


@pytest.mark.integration
def test_librdkafka_chooses_the_same(kafka_broker: Tansu) -> None:
    topic, partitions = f"partitioner-{uuid.uuid4()}", 7
    config = {"bootstrap.servers": kafka_broker.bootstrap_servers}
    admin = AdminClient(config)
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
    keys = keys_of_all_lengths()
    chosen: dict[str, int | None] = {}
    producer = Producer({**config, "partitioner": "murmur2", "enable.idempotence": False})
    for key in keys:
        producer.produce(
            topic, b"x", key=key, on_delivery=lambda error, sent, key=key: chosen.update({key: sent.partition()})
        )
    assert producer.flush(30) == 0
    ours = dict(zip(keys, partitions_of(pa.array(keys), partitions).tolist(), strict=True))
    assert ours == chosen
    assert set(ours.values()) == set(range(partitions))
