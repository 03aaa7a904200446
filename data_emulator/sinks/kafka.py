"""Kafka: each record a message, keyed by the user it is about, counted when the broker acknowledges it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from data_emulator.errors import ConfigurationError, SinkError, SinkUnavailable
from data_emulator.settings import Settings
from data_emulator.sinks.base import EncodedRecords, PartitionWritten, Sink, Target, Written

_PROBE_TIMEOUT_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.01
_BATCH_RECORDS: Final = 500
"""Messages handed over before the broker's answers are looked at, and other emulations get their turn."""
_MAX_UNACKNOWLEDGED: Final = 50_000


def client_config(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties for any client.

    :raises ConfigurationError: when there are no bootstrap servers, or `kafka_config` is not a JSON object.
    """
    if not settings.kafka_bootstrap_servers:
        raise ConfigurationError("no Kafka is configured: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS to host:port")
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": "data-emulator",
        "log_level": 0,  # its complaints reach us as errors; on stderr they would flood the log
    }
    if settings.kafka_config:
        try:
            more = json.loads(settings.kafka_config.get_secret_value())
        except ValueError:
            more = None
        if not isinstance(more, dict):
            raise ConfigurationError("DATA_EMULATOR_KAFKA_CONFIG must be a JSON object of librdkafka properties")
        config.update(more)
    return config


def producer(settings: Settings) -> Producer:
    """Return a producer to share by a process's emulations: every message acknowledged by all in-sync replicas."""
    return Producer(
        {
            **client_config(settings),
            "acks": "all",
            # The embedded broker loses acknowledged records of an idempotent producer; see docs/adr/0003.
            "enable.idempotence": False,
            "compression.type": "lz4",
            "linger.ms": 20,
            "partitioner": "murmur2_random",  # Java's: a key lies where any other client would have put it
            "message.timeout.ms": int(settings.sink_timeout_s * 1000),
            "queue.buffering.max.messages": 500_000,
        }
    )


class KafkaTarget(Target):
    """A Kafka cluster, seen from the service's front.

    :raises ConfigurationError: when the settings of Kafka cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._admin = AdminClient(client_config(settings))
        except KafkaException as error:
            # The message quotes the value, which may be a secret: only the property's name is passed on.
            named = re.search(r'configuration property:? ("[^"]*")', error.args[0].str())
            raise ConfigurationError(
                f"DATA_EMULATOR_KAFKA_CONFIG: librdkafka refuses {named[1] if named else 'a property'} or its value"
            ) from None

    def prepare(self, destination: str) -> None:
        """Make sure that the topic exists, creating it where it is missing."""
        topics = self._topics()
        if destination in topics:
            return
        topic = NewTopic(
            destination,
            num_partitions=self._settings.kafka_partitions,
            replication_factor=self._settings.kafka_replication_factor,
        )
        try:
            self._admin.create_topics([topic], request_timeout=_PROBE_TIMEOUT_S)[destination].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._unavailable(f"creating topic {destination}: {error.args[0].str()}") from None

    def check(self) -> None:
        """Make sure that a broker answers."""
        self._topics()

    def _topics(self) -> dict[str, Any]:
        try:
            return dict(self._admin.list_topics(timeout=_PROBE_TIMEOUT_S).topics)
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from None

    def _unavailable(self, why: str) -> SinkUnavailable:
        return SinkUnavailable(f"Kafka at {self._settings.kafka_bootstrap_servers}: {why}")


class KafkaSink(Sink):
    """Writes an emulation's records to a topic, over a producer that others use too."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._unacknowledged = 0
        self._partitions: dict[int, PartitionWritten] = {}
        self._error: SinkError | None = None

    async def write(self, records: EncodedRecords) -> None:
        """Hand records to the producer, in order."""
        for start in range(0, len(records), _BATCH_RECORDS):
            batch = records.slice(start, _BATCH_RECORDS)
            for value, key in zip(batch.values.to_pylist(), batch.keys.to_pylist(), strict=True):
                await self._produce(value, key)
            self.accepted_records += len(batch)
            await self._poll()
        while self._unacknowledged > _MAX_UNACKNOWLEDGED:
            await self._poll(_POLL_INTERVAL_S)

    async def _produce(self, value: bytes, key: str) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value=value, key=key, on_delivery=self._delivered)
            except BufferError:  # the producer's queue is full
                await self._poll(_POLL_INTERVAL_S)
            except KafkaException as error:
                raise SinkError(f"Kafka topic {self._topic}: {error.args[0].str()}") from None
            else:
                self._unacknowledged += 1
                self.accepted_bytes += len(value)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._unacknowledged -= 1
        if error is not None:
            self._error = self._error or SinkError(f"Kafka topic {self._topic}: {error.str()}")
            return
        partition, offset, size = message.partition(), message.offset(), len(message)
        was = self._partitions.get(partition)
        self._partitions[partition] = PartitionWritten(
            partition,
            first_offset=min(was.first_offset, offset) if was else offset,
            next_offset=max(was.next_offset, offset + 1) if was else offset + 1,
            records=(was.records if was else 0) + 1,
            bytes=(was.bytes if was else 0) + size,
        )

    async def _poll(self, pause_s: float = 0) -> None:
        """Take the broker's answers in, those to other emulations among them, and let others have their turn."""
        self._producer.poll(0)
        self._raise_if_failed()
        await asyncio.sleep(pause_s)

    def _raise_if_failed(self) -> None:
        if self._error:
            raise self._error

    async def finish(self) -> None:
        """Wait until the broker has answered, or been given up, for every message: also after a failure."""
        while self._unacknowledged:
            self._producer.poll(0)
            await asyncio.sleep(_POLL_INTERVAL_S)
        self._raise_if_failed()

    def take_written(self) -> Written:
        """Return what lies in each partition so far."""
        return Written(partitions=list(self._partitions.values()))
