"""Which side of its commit a transaction was on when its producer died."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from data_emulator.settings import Settings
from data_emulator.sinks.kafka.target import client_config

_LONGEST_S: Final = 90.0
"""Somebody else's open transaction can hide the record's fate until it ends, at the latest by its timeout."""
_CALL_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 0.25


@dataclass(frozen=True)
class Place:
    """Where a record was put."""

    topic: str
    partition: int
    offset: int

    @property
    def token(self) -> str:
        """The place as text, by which to find it again."""
        return json.dumps([self.topic, self.partition, self.offset])

    @classmethod
    def of(cls, token: str) -> Place:
        """Return the place that a token stands for."""
        return cls(*json.loads(token))


def was_committed(settings: Settings, place: Place) -> bool:
    """Tell whether the record at this place is there for readers of committed records. Blocks.

    The transaction must have ended: whoever opens a producer with its transactional id makes sure of that.

    :raises confluent_kafka.KafkaException: when the broker cannot be reached, or does not tell in time.
    """
    deadline = time.monotonic() + _LONGEST_S
    admin = AdminClient(client_config(settings))
    # To ask for the offset is cheap. A consumer that waits behind an open transaction fetches without a pause.
    while not is_visible(admin, place.topic, {place.partition: place.offset + 1}, _CALL_TIMEOUT_S):
        ends = _ends(admin, place.topic, [place.partition], IsolationLevel.READ_UNCOMMITTED, _CALL_TIMEOUT_S)
        if ends[place.partition] <= place.offset:
            raise KafkaException(KafkaError(KafkaError.OFFSET_OUT_OF_RANGE, f"there is no {place}"))
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{place} is behind a transaction left open"))
        time.sleep(_PAUSE_S)
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"data-emulator-probe-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    try:
        consumer.assign([TopicPartition(place.topic, place.partition, place.offset)])
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return bool(message.offset() == place.offset)
            # The end of what is committed: behind the record only once its transaction was passed over as aborted.
            if error.code() == KafkaError._PARTITION_EOF and (message.offset() or 0) > place.offset:
                return False
            if error.code() not in (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise KafkaException(error)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no word of {place} in {_LONGEST_S:g} s"))
    finally:
        consumer.close()


def is_visible(admin: AdminClient, topic: str, next_offsets: dict[int, int], timeout_s: float) -> bool:
    """Tell whether readers of committed records can read each partition up to, not including, this offset. Blocks.

    The broker may still be marking a transaction's partitions when it has confirmed the commit.

    :raises confluent_kafka.KafkaException: when the broker cannot be reached in time.
    """
    ends = _ends(admin, topic, list(next_offsets), IsolationLevel.READ_COMMITTED, timeout_s)
    return all(ends[partition] >= offset for partition, offset in next_offsets.items())


def _ends(
    admin: AdminClient, topic: str, partitions: list[int], level: IsolationLevel, timeout_s: float
) -> dict[int, int]:
    """Return the offset behind the last record of each partition that readers of this isolation level can read."""
    ends = admin.list_offsets(
        {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for partition in partitions
        },
        isolation_level=level,
        request_timeout=timeout_s,
    )
    return {place.partition: end.result().offset for place, end in ends.items()}


def end_transaction(settings: Settings, transactional_id: str, timeout_s: float) -> None:
    """Make sure that no transaction of this id is open. If its commit has begun it is completed, else aborted. Blocks.

    :raises confluent_kafka.KafkaException: when the broker cannot be reached in time.
    """
    producer = Producer({**client_config(settings), "transactional.id": transactional_id})
    producer.init_transactions(timeout_s)
