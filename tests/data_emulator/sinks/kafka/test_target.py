"""The Kafka sink and target, on a real broker."""

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from data_emulator.errors import ConfigurationError, SinkError, SinkUnavailable
from data_emulator.model import Checkpoint, PartitionWritten, Records
from data_emulator.settings import Settings
from data_emulator.sinks.kafka import target as kafka
from data_emulator.sinks.kafka import writer as kafka_writer
from data_emulator.sinks.kafka.sink import KafkaSink
from data_emulator.sinks.kafka.target import KafkaTarget
from data_emulator.sinks.kafka.writer import KafkaWriter
from data_emulator.stack.tansu import Tansu
from tests.support import readback
from tests.support.writers import serving_writer

pytestmark = pytest.mark.integration

MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
}
"""Apache Kafka's own reference values of the hash that places keys."""


@pytest.fixture
def topic(kafka_settings: Settings) -> str:
    name = f"sink-tests-{uuid.uuid4()}"
    KafkaTarget(kafka_settings).prepare(name)
    return name


def encoded(marker: str, count: int, users: int = 50) -> Records:
    values = [b'{"%s":%d}' % (marker.encode(), number) for number in range(count)]
    return keyed(values, [f"user-{n % users}" for n in range(count)])


def keyed(values: list[bytes], keys: list[str]) -> Records:
    column = pa.array(values, pa.binary())
    return Records(pa.record_batch({"value": column}), column, pa.array(keys))


@pytest.fixture
async def writer(kafka_settings: Settings) -> AsyncIterator[KafkaWriter]:
    async with serving_writer(kafka_settings) as serving:
        yield serving


def sink(writer: KafkaWriter, topic: str) -> KafkaSink:
    return KafkaSink(writer, topic, str(uuid.uuid4()), Checkpoint())


async def write_and_finish(to: KafkaSink, records: Records) -> None:
    await to.write(records)
    await to.finish()


async def write_until_taken(to: KafkaSink, records: Records) -> None:
    """Write as a run does once the broker is back: again and again, until it is noticed."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await write_and_finish(to, records)
        except SinkError:
            assert time.monotonic() < deadline
            await to.roll_back()
            await asyncio.sleep(0.2)


def assert_is_there(broker: Tansu, topic: str, records: Records, written: list[PartitionWritten]) -> None:
    """Check that the ranges that the sink named hold exactly its records, each under its key, among others'."""
    own = Counter(zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True))
    for each in written:
        found = readback.messages(broker, topic, [(each.partition, each.first_offset, each.next_offset)])
        mine = [message for message in found if (message.key().decode(), message.value()) in own]
        assert len(mine) == each.records
        assert sum(len(message.value()) for message in mine) == each.bytes
        assert mine[0].offset() == each.first_offset
        assert mine[-1].offset() + 1 == each.next_offset
        own -= Counter((message.key().decode(), message.value()) for message in mine)
    assert not own


async def test_every_record_is_a_message_under_its_key(kafka_broker: Tansu, writer: KafkaWriter, topic: str) -> None:
    opened = sink(writer, topic)
    records = encoded("n", 5000)
    for start in range(0, 5000, 1234):
        await opened.write(records.slice(start, 1234))
    await opened.finish()
    written = opened.take_written().partitions
    assert sum(each.records for each in written) == opened.accepted_records == 5000
    assert sum(each.bytes for each in written) == opened.accepted_bytes == sum(map(len, records.values.to_pylist()))
    assert {each.partition for each in written} == {0, 1, 2}
    assert_is_there(kafka_broker, topic, records, written)


async def test_keys_lie_where_a_java_client_puts_them(kafka_broker: Tansu, writer: KafkaWriter, topic: str) -> None:
    opened = sink(writer, topic)
    keys = [*MURMUR2]
    await opened.write(keyed([b"{}"] * len(keys), keys))
    await opened.finish()
    ranges = [(each.partition, each.first_offset, each.next_offset) for each in opened.take_written().partitions]
    placed = {message.key().decode(): message.partition() for message in readback.messages(kafka_broker, topic, ranges)}
    assert placed == {key: (value & 0x7FFFFFFF) % 3 for key, value in MURMUR2.items()}


async def test_order_within_a_key_is_kept(kafka_broker: Tansu, writer: KafkaWriter, topic: str) -> None:
    opened = sink(writer, topic)
    await opened.write(encoded("n", 2000, users=5))
    await opened.finish()
    by_key: dict[bytes, list[int]] = {}
    for each in opened.take_written().partitions:
        for message in readback.messages(kafka_broker, topic, [(each.partition, each.first_offset, each.next_offset)]):
            by_key.setdefault(message.key(), []).append(int(message.value()[5:-1]))
    assert len(by_key) == 5
    for numbers in by_key.values():
        assert all(a < b for a, b in itertools.pairwise(numbers))


async def test_sinks_that_share_a_producer_and_a_topic_count_their_own(
    kafka_broker: Tansu, writer: KafkaWriter, topic: str
) -> None:
    async def write(marker: str) -> tuple[Records, list[PartitionWritten]]:
        opened = sink(writer, topic)
        records = encoded(marker, 1500)
        for start in range(0, 1500, 100):
            await opened.write(records.slice(start, 100))
            await asyncio.sleep(0.01)
        await opened.finish()
        return records, opened.take_written().partitions

    for records, written in await asyncio.gather(write("a"), write("b")):
        assert sum(each.records for each in written) == 1500
        assert_is_there(kafka_broker, topic, records, written)


