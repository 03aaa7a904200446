"""The producer that a worker's emulations share, and the transactions that make what they write final.

With exactly-once delivery, all that the emulations have written since the last commit is one Kafka transaction. Before
it is committed, the service stores what will be in it, with the place of one of its records. If the process dies in
between, that record tells on which side of the commit it was: it is there, or it is not (`was_committed`).

With at-least-once delivery there is no transaction: what the broker has acknowledged is final.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from data_emulator.errors import SinkError
from data_emulator.model import Commit, PartitionWritten
from data_emulator.settings import Settings
from data_emulator.sinks.kafka.probe import Place, is_visible, was_committed
from data_emulator.sinks.kafka.target import client_config

_CALL_TIMEOUT_S: Final = 10.0
_FULL_PAUSE_S: Final = 0.002
_RETRY_PAUSE_S: Final = 1.0
_VISIBLE_PAUSE_S: Final = 0.05
_BATCH_RECORDS: Final = 1000
"""Messages handed over at a time. In between, answers of the broker are taken in, and others get their turn."""
_TRANSACTION_TIMEOUT_S: Final = 60

log = structlog.get_logger(__name__)


class Member(Protocol):
    """An emulation that has written since the last commit, as the writer sees it."""

    emulation_id: str
    topic: str

    @property
    def failure(self) -> SinkError | None:
        """Why what is pending must not become final; `None` if it may."""

    def if_committed(self) -> tuple[PartitionWritten, ...]:
        """Return what will be final in each partition once the writer has committed."""

    def any_offset(self) -> tuple[int, int] | None:
        """Return a partition and an offset in it that hold a pending record."""

    def doubt(self, error: SinkError) -> None:
        """Note that nobody knows, until it is settled, whether what is pending has become final."""

    def settle(self, error: SinkError | None) -> None:
        """Make what is pending final, or forget it because of an error."""


Prepare = Callable[[Commit], Awaitable[None]]
"""Stores what is about to be committed where it outlives this process; returns when it is stored."""


def producer_config(settings: Settings, transactional_id: str | None) -> dict[str, Any]:
    """Return librdkafka's properties for a producer; with a transactional id, one that is idempotent too."""
    config = {
        **client_config(settings),
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        "message.timeout.ms": int(settings.sink_timeout_s * 1000),
    }
    if transactional_id is None:
        # The embedded broker loses acknowledged records of an idempotent producer; see docs/adr/0003.
        return {**config, "enable.idempotence": False}
    return {
        **config,
        "transactional.id": transactional_id,
        "transaction.timeout.ms": max(_TRANSACTION_TIMEOUT_S * 1000, config["message.timeout.ms"]),
    }


