"""An emulation's records on their way to a Kafka topic, over the writer that it shares with others."""

from __future__ import annotations

import asyncio

import numpy as np
from confluent_kafka import KafkaError, Message

from data_emulator.errors import SinkError
from data_emulator.model import Checkpoint, PartitionWritten, Records, Written
from data_emulator.sinks.base import Sink
from data_emulator.sinks.kafka.partitioner import partitions_of
from data_emulator.sinks.kafka.writer import KafkaWriter


class _Pending:
    """What lies in a partition, but not for good yet: counted as it is sent, its offsets as they become known."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.first_offset: int | None = None
        self.last_offset = -1

    def located(self, offset: int) -> None:
        self.first_offset = offset if self.first_offset is None else min(self.first_offset, offset)
        self.last_offset = max(self.last_offset, offset)


class KafkaSink(Sink):
    """Writes to a topic. What is written becomes final when the writer commits, together with that of others."""

    def __init__(self, writer: KafkaWriter, topic: str, emulation_id: str, checkpoint: Checkpoint) -> None:
        self.emulation_id = emulation_id
        self.topic = topic
        self._writer = writer
        self._final = {each.partition: each for each in checkpoint.partitions}
        self._told = self._final
        self._pending: dict[int, _Pending] = {}
        self._error: SinkError | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._in_doubt: SinkError | None = None
        self._settled_or_in_doubt = asyncio.Event()
        self.accepted_records = checkpoint.records
        self.accepted_bytes = checkpoint.bytes

    @property
    def acknowledged_bytes(self) -> int:
        """Bytes that are final."""
        return sum(each.bytes for each in self._final.values())

    @property
    def is_in_doubt(self) -> bool:
        """Whether the broker has yet to tell what is final."""
        return not self._settled.is_set()

    async def write(self, records: Records) -> None:
        """Hand records to the producer, those of a partition in order."""
        count = await self._writer.partition_count(self.topic)
        chosen = partitions_of(records.keys, count)
        order = np.argsort(chosen, kind="stable")
        values = records.values.take(order).to_pylist()
        keys = records.keys.take(order).to_pylist()
        bounds = np.searchsorted(chosen[order], np.arange(count + 1))
        async with self._writer.turn():
            self._raise_if_failed()
            for partition in range(count):
                start, stop = int(bounds[partition]), int(bounds[partition + 1])
                if start < stop:
                    await self._produce(partition, values[start:stop], keys[start:stop])

    async def _produce(self, partition: int, values: list[bytes], keys: list[str]) -> None:
        pending = self._pending.setdefault(partition, _Pending())
        self._settled.clear()
        self._settled_or_in_doubt.clear()
        self._writer.joined(self)
        try:
            await self._writer.produce(self.topic, partition, values, keys, self._delivered)
        except BaseException as error:  # when it is cancelled too
            # Part of it may be on its way, and nobody has counted which part: the next commit must fail.
            interrupted = SinkError(f"{self._writer.address}, topic {self.topic}: a write was interrupted")
            self._error = self._error or (error if isinstance(error, SinkError) else interrupted)
            raise
        size = sum(map(len, values))
        pending.records += len(values)
        pending.bytes += size
        self.accepted_records += len(values)
        self.accepted_bytes += size

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        """Take the broker's answer for a message. Called from whichever thread polls the producer."""
        if error is not None:
            # Never permanent: the broker refuses batches, in which the messages of others are too.
            self._error = self._error or SinkError(f"{self._writer.address}, topic {self.topic}: {error.str()}")
            return
        partition, offset = message.partition(), message.offset()
        if partition is not None and offset is not None and partition in self._pending:
            self._pending[partition].located(offset)

    def _raise_if_failed(self) -> None:
        if self._error:
            raise self._error

    async def finish(self) -> None:
        """Wait until all is final, and can be read."""
        if not self._settled.is_set():
            self._writer.commit_soon()
            await self._settled_or_in_doubt.wait()
        if self._in_doubt:
            raise self._in_doubt
        self._raise_if_failed()
        ends = {each.partition: each.next_offset for each in self._final.values()}
        await self._writer.wait_until_visible(self.topic, ends)

    async def roll_back(self) -> int:
        """Wait until the writer has settled what is pending, and go on behind what is final."""
        if not self._settled.is_set():
            self._writer.abort_soon()
            await self._settled.wait()
        self._error = None
        self.accepted_records = sum(each.records for each in self._final.values())
        self.accepted_bytes = self.acknowledged_bytes
        return self.accepted_records

    def take_written(self) -> Written:
        """Return what is final in each partition, if more has become so since the last call."""
        told, self._told = self._told, self._final
        return Written(partitions=[] if told is self._final else list(self._final.values()))

    @property
    def failure(self) -> SinkError | None:
        """Why what is pending must not become final; `None` if it may."""
        return self._error

    def if_committed(self) -> tuple[PartitionWritten, ...]:
        """Return what will be final in each partition once the writer has committed."""
        result = dict(self._final)
        for partition, pending in self._pending.items():
            if pending.first_offset is None:
                raise SinkError(f"Kafka topic {self.topic}: no offset is known of what partition {partition} took")
            added = PartitionWritten(
                partition, pending.first_offset, pending.last_offset + 1, pending.records, pending.bytes
            )
            result[partition] = result[partition].plus(added) if partition in result else added
        return tuple(result[partition] for partition in sorted(result))

    def any_offset(self) -> tuple[int, int] | None:
        """Return a partition and an offset in it that hold a pending record."""
        for partition, pending in self._pending.items():
            if pending.first_offset is not None:
                return partition, pending.first_offset
        return None

    def doubt(self, error: SinkError) -> None:
        """Note that nobody knows, until it is settled, whether what is pending has become final."""
        self._in_doubt = error
        self._settled_or_in_doubt.set()

    def settle(self, error: SinkError | None) -> None:
        """Make what is pending final, or forget it because of an error."""
        if error is None:
            self._final = {each.partition: each for each in self.if_committed()}
        else:
            self._error = self._error or error
        self._pending = {}
        self._in_doubt = None
        self._settled.set()
        self._settled_or_in_doubt.set()
