"""What is wrong about an interrupted emulation's data: records missing, twice, or not as its manifest says."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import fastavro
import obstore
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, TopicPartition

from benchmarks.interrupted_mix import Wanted
from benchmarks.servers import client_settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.verify.objects import count_objects
from data_emulator.wire import Manifest
from tests.support.apache_kafka import ApacheKafka


def wrong(
    wanted: Wanted, seen: int, status: dict[str, Any], manifest: dict[str, Any], store: SeaweedFS, broker: ApacheKafka
) -> Iterator[str]:
    """Yield what is wrong about an emulation that has ended: nothing if all is well.

    :param seen: the most records that its status has told of.
    """
    if status["status"]["global_status"] != "completed":
        yield f"is {status['status']['global_status']}: {status['error']}"
    total = manifest["totals"]["records"]
    if wanted.records is None and total < seen:
        yield f"the manifest has {total} records, and {seen} had been accepted"
    if wanted.records is not None and total != wanted.records:
        yield f"the manifest has {total} records, not {wanted.records}"
    is_one_object = wanted.body["emulator_sync"] == "minio" and wanted.body["sync_type"] == "grouped"
    if is_one_object and (objects := manifest["totals"]["objects"]) != 1:
        yield f"there are {objects} objects, not one"
    found: Counter[str] = Counter()
    if manifest["sink"] == "s3":
        yield from _wrong_in_store(manifest, store, broker, found)
    else:
        yield from _wrong_in_broker(manifest, broker, found)
    expected = wanted.ids(total if wanted.records is None else wanted.records)
    if missing := expected - found.keys():
        yield f"{len(missing)} records are missing"
    if strange := found.keys() - expected:
        yield f"{len(strange)} records should not be there"
    if twice := [each for each, times in found.items() if times > 1]:
        yield f"{len(twice)} records are there more than once"


def _ids_in(content: bytes, format_type: str) -> list[str]:
    """Return the own ids of an object's records."""
    if format_type == "parquet":
        data = pq.read_table(io.BytesIO(content), columns=["data"]).column("data")
        return [each for chunk in data.chunks for each in chunk.field(0).to_pylist()]
    if format_type == "avro":
        records: Any = fastavro.reader(io.BytesIO(content))
        return [next(iter(each["data"].values())) for each in records]
    lines = content.splitlines()[1 if format_type == "csv" else 0 :]
    return [_id_of(line, format_type) for line in lines]


def _id_of(line: bytes, format_type: str) -> str:
    """Return the record's own id: the first field of the data."""
    if format_type == "csv":
        return line.split(b",", 3)[2].strip(b'"').decode()
    first: str = next(iter(json.loads(line)["data"].values()))
    return first


def _wrong_in_store(
    manifest: dict[str, Any], store: SeaweedFS, broker: ApacheKafka, found: Counter[str]
) -> Iterator[str]:
    stated = Manifest.model_validate(manifest)
    yield from count_objects(stated, client_settings(store, broker)).problems
    client = store.bucket(manifest["bucket"])
    for page in obstore.list(client, prefix=manifest["id"] + "/"):
        for each in page:
            content = bytes(obstore.get(client, each["path"]).bytes())
            if each["path"].endswith(".gz"):
                content = gzip.decompress(content)
            found.update(_ids_in(content, manifest["format_type"]))


def _wrong_in_broker(manifest: dict[str, Any], broker: ApacheKafka, found: Counter[str]) -> Iterator[str]:
    topic = manifest["topic"]
    listed = {each["partition"]: each for each in manifest["partitions"]}
    for partition, offsets in _committed(broker, topic, manifest["id"], manifest["format_type"], found).items():
        seen = (offsets["first"], offsets["next"], offsets["records"], offsets["bytes"])
        names = ("first_offset", "next_offset", "records", "bytes")
        told = tuple(listed.get(partition, {}).get(name, 0) for name in names)
        if seen != told:
            yield f"partition {partition} holds {seen}, the manifest says {told}"


def _committed(
    broker: ApacheKafka, topic: str, emulation_id: str, format_type: str, found: Counter[str]
) -> dict[int, dict[str, int]]:
    """Read a topic as a reader of committed records, from the start to the end."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "count",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    totals: dict[int, dict[str, int]] = {}
    open_partitions = set(partitions)
    marker = emulation_id.encode()
    with contextlib.closing(consumer):
        while open_partitions:
            for message in consumer.consume(5000, timeout=1.0):
                error, partition, offset = message.error(), message.partition(), message.offset()
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise RuntimeError(error)
                    open_partitions.discard(partition or 0)
                    continue
                value = message.value()
                if value is None or partition is None or offset is None or marker not in value[:64]:
                    continue
                found[_id_of(value, format_type)] += 1
                total = totals.setdefault(partition, {"first": offset, "next": offset, "records": 0, "bytes": 0})
                total["next"] = offset + 1
                total["records"] += 1
                total["bytes"] += len(value)
    return totals
