"""What is in buckets, topics and folders: how much, and what to read to see some of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import httpx
import obstore
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from data_emulator.domains import all_domains
from data_emulator.formats.catalog import FORMATS
from data_emulator.model import State
from data_emulator.settings import Settings
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.kafka.target import client_config
from data_emulator.verify.first_records import FETCH_FEW
from data_emulator.verify.messages import reading as reading_topic
from data_emulator.verify.objects import reading
from data_emulator.verify.readback import ReadBackError
from data_emulator.wire import EmulationPage, EmulationStatus, Manifest, ManifestObject, ManifestTotals

BRONZE_BUCKET = "bronze"
_METADATA_TIMEOUT_S = 10.0
_SERVICE_TIMEOUT_S = 10.0
_PAGE = 1000
_NO_BUCKET = "NoSuchBucket"


@dataclass
class Contents:
    """What is in a bucket, topic or folder.

    :param place: a URL or path, as people type it.
    :param parts: how many objects, files or partitions; `noun` says which.
    :param records: `None` if nobody knows.
    :param bytes: `None` if nobody knows.
    :param ids: the emulations whose data it is, as far as names tell.
    """

    place: str
    noun: str
    parts: int = 0
    records: int | None = None
    bytes: int | None = None
    ids: set[str] = field(default_factory=set)


def destinations() -> list[str]:
    """Return the names of all buckets and topics that emulations are written to."""
    return sorted({domain.destination for domain in all_domains().values()})


def contents_of(bucket: Bucket, place: str, noun: str) -> Contents | None:
    """Count what is in a bucket or folder; `None` if there is no such bucket. Nothing of its content is read.

    :raises ReadBackError: when it cannot be listed.
    """
    found = Contents(place, noun, bytes=0)
    try:
        with reading(bucket):
            for page in obstore.list(bucket.store):
                for meta in page:
                    found.parts += 1
                    found.bytes = (found.bytes or 0) + meta["size"]
                    found.ids.add(meta["path"].partition("/")[0])
    except ReadBackError as error:
        if _NO_BUCKET in str(error):
            return None
        raise
    return found


def add_records(found: Iterable[Contents], emulations: Mapping[str, EmulationStatus]) -> None:
    """Add the numbers of records where all that is there is of emulations that the service knows."""
    for each in found:
        if each.ids and each.ids <= emulations.keys():
            each.records = sum(emulations[one].progress.records for one in each.ids)


def contents_of_topics(settings: Settings) -> list[Contents]:
    """Count the messages in the topics that emulations are written to, by the offsets of their ends.

    Ends are what the broker says with the first message of a partition, since not every broker's ListOffsets tells them
    right. Where it writes in transactions, their markers are counted too.

    :raises ReadBackError: when the broker cannot be asked.
    """
    found: list[Contents] = []
    config = {
        **client_config(settings),
        "group.id": "data-emulator-ls",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        **FETCH_FEW,
    }
    with reading_topic("of the broker"), closing(Consumer(config)) as consumer:
        topics = consumer.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        for name in destinations():
            if name not in topics:
                continue
            partitions = list(topics[name].partitions)
            found.append(
                Contents(f"kafka://{name}", "partition", len(partitions), _messages(consumer, name, partitions))
            )
    return found


def _messages(consumer: Consumer, topic: str, partitions: list[int]) -> int | None:
    """Return how many messages the partitions hold; `None` if the broker does not tell of all in time."""
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    waited_for = set(partitions)
    while waited_for:
        message = consumer.poll(_METADATA_TIMEOUT_S)
        if message is None:
            return None
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        waited_for.discard(message.partition() or 0)
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, each), cached=True) for each in partitions]
    return sum(max(0, high - max(0, low)) for low, high in ends)


def emulations_of(settings: Settings) -> dict[str, EmulationStatus]:
    """Return the emulations that the service knows, by id, the newest first; none if it does not answer."""
    headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
    found: dict[str, EmulationStatus] = {}
    try:
        with httpx.Client(
            base_url=f"http://{settings.host}:{settings.port}", headers=headers, timeout=_SERVICE_TIMEOUT_S
        ) as service:
            while True:
                answer = service.get("/emulator/", params={"limit": _PAGE, "offset": len(found)}).raise_for_status()
                page = EmulationPage.model_validate_json(answer.content)
                found |= {each.id: each for each in page.emulations}
                if len(page.emulations) < _PAGE:
                    return found
    except (httpx.HTTPError, ValueError):
        return found


def newest(bucket: Bucket, name: str, prefix: str) -> Manifest:
    """Return what is needed to read the newest emulation under a prefix, or whatever else was written there last.

    :param prefix: of whole names, or one object's key; empty for all of the bucket.

    :raises ReadBackError: when there is nothing that can be read.
    """
    with reading(bucket):
        listed = [meta for page in obstore.list(bucket.store, prefix=prefix or None) for meta in page]
        if prefix and not listed:
            with suppress(FileNotFoundError):
                listed = [obstore.head(bucket.store, prefix)]
    readable = [meta for meta in listed if _format_of(meta["path"])]
    if not readable:
        raise ReadBackError(f"{bucket} has no records" + (f" under {prefix}" if prefix else ""))
    last = max(readable, key=lambda meta: meta["last_modified"])["path"]
    folder, format_type = PurePosixPath(last).parent, _format_of(last)
    objects = [
        ManifestObject(key=meta["path"], records=0, bytes=meta["size"], checksum="")
        for meta in sorted(readable, key=lambda meta: meta["path"])
        if PurePosixPath(meta["path"]).parent == folder and _format_of(meta["path"]) == format_type
    ]
    return Manifest(
        id=folder.name,
        emulation_domain="",
        emulator_sync="",
        format_type=str(format_type),
        state=State.COMPLETED,
        sink="file" if bucket.is_local else "s3",
        bucket=name,
        topic=None,
        objects=objects,
        partitions=[],
        totals=ManifestTotals(records=0, bytes=0, objects=len(objects), partitions=0),
    )


def _format_of(key: str) -> str | None:
    for name, each in FORMATS.items():
        if key.endswith(tuple(f".{extension}" for extension in each.extensions.values())):
            return name
    return None


def first_values(topic: str, settings: Settings, count: int) -> Iterator[bytes]:
    """Yield the values of the first committed messages of a topic, of whichever emulations.

    :raises ReadBackError: when it cannot be read.
    """
    config = {
        **client_config(settings),
        "group.id": "data-emulator-show",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
    with reading_topic(topic), closing(Consumer(config)) as consumer:
        metadata = consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            raise ReadBackError(f"topic {topic} cannot be read: {metadata.error.str()}")
        for partition in metadata.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_METADATA_TIMEOUT_S)
            if low == high:
                continue
            consumer.assign([TopicPartition(topic, partition, low)])
            while count > 0:
                message = consumer.poll(_METADATA_TIMEOUT_S)
                error = None if message is None else message.error()
                if message is None or (error is not None and error.code() == KafkaError._PARTITION_EOF):
                    break
                count -= 1
                yield message.value() or b""


def folders(root: Path) -> list[Path]:
    """Return the folders in a root that emulations have been written to."""
    return [root / name for name in destinations() if (root / name).is_dir()]
