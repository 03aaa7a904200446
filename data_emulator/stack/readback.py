"""Reading an emulation's data back from the store or the broker, and counting it."""

import csv
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import obstore
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from obstore.exceptions import BaseError
from obstore.store import S3Store

from data_emulator.settings import Settings
from data_emulator.sinks.kafka import client_config
from data_emulator.sinks.s3 import open_bucket, reason
from data_emulator.stack.processes import StackError
from data_emulator.wire import Manifest, ManifestObject

_REQUEST_TIMEOUT = timedelta(seconds=60)
_CHUNK_BYTES = 1 << 20
_SILENCE_S = 30.0
_METADATA_TIMEOUT_S = 10.0
_CONSUME_BATCH = 1000
_CONSUME_TIMEOUT_S = 0.2


class ReadBackError(StackError):
    """The service, the store or the broker could not be read, so that nothing can be said of an emulation."""


@dataclass
class Counted:
    """What was found: `places` is the number of objects, or of partitions with at least one of the records.

    `problems` says where the data is not what the manifest says, one sentence each.
    """

    places: int = 0
    records: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


def count_objects(manifest: Manifest, settings: Settings) -> Counted:
    """Read every object under the emulation's prefix. Raises ReadBackError.

    Objects stream through in chunks of 1 MiB; one record is held at a time.
    """
    store = open_bucket(settings, manifest.bucket or "", _REQUEST_TIMEOUT)
    stated = {entry.key: entry for entry in manifest.objects}
    counted = Counted()
    try:
        for page in obstore.list(store, prefix=f"{manifest.id}/"):
            for meta in page:
                _count_object(store, meta["path"], stated.pop(meta["path"], None), manifest, counted)
    except (BaseError, OSError) as error:
        raise ReadBackError(f"bucket {manifest.bucket} cannot be read: {reason(error)}") from error
    counted.problems += [f"object {key} of the manifest is not in the bucket" for key in stated]
    return counted


def _count_object(
    store: S3Store, key: str, stated: ManifestObject | None, manifest: Manifest, counted: Counted
) -> None:
    content = _ObjectReader(store, key)
    records = strangers = 0
    for emulation_id in _emulation_ids(content.lines(), manifest.format_type):
        records += 1
        strangers += emulation_id != manifest.id
    counted.places += 1
    counted.records += records
    counted.bytes += content.bytes
    if strangers:
        counted.problems.append(f"object {key}: {strangers:,} are not {manifest.format_type} records of this emulation")
    if stated is None:
        counted.problems.append(f"object {key} is in the bucket and not in the manifest")
    elif (records, content.bytes, content.checksum) != (stated.records, stated.bytes, stated.checksum):
        counted.problems.append(
            f"object {key} has {records:,} records, {content.bytes:,} bytes, {content.checksum}; the manifest says "
            f"{stated.records:,} records, {stated.bytes:,} bytes, {stated.checksum}"
        )


class _ObjectReader:
    """Reads an object once, in chunks, counting its bytes and computing its checksum on the way."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._chunks = iter(obstore.get(store, key).stream(min_chunk_size=_CHUNK_BYTES))
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def checksum(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def _next_chunk(self) -> bytes | None:
        chunk = next(self._chunks, None)
        if chunk is None:
            return None
        content = bytes(chunk)
        self._digest.update(content)
        self.bytes += len(content)
        return content

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends, decoded; what is no UTF-8 is replaced, and so is no record any more."""
        rest = b""
        while (chunk := self._next_chunk()) is not None:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace") + "\n"
        if rest:
            yield rest.decode(errors="replace")


def _emulation_ids(lines: Iterator[str], format_type: str) -> Iterator[str | None]:
    """Yield, for each record of an object, the emulation it says it belongs to; None for what is not a record."""
    if format_type == "csv":
        header: list[str] | None = None
        for row in csv.reader(lines):
            if header is None:
                header = row
            elif len(row) == len(header):
                yield dict(zip(header, row, strict=True)).get("emulation_id")
            else:
                yield None
    else:
        for line in lines:
            yield _json_emulation_id(line)


def _json_emulation_id(text: str | bytes) -> str | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record.get("emulation_id") if isinstance(record, dict) else None


def count_messages(manifest: Manifest, settings: Settings) -> Counted:
    """Read every partition of the emulation's topic from its start to its end. Raises ReadBackError.

    Records of other emulations in the topic are passed over. The end is where the broker says that a fetch has reached
    it, since not every broker's ListOffsets tells it right.
    """
    topic = manifest.topic or ""
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"receipt-{manifest.id}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "fetch.wait.max.ms": 50,
        }
    )
    found: dict[int, Counted] = {}
    try:
        partitions = list(consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        unfinished = set(partitions)
        heard_at = time.monotonic()
        while unfinished:
            # It waits out its timeout unless the batch gets full, and the last one does not.
            messages = consumer.consume(_CONSUME_BATCH, timeout=_CONSUME_TIMEOUT_S)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() > heard_at + _SILENCE_S:
                raise ReadBackError(f"topic {topic}: the broker sent nothing for {_SILENCE_S:.0f} s")
            for message in messages:
                error = message.error()
                partition = message.partition() or 0  # Only a message that was not sent yet has None.
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(partition)
                elif error is not None:
                    raise KafkaException(error)
                else:
                    value = message.value() or b""
                    if _message_emulation_id(value, manifest) == manifest.id:
                        of_partition = found.setdefault(partition, Counted())
                        of_partition.records += 1
                        of_partition.bytes += len(value)
    except KafkaException as error:
        raise ReadBackError(f"topic {topic} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
    counted = Counted(
        places=len(found),
        records=sum(of_partition.records for of_partition in found.values()),
        bytes=sum(of_partition.bytes for of_partition in found.values()),
    )
    stated = {entry.partition: (entry.records, entry.bytes) for entry in manifest.partitions}
    for partition in sorted(found.keys() | stated.keys()):
        here = found.get(partition, Counted())
        records, size = stated.get(partition, (0, 0))
        if (here.records, here.bytes) != (records, size):
            counted.problems.append(
                f"partition {partition} has {here.records:,} records, {here.bytes:,} bytes; the manifest says "
                f"{records:,} records, {size:,} bytes"
            )
    return counted


def _message_emulation_id(value: bytes, manifest: Manifest) -> str | None:
    """Return the emulation that a message says it belongs to; messages of others are not parsed."""
    if manifest.id.encode() not in value:
        return None
    if manifest.format_type == "csv":
        return next(csv.reader([value.decode(errors="replace")]), [None])[0]
    return _json_emulation_id(value)