class KafkaWriter:
    """A producer and its transactions.

    Emulations take turns writing. From time to time the writer holds them back, waits until the broker has everything,
    makes it final, and lets them go on. If that fails, every emulation that wrote since the last time is told so, and
    writes it again.

    :param transactional_id: the same for every life of this writer, and for no other; `None`: no transactions.
    :param prepare: called before each commit.
    :param on_final: called after each commit.
    """

    def __init__(
        self, settings: Settings, transactional_id: str | None, prepare: Prepare, on_final: Callable[[], None]
    ) -> None:
        self.address = f"Kafka at {settings.kafka_bootstrap_servers}"
        """The broker as errors name it."""
        self._settings = settings
        self._transactional_id = transactional_id
        self._prepare = prepare
        self._on_final = on_final
        self._producer: Producer | None = None
        self._broken: SinkError | None = None
        self._open = False
        self._opened_or_broken = asyncio.Event()
        self._writing = 0
        self._nobody_writes = asyncio.Event()
        self._nobody_writes.set()
        self._members: set[Member] = set()
        self._joined = asyncio.Event()
        self._soon = asyncio.Event()
        self._abort = False
        self._in_transaction = False
        self._partition_counts: dict[str, int] = {}

    async def serve(self) -> None:
        """Commit again and again. Runs until cancelled."""
        await self._connect()
        while True:
            self._set_open()
            await self._joined.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._settings.commit_interval_s)
            await self._commit()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold commits off while records are handed over.

        :raises SinkError: when the broker is away.
        """
        await self._until_open()
        self._writing += 1
        self._nobody_writes.clear()
        try:
            yield
        finally:
            self._writing -= 1
            if not self._writing:
                self._nobody_writes.set()

    def joined(self, sink: Member) -> None:
        """Note that this emulation is about to write; to be called within a `turn`."""
        self._members.add(sink)
        self._joined.set()
        if self._transactional_id and not self._in_transaction:
            self._in_transaction = True
            self._connected.begin_transaction()

    def commit_soon(self) -> None:
        """Commit without waiting for the interval to pass."""
        self._soon.set()

    def abort_soon(self) -> None:
        """Make sure that what is not final yet never becomes so, if that can still be helped."""
        self._abort = True
        self._soon.set()

    async def produce(
        self, topic: str, partition: int, values: list[bytes], keys: list[str], on_delivery: Callable[[Any, Any], None]
    ) -> None:
        """Hand messages to the producer, in order; wait while its queue is full. To be called within a `turn`.

        In a transaction a message that is lost fails the commit, so only the first and the last of each batch report
        where they are. Without one, each message reports.

        :raises SinkError: when the producer refuses them for good.
        """
        for start in range(0, len(values), _BATCH_RECORDS):
            batch = [
                {"value": value, "key": key}
                for value, key in zip(
                    values[start : start + _BATCH_RECORDS], keys[start : start + _BATCH_RECORDS], strict=True
                )
            ]
            for message in (batch[0], batch[-1]) if self._transactional_id else batch:
                message["callback"] = on_delivery  # type: ignore[assignment]
            while batch:
                batch = self._hand_over(topic, partition, batch)
                self._connected.poll(0)
                await asyncio.sleep(_FULL_PAUSE_S if batch else 0)

    def _hand_over(self, topic: str, partition: int, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Put messages into the producer's queue; return those at the end of the batch that found it full.

        :raises SinkError: when the producer refuses one for another reason. It has taken those behind it all the same,
            so that nothing written since the last commit may become final.
        """
        try:
            queued = self._connected.produce_batch(topic, batch, partition=partition)
        except KafkaException as error:
            raise SinkError(f"{self.address}, topic {topic}: {error.args[0].str()}") from None
        if queued == len(batch):
            return []
        # The number says how many were taken, not which: each of the others is marked.
        errors = [message.pop("_error", None) for message in batch]
        for each in errors:
            if each is not None and each.code() != KafkaError._QUEUE_FULL:
                is_too_large = each.code() == KafkaError.MSG_SIZE_TOO_LARGE  # so it will be whenever it is sent
                raise SinkError(f"{self.address}, topic {topic}: {each.str()}", permanent=is_too_large)
        if any(each is not None for each in errors[:queued]):
            raise SinkError(f"{self.address}, topic {topic}: the producer took messages behind one that it did not")
        return batch[queued:]

    async def wait_until_visible(self, topic: str, next_offsets: dict[int, int]) -> None:
        """Wait until what was committed can be read, up to these offsets; without transactions it can be at once.

        :raises SinkError: when the broker is away.
        """
        if self._transactional_id is None or not next_offsets:
            return
        deadline = time.monotonic() + self._settings.sink_timeout_s
        while time.monotonic() < deadline:
            try:
                if await asyncio.to_thread(is_visible, self._admin, topic, next_offsets, _CALL_TIMEOUT_S):
                    return
            except KafkaException as error:
                raise SinkError(f"{self.address}, topic {topic}: {error.args[0].str()}") from None
            await asyncio.sleep(_VISIBLE_PAUSE_S)
        raise SinkError(
            f"{self.address}, topic {topic}: committed records stay hidden: another transaction has been left open"
        )

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(client_config(self._settings))

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has.

        :raises SinkError: when the broker is away, or has no such topic.
        """
        if topic not in self._partition_counts:
            await self._until_open()
            try:
                metadata = await asyncio.to_thread(self._connected.list_topics, topic, timeout=_CALL_TIMEOUT_S)
            except KafkaException as error:
                raise SinkError(f"{self.address}, topic {topic}: {error.args[0].str()}") from None
            if not metadata.topics[topic].partitions:
                raise SinkError(f"{self.address}, topic {topic}: {metadata.topics[topic].error}")
            self._partition_counts[topic] = len(metadata.topics[topic].partitions)
        return self._partition_counts[topic]

    async def _until_open(self) -> None:
        while not self._open:
            await self._opened_or_broken.wait()
            if self._broken:
                raise self._broken

    def _set_open(self) -> None:
        self._open, self._broken = True, None
        self._opened_or_broken.set()

    def _set_broken(self, error: SinkError) -> None:
        """Let everybody who wants to write know, instead of making them wait until the broker is back."""
        self._open, self._broken = False, error
        self._opened_or_broken.set()

    @property
    def _connected(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("there is a producer only within a turn, which waits for it")
        return self._producer

    async def _commit(self) -> None:
        """Make what was written final, or tell everybody concerned that it is not."""
        self._open = False
        self._opened_or_broken.clear()
        await self._nobody_writes.wait()
        members, self._members = self._members, set()
        self._joined.clear()
        self._soon.clear()
        prepared: Commit | None = None
        try:
            await self._flush(members)
            if self._transactional_id:
                prepared = _commit_of(members)
                await self._prepare(prepared)
                await self._call("commit_transaction")
        except (KafkaException, SinkError) as error:
            reason = error if isinstance(error, SinkError) else SinkError(f"{self.address}: {error.args[0].str()}")
            await self._recover(members, reason, prepared)
        else:
            self._settle(members, None)

    async def _flush(self, members: set[Member]) -> None:
        """Wait until the broker has answered for every message.

        :raises SinkError: when it has refused one, or did not answer in time.
        """
        deadline = time.monotonic() + self._settings.sink_timeout_s
        while (left := await asyncio.to_thread(self._connected.flush, 0.5)) and not self._abort:
            if time.monotonic() > deadline:
                raise SinkError(
                    f"{self.address}: {left} messages were not acknowledged in {self._settings.sink_timeout_s:g} s"
                )
        for member in members:
            if member.failure:
                # What the others wrote is lost with it, and only with this transaction: to them it is never permanent.
                raise SinkError(str(member.failure))
        if self._abort:
            raise SinkError(f"{self.address}: given up before it was final")

    def _settle(self, members: set[Member], error: SinkError | None) -> None:
        self._in_transaction = self._abort = False
        for member in members:
            member.settle(error)
        self._on_final()

    async def _recover(self, members: set[Member], reason: SinkError, prepared: Commit | None) -> None:
        """Get back to where a transaction can begin, and settle what became of the last one."""
        self._set_broken(reason)
        if prepared is None:
            # It will never be committed, so its emulations need not wait until the broker is back to be told.
            self._settle(members, reason)
        else:
            for member in members:
                member.doubt(reason)
        try:
            if self._transactional_id:
                await self._call("abort_transaction")
            else:
                self._connected.purge()
                await asyncio.to_thread(self._connected.flush, 1.0)
        except KafkaException:
            await self._connect()
            if prepared is not None and await self._has_been_committed(prepared):
                self._settle(members, None)
                return
        if prepared is not None:
            self._settle(members, reason)

    async def _has_been_committed(self, commit: Commit) -> bool:
        """Tell whether the transaction is there for readers of committed records, as soon as the broker can tell.

        :raises RuntimeError: when it cannot for as long as a sink may be away. That ends the worker, and the service
            fails the emulations that were in it, but not before it has looked for as long again.
        """
        place = Place.of(commit.token)
        deadline = time.monotonic() + self._settings.sink_outage_s
        while True:
            try:
                return await asyncio.to_thread(was_committed, self._settings, place)
            except KafkaException as error:
                log.warning("fate of a kafka transaction not known yet", error=error.args[0].str())
                if time.monotonic() > deadline:
                    raise RuntimeError(f"kafka does not tell what became of {place}") from error
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _connect(self) -> None:
        """Make a producer. In doing so, the broker ends what an earlier producer of this id has left open."""
        while True:
            self._producer = None
            try:
                producer = Producer(producer_config(self._settings, self._transactional_id))
                if self._transactional_id:
                    await asyncio.to_thread(producer.init_transactions, _CALL_TIMEOUT_S)
            except KafkaException as error:
                self._set_broken(SinkError(f"{self.address}: {error.args[0].str()}"))
                log.warning("kafka producer not ready", error=error.args[0].str())
                await asyncio.sleep(_RETRY_PAUSE_S)
            else:
                self._producer = producer
                return

    async def _call(self, name: str) -> None:
        """Make a call that ends the transaction, again while the producer says that it may help."""
        deadline = time.monotonic() + self._settings.sink_timeout_s
        while True:
            try:
                await asyncio.to_thread(getattr(self._connected, name), _CALL_TIMEOUT_S)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return


def _commit_of(members: set[Member]) -> Commit:
    partitions = {member.emulation_id: member.if_committed() for member in members}
    for member in members:
        if (place := member.any_offset()) is not None:
            return Commit(Place(member.topic, *place).token, partitions)
    raise SinkError("Kafka: the transaction is empty")