async def test_a_full_queue_is_ridden_out(
    kafka_broker: Tansu, kafka_settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    class Counting(Producer):
        def produce_batch(self, topic: str, batch: list[Any], **named: Any) -> int:
            nonlocal refused
            queued: int = super().produce_batch(topic, batch, **named)
            refused += queued < len(batch)
            return queued

    monkeypatch.setattr(kafka_writer, "Producer", Counting)
    small = {**kafka_writer.producer_config(kafka_settings, None), "queue.buffering.max.messages": 100}
    monkeypatch.setattr(kafka_writer, "producer_config", lambda *_: small)
    async with serving_writer(kafka_settings) as writer:
        opened = sink(writer, topic)
        records = encoded("n", 1000)
        await write_and_finish(opened, records)
    assert refused > 0
    written = opened.take_written().partitions
    assert sum(each.records for each in written) == 1000
    assert_is_there(kafka_broker, topic, records, written)


async def test_a_broker_that_dies_midway_is_an_error_and_what_it_had_taken_is_there(
    kafka_broker: Tansu, kafka_settings: Settings, topic: str
) -> None:
    async with serving_writer(kafka_settings.model_copy(update={"sink_timeout_s": 3})) as writer:
        opened = sink(writer, topic)
        before, after = encoded("before", 500), encoded("after", 500)
        await write_and_finish(opened, before)
        kafka_broker.kill()
        try:
            with pytest.raises(SinkError, match="Kafka"):
                await write_and_finish(opened, after)
            assert await opened.roll_back() == 500
            assert opened.accepted_records == 500
            written = opened.take_written().partitions
            assert sum(each.records for each in written) == 500
        finally:
            kafka_broker.start()
        assert_is_there(kafka_broker, topic, before, written)
        await write_until_taken(opened, after)
        written = opened.take_written().partitions
    assert sum(each.records for each in written) == opened.accepted_records == 1000
    there = readback.messages(
        kafka_broker, topic, [(each.partition, each.first_offset, each.next_offset) for each in written]
    )
    own = {*before.values.to_pylist(), *after.values.to_pylist()}
    assert {message.value() for message in there} == own  # some may lie there twice


async def test_an_unreachable_broker_is_an_error(
    kafka_settings: Settings, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_PROBE_TIMEOUT_S", 1.0)
    lost = kafka_settings.model_copy(
        update={"kafka_bootstrap_servers": f"127.0.0.1:{closed_port}", "sink_timeout_s": 1}
    )
    async with serving_writer(lost) as writer:
        opened = sink(writer, "anything")
        with pytest.raises(SinkError, match="anything"):
            await write_and_finish(opened, encoded("n", 10))
    assert opened.take_written().partitions == []
    for ask in (KafkaTarget(lost).check, lambda: KafkaTarget(lost).prepare("transactions")):
        with pytest.raises(SinkUnavailable, match=f"127.0.0.1:{closed_port}"):
            ask()


@pytest.mark.parametrize("position", [0, 40, 250, 499])
@pytest.mark.parametrize("queue", [100_000, 100])
async def test_a_message_that_the_client_refuses_is_an_error_wherever_it_stands(
    kafka_broker: Tansu,
    kafka_settings: Settings,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    position: int,
    queue: int,
) -> None:
    small = {**kafka_writer.producer_config(kafka_settings, None), "queue.buffering.max.messages": queue}
    monkeypatch.setattr(kafka_writer, "producer_config", lambda *_: small)
    values = [b"%d" % number for number in range(500)]
    values[position] = b"x" * 2_000_000
    async with serving_writer(kafka_settings) as writer:
        opened = sink(writer, topic)
        with pytest.raises(SinkError, match=f"{topic}: .*Message size too large") as caught:
            await opened.write(keyed(values, ["user"] * 500))
        assert caught.value.permanent
        with pytest.raises(SinkError):
            await opened.finish()
        assert await opened.roll_back() == opened.accepted_records == 0
        assert opened.take_written().partitions == []
        # What lies there of it is in order and in no manifest; what others write is whole.
        other, records = sink(writer, topic), encoded("other", 300)
        await write_until_taken(other, records)
        assert_is_there(kafka_broker, topic, records, other.take_written().partitions)


def test_the_target_makes_a_missing_topic_once(kafka_broker: Tansu, kafka_settings: Settings) -> None:
    name = f"made-{uuid.uuid4()}"
    settings = kafka_settings.model_copy(update={"kafka_partitions": 5})
    KafkaTarget(settings).prepare(name)
    assert readback.partition_count(kafka_broker, name) == 5
    KafkaTarget(kafka_settings).prepare(name)
    assert readback.partition_count(kafka_broker, name) == 5
    KafkaTarget(settings).check()


def test_the_service_does_not_start_without_bootstrap_servers() -> None:
    with pytest.raises(ConfigurationError, match="DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"):
        kafka.client_config(Settings())


@pytest.mark.parametrize(
    "config",
    ["hunter2", '"hunter2"', '["hunter2"]', '{"sasl.jaas": "hunter2"}', '{"security.protocol": "hunter2"}'],
)
def test_a_wrong_kafka_config_is_named_and_not_shown(kafka_settings: Settings, config: str) -> None:
    settings = kafka_settings.model_copy(update={"kafka_config": SecretStr(config)})
    with pytest.raises(ConfigurationError, match="DATA_EMULATOR_KAFKA_CONFIG") as caught:
        KafkaTarget(settings)
    assert "hunter2" not in str(caught.value)


def test_more_properties_reach_the_client(kafka_settings: Settings) -> None:
    settings = kafka_settings.model_copy(update={"kafka_config": SecretStr('{"client.rack": "r1"}')})
    assert kafka.client_config(settings)["client.rack"] == "r1"
    KafkaTarget(settings).check()
