"""Reading an emulation's messages back from the broker, and counting them."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from data_emulator.settings import Settings
from data_emulator.sinks.kafka.target import client_config
from data_emulator.verify.decoding import DamagedError, MessageDecoder
from data_emulator.verify.readback import Counted, ReadBackError
from data_emulator.wire import Manifest

SILENCE_S = 30.0
_METADATA_TIMEOUT_S = 10.0
_CONSUME_BATCH = 1000
_CONSUME_TIMEOUT_S = 0.2
#: How long the broker may take to find the next messages; librdkafka's default is 500. Tansu looks through the whole
#: log for them and answers with nothing when that takes longer, each time anew.
_FETCH_WAIT_MS = 5_000


@dataclass
class _Partition:
    """What was found in a partition; of the messages that are no records, where the first is, and what it is."""

    records: int = 0
    bytes: int = 0
    damaged: int = 0
    first_damaged: str = ""


def count_messages(manifest: Manifest, settings: Settings) -> Counted:
    """Read every partition of the emulation's topic from its start to its end, in any format that there is.

    Records of other emulations in the topic are passed over.

    :param settings: where the broker is and, for Avro, the schema registry.
    :raises ReadBackError: when either cannot be read. What is wrong with the data is in `Counted.problems`.
    """
    decoder = MessageDecoder(manifest.format_type, settings)
    marker = manifest.id.encode()
    found: dict[int, _Partition] = {}
    with closing(_messages(manifest, settings)) as messages:
        for message in messages:
            value = message.value() or b""
            if marker not in value:
                continue  # It is another's, and need not be decoded.
            here = found.setdefault(message.partition() or 0, _Partition())
            try:
                own = decoder.emulation_id(value) == manifest.id
            except DamagedError as error:
                here.first_damaged = here.first_damaged or f"offset {message.offset()}: {error}"
                here.damaged += 1
                continue
            here.records += own
            here.bytes += own * len(value)
    return _compared(found, manifest)


def _compared(found: dict[int, _Partition], manifest: Manifest) -> Counted:
    counted = Counted(
        places=sum(here.records > 0 for here in found.values()),
        records=sum(here.records for here in found.values()),
        bytes=sum(here.bytes for here in found.values()),
    )
    stated = {entry.partition: (entry.records, entry.bytes) for entry in manifest.partitions}
    for partition in sorted(found.keys() | stated.keys()):
        here = found.get(partition, _Partition())
        if here.damaged:
            counted.problems.append(
                f"partition {partition}: {here.damaged:,} messages with this emulation's id are no "
                f"{manifest.format_type} records; {here.first_damaged}"
            )
        records, size = stated.get(partition, (0, 0))
        if (here.records, here.bytes) != (records, size):
            counted.problems.append(
                f"partition {partition} has {here.records:,} records, {here.bytes:,} bytes; the manifest says "
                f"{records:,} records, {size:,} bytes"
            )
    return counted


def _messages(manifest: Manifest, settings: Settings) -> Generator[Message]:
    """Yield all messages of the topic. Raises ReadBackError.

    The end is where the last fetch said that it is, since not every broker's ListOffsets tells it right; or, behind a
    transaction, where librdkafka says that it has been reached. For that the broker lets it wait.
    """
    topic = manifest.topic or ""
    with reading(topic), closing(Consumer(consumer_config(manifest, settings))) as consumer:
        partitions = list(consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        unfinished, read_to = set(partitions), dict.fromkeys(partitions, 0)
        heard_at = time.monotonic()
        while unfinished:
            # It waits out its timeout unless the batch gets full, and the last one does not.
            messages = consumer.consume(_CONSUME_BATCH, timeout=_CONSUME_TIMEOUT_S)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() > heard_at + SILENCE_S:
                raise ReadBackError(f"topic {topic}: the broker sent nothing for {SILENCE_S:.0f} s")
            for message in messages:
                error = message.error()
                if error is None:
                    read_to[message.partition() or 0] = (message.offset() or 0) + 1
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition() or 0)  # Only a message that was not sent yet has None.
                else:
                    raise KafkaException(error)
            unfinished -= {each for each in unfinished if read_to[each] == _end(consumer, topic, each)}


def consumer_config(manifest: Manifest, settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties for reading what lies in a topic, committed only, and being told where it ends."""
    return {
        **client_config(settings),
        "group.id": f"receipt-{manifest.id}",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "session.timeout.ms": 6000,
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
    }


@contextmanager
def reading(topic: str) -> Iterator[None]:
    """Raise what the broker's client raises as ReadBackError."""
    try:
        yield
    except KafkaException as error:
        raise ReadBackError(f"topic {topic} cannot be read: {error.args[0].str()}") from error


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """Return where the partition ended when it was last fetched; negative if it has not been yet."""
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
    return int(end)
