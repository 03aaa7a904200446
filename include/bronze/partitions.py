"""Read an emulation's records from the partitions in its manifest, between the listed offsets."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ..exceptions import DataEmulatorConfigError, EmulationDataError, StorageUnavailableError
from ..wire.manifest import Manifest, ManifestPartition
from .rows import Row, csv_fields, json_emulation_id

_METADATA_TIMEOUT_S = 15.0
#: How long a partition's next record may take to come.
_SILENCE_S = 60.0
#: How long a broker may take to find the next records, in milliseconds; librdkafka's default is 500. A broker that
#: looks through the whole log for them (Tansu does) and is out of time answers with nothing, each time anew: 5 s are
#: enough for some 100,000 batches. Not longer, as librdkafka sends one fetch at a time: while it waits at the end of a
#: partition, those whose queues were full then wait too.
_FETCH_WAIT_MS = 5_000
_CONSUME_BATCH = 1000
#: What librdkafka may fetch ahead, for each partition.
_QUEUED_KIB = 16 * 1024
_CONSUME_TIMEOUT_S = 0.2

# librdkafka's errors come by error_cb and as messages; on standard error they would flood the task's log.
_LIBRARY_LOG = logging.getLogger(__name__ + ".librdkafka")
_LIBRARY_LOG.setLevel(logging.CRITICAL)


class _Progress:
    """The progress of reading a partition.

    ``ends_at`` is the offset at which the broker last said that the committed records end.
    """

    def __init__(self, stated: ManifestPartition, source: str) -> None:
        self.stated = stated
        self.source = source
        self.records = 0
        self.bytes = 0
        self.next_offset = stated.first_offset
        self.ends_at: int | None = None

    @property
    def is_done(self) -> bool:
        return self.next_offset >= self.stated.next_offset

    def check(self) -> None:
        """Compare what was found with the manifest."""
        found, stated = (self.records, self.bytes), (self.stated.records, self.stated.bytes)
        if found != stated:
            raise EmulationDataError(
                f"{self.source}: {found[0]:,} records, {found[1]:,} bytes between offsets {self.stated.first_offset} "
                f"and {self.stated.next_offset}, the manifest says {stated[0]:,} records, {stated[1]:,} bytes"
            )


class PartitionReader:
    """Reads the partitions of a manifest, from ``first_offset`` up to, not including, ``next_offset``.

    It gives the committed records whose envelope names this emulation; those of others may lie in between. It commits
    no offsets, so no other consumer is affected.

    :param config: librdkafka's properties, of which those that decide what is read are set here
    :param conn_id: the connection they are from, named in errors
    """

    def __init__(self, config: Mapping[str, Any], conn_id: str, manifest: Manifest) -> None:
        self._config = config
        self._conn_id = conn_id
        self._manifest = manifest
        self._last_error = ""

    def rows(self) -> Iterator[Row]:
        """Yield the records, in order within each partition.

        :raises EmulationDataError: naming the topic or partition that is missing, no longer has these offsets, ends
            before them, or has other numbers of records or bytes than the manifest says
        :raises StorageUnavailableError: when the broker cannot be read just now
        :raises DataEmulatorConfigError: when librdkafka refuses the connection's properties
        """
        topic = self._manifest.topic or ""
        reading = {
            each.partition: _Progress(each, f"kafka://{topic}/{each.partition}") for each in self._manifest.partitions
        }
        unfinished = {partition for partition, progress in reading.items() if not progress.is_done}
        consumer = self._consumer()
        try:
            self._check_there(consumer, topic, reading)
            consumer.assign(
                [TopicPartition(topic, partition, reading[partition].stated.first_offset) for partition in unfinished]
            )
            heard_at = time.monotonic()
            while unfinished:
                for message in consumer.consume(_CONSUME_BATCH, timeout=_CONSUME_TIMEOUT_S):
                    progress = reading[message.partition() or 0]
                    if progress.is_done:
                        continue  # fetched before the partition was paused
                    if (error := message.error()) is not None:
                        self._take_error(error, message.offset(), progress)
                    else:
                        heard_at = time.monotonic()
                        offset, value = message.offset() or 0, message.value() or b""
                        progress.next_offset = offset + 1
                        # The last of the manifest's offsets may have no record any more: then a later one ends it.
                        if offset < progress.stated.next_offset and (text := self._own(value)) is not None:
                            progress.records += 1
                            progress.bytes += len(value)
                            yield Row(progress.source, offset, None, text)
                    if progress.is_done:
                        progress.check()
                        unfinished.discard(progress.stated.partition)
                        consumer.pause([TopicPartition(topic, progress.stated.partition)])
                if time.monotonic() > heard_at + _SILENCE_S:
                    self._give_up(consumer, topic, reading[min(unfinished)])
        except KafkaException as error:
            raise StorageUnavailableError(f"Topic {topic} cannot be read: {error.args[0].str()}") from None
        finally:
            consumer.close()
        for progress in reading.values():
            progress.check()

    def _consumer(self) -> Consumer:
        config = {
            "group.id": f"bronze-{uuid.uuid4()}",  # librdkafka wants one; no group is joined
            "queued.max.messages.kbytes": _QUEUED_KIB,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
            **self._config,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "check.crcs": True,
            "error_cb": self._remember,
        }
        try:
            return Consumer(config, logger=_LIBRARY_LOG)
        except (KafkaException, TypeError, ValueError) as error:
            # The message quotes the value, which may be a secret: only the property's name is passed on.
            text = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            named = re.search(r'configuration property:? ("[^"]*")', text)
            raise DataEmulatorConfigError(
                f"Connection {self._conn_id!r}: librdkafka refuses {named[1] if named else 'a property'} or its value"
            ) from None

    def _remember(self, error: KafkaError) -> None:
        self._last_error = f": {error.str()}"

    def _check_there(self, consumer: Consumer, topic: str, reading: Mapping[int, _Progress]) -> None:
        try:
            found = consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            raise StorageUnavailableError(
                f"Connection {self._conn_id!r}: no broker answered: {error.args[0].str()}{self._last_error}"
            ) from None
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise StorageUnavailableError(f"Topic {topic}: {found.error.str()}")
        if missing := sorted(reading.keys() - found.partitions.keys()):
            progress = reading[missing[0]]
            raise EmulationDataError(
                f"{progress.source}: there is no such topic or partition, the manifest says "
                f"{progress.stated.records:,} records"
            )

    def _own(self, value: bytes) -> str | None:
        """Return the text if the message is a record of this emulation, otherwise None."""
        emulation_id = self._manifest.emulation_id
        if emulation_id.encode() not in value:
            return None
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return None
        if self._manifest.format_type == "csv":
            return text if csv_fields(text)[:1] == [emulation_id] else None
        return text if json_emulation_id(text) == emulation_id else None

    def _take_error(self, error: KafkaError, offset: int | None, progress: _Progress) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise EmulationDataError(
                f"{progress.source}: offset {progress.next_offset} does not exist (any more), the manifest says "
                f"{progress.stated.records:,} records between offsets {progress.stated.first_offset} and "
                f"{progress.stated.next_offset}"
            )
        if error.code() == KafkaError._PARTITION_EOF:
            progress.ends_at = offset or 0
            progress.next_offset = max(progress.next_offset, progress.ends_at)
        else:
            self._remember(error)  # librdkafka goes on by itself; if nothing comes of it, the silence ends it

    def _give_up(self, consumer: Consumer, topic: str, progress: _Progress) -> None:
        """Explain why records are missing: the log ends early, a transaction is open, or the broker does not answer."""
        stated = progress.stated
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, stated.partition), cached=True)
        if 0 <= end < stated.next_offset:
            raise EmulationDataError(
                f"{progress.source}: it ends at offset {end}, the manifest says {stated.next_offset}; "
                f"{progress.records:,} records found of {stated.records:,}"
            )
        if progress.ends_at is not None:
            raise StorageUnavailableError(
                f"{progress.source}: its committed records end at offset {progress.ends_at}, the manifest says "
                f"{stated.next_offset}: a transaction is open there"
            )
        raise StorageUnavailableError(
            f"{progress.source}: the broker sent nothing for {_SILENCE_S:g} s at offset {progress.next_offset} of "
            f"{stated.next_offset}{self._last_error or self._slow_broker()}"
        )

    def _slow_broker(self) -> str:
        wait_ms = self._config.get("fetch.wait.max.ms", _FETCH_WAIT_MS)
        return f"; if it needs longer to find records, raise fetch.wait.max.ms ({wait_ms}) in {self._conn_id!r}"
