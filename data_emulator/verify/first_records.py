"""The first records of an emulation, read back from the store or the broker and decoded."""

import io
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import obstore
import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from data_emulator.domains import all_domains
from data_emulator.formats import csv
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.envelope import EMULATION_ID, TIMESTAMP, envelope_schema
from data_emulator.settings import Settings
from data_emulator.sinks.bucket import Bucket
from data_emulator.verify.decoding import DamagedError, MessageDecoder, Record, object_records
from data_emulator.verify.messages import SILENCE_S, consumer_config
from data_emulator.verify.messages import reading as reading_topic
from data_emulator.verify.objects import compression_of, opened, reading
from data_emulator.verify.readback import ReadBackError
from data_emulator.wire import Manifest, ManifestObject, ManifestPartition

_RANGE_BYTES = 1 << 16
_METADATA_TIMEOUT_S = 10.0
_POLL_TIMEOUT_S = 0.5
#: A consumer fetches ahead, by default up to 64 MiB.
FETCH_FEW = {"queued.min.messages": 1, "queued.max.messages.kbytes": 1024, "max.partition.fetch.bytes": 1 << 16}


def first_records(manifest: Manifest, settings: Settings, count: int) -> list[Record]:
    """Return up to `count` records of an emulation: from its first objects, or its first partitions, in their order.

    Objects are read by ranges of 64 KiB, and in Parquet and Avro by whole pages and blocks; messages by fetches of
    64 KiB. So what is transferred depends on `count`, and not on how much was emulated.

    :param settings: say where the store, the broker and the schema registry are.
    :returns: records in their envelope; those of CSV are flat, and every value is text.
    :raises ReadBackError: when something cannot be read, or decoded.
    """
    try:
        found = _in_objects(manifest, settings) if manifest.in_objects else _in_messages(manifest, settings)
        with closing(found):
            return list(islice(found, count))
    except DamagedError as error:
        raise ReadBackError(f"emulation {manifest.id} cannot be read as {manifest.format_type}: {error}") from error


def _in_objects(manifest: Manifest, settings: Settings) -> Generator[Record]:
    bucket = opened(manifest, settings)
    for entry in manifest.objects:
        compression = compression_of(entry.key, manifest.format_type) if manifest.format_type in FORMATS else None
        if compression is None:
            raise ReadBackError(f"object {entry.key} cannot be read as {manifest.format_type}")
        content = io.BufferedReader(_ObjectRanges(bucket, entry), _RANGE_BYTES)
        yield from object_records(content, manifest.format_type, compression)


class _ObjectRanges(io.RawIOBase):
    """An object of which only the ranges that are read are requested. Reading raises ReadBackError."""

    def __init__(self, bucket: Bucket, entry: ManifestObject) -> None:
        self._bucket = bucket
        self._entry = entry
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._entry.bytes}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._entry.bytes - self._position)
        if length <= 0:
            return 0
        with reading(self._bucket):
            part = bytes(obstore.get_range(self._bucket.store, self._entry.key, start=self._position, length=length))
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


def _in_messages(manifest: Manifest, settings: Settings) -> Generator[Record]:
    topic = manifest.topic or ""
    decoder = MessageDecoder(manifest.format_type, settings, _csv_columns(manifest.emulation_domain))
    marker = manifest.id.encode()
    config = consumer_config(manifest, settings) | FETCH_FEW
    with reading_topic(topic), closing(Consumer(config)) as consumer:
        if error := consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic].error:
            raise KafkaException(error)
        for entry in manifest.partitions:
            for value in _values(consumer, topic, entry):
                # Others may have written in between.
                if marker in value and (record := decoder.record(value)).get(EMULATION_ID) == manifest.id:
                    yield record


def _values(consumer: Consumer, topic: str, entry: ManifestPartition) -> Iterator[bytes]:
    """Yield the values of a partition's messages within the range that the manifest states."""
    consumer.assign([TopicPartition(topic, entry.partition, entry.first_offset)])
    heard_at = time.monotonic()
    while True:
        message = consumer.poll(_POLL_TIMEOUT_S)
        if message is None:
            if time.monotonic() > heard_at + SILENCE_S:
                raise ReadBackError(f"topic {topic}: the broker sent nothing for {SILENCE_S:.0f} s")
            continue
        heard_at = time.monotonic()
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        read_to = (message.offset() or 0) + 1
        if error is not None or read_to > entry.next_offset:
            return
        yield message.value() or b""
        if read_to == entry.next_offset:
            return  # At the end of the topic the broker would take seconds to say so.


def _csv_columns(domain: str) -> list[str]:
    """Return the names of the columns of a domain's CSV, or of the envelope's if the domain is not known here."""
    known = all_domains().get(domain)
    if known is None:
        return [EMULATION_ID, TIMESTAMP]
    return csv.header(pa.RecordBatch.from_pylist([], schema=envelope_schema(known.schema))).strip().split(",")
