"""Kill the service at random moments, and count what is in the store and the broker in the end.

A mix of emulations goes to Apache Kafka, in transactions, and to S3, in several formats. Meanwhile the whole service,
or one of its workers, is killed with SIGKILL again and again, and started again. In the end every emulation must be
completed, every record that it should have made be there once, and every manifest agree with what is there, to the byte
and the offset.

Run it as ``python -m benchmarks.kills [--kills 20] [--seed N]``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fastavro
import httpx
import numpy as np
import obstore
import psutil
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, TopicPartition

from benchmarks.servers import client_settings, running_servers
from data_emulator.domains import all_domains
from data_emulator.domains.world import world
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.verify.objects import count_objects
from data_emulator.wire import Manifest
from tests.support.apache_kafka import ApacheKafka

WORLD_USERS = 10_000
ENDS_WITHIN_S = 300


@dataclass(frozen=True)
class Wanted:
    """An emulation of the mix, with a seed, so that it is known which records it has to make."""

    body: dict[str, Any]

    @property
    def records(self) -> int:
        """How many records there must be in the end."""
        return int(self.body.get("max_records") or self.body["rate"] * self.body["timeout"])

    def ids(self) -> set[str]:
        """Return the ids of these records: the first column of the domain."""
        domain = all_domains()[self.body["emulation_domain"]]
        seed = self.body["seed"]
        index = np.arange(self.records)
        return set(domain(world(seed, WORLD_USERS), seed).records(index, index).column(0).to_pylist())


def the_mix(duration_s: int) -> list[Wanted]:
    """Return emulations of every sync type, paced and as fast as it goes, to both sinks."""
    mix = [
        ("kafka", "transaction", "json", "grouped", 1024, {"rate": 3000}),
        ("kafka", "device-log", "csv", "grouped", 1024, {"rate": 500}),
        ("kafka", "transaction", "json", "grouped", 1024, {"rate": None, "max_records": 400_000}),
        ("minio", "user-profile", "json", "grouped", 1024, {"rate": 2000}),
        ("minio", "transaction", "csv", "chunked", 65_536, {"rate": 2000}),
        ("minio", "device-log", "json", "single", 1, {"rate": 20}),
        ("minio", "transaction", "json", "chunked", 20_000_000, {"rate": None, "max_records": 400_000}),
        ("minio", "user-profile", "parquet", "chunked", 200_000, {"rate": 1000}),
        ("minio", "device-log", "avro", "chunked", 100_000, {"rate": 1000}),
    ]
    return [
        Wanted(
            {
                "emulator_sync": sink,
                "emulation_domain": domain,
                "format_type": form,
                "sync_type": sync,
                "max_chunk_size": chunk,
                # What is bounded by records has time enough: it must not end early for lack of it.
                "timeout": 600 if "max_records" in more else duration_s,
                "seed": seed,
                **more,
            }
        )
        for seed, (sink, domain, form, sync, chunk, more) in enumerate(mix)
    ]


def kill_and_count(
    kills: int, *, service: Service, store: SeaweedFS, broker: ApacheKafka, seed: int
) -> Iterator[tuple[Wanted, list[str]]]:
    """Run the mix through so many kills; give each emulation with what is wrong about it, nothing if all is well."""
    chance = random.Random(seed)
    mix = the_mix(duration_s=max(8, 2 * kills))
    with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as client:
        ids = [client.post("/emulator/", json=each.body).raise_for_status().json()["id"] for each in mix]
        for number in range(1, kills + 1):
            time.sleep(chance.uniform(0.2, 3.0))
            whom = _kill(service, chance)
            statuses = client.post("/emulator/status", json={"ids": ids}).json()["emulations"]
            states = Counter(each["status"]["global_status"] for each in statuses)
            print(f"kill {number} of {kills}: {whom}; then {dict(states)}", file=sys.stderr, flush=True)
        for wanted, emulation_id in zip(mix, ids, strict=True):
            status = _ended(client, emulation_id)
            manifest = client.get(f"/emulator/{emulation_id}/manifest").json()
            yield wanted, list(_wrong(wanted, status, manifest, store, broker))


def _kill(service: Service, chance: random.Random) -> str:
    """Kill the whole service, its first process alone, or one of its workers; return which."""
    main = psutil.Process(service.pid)
    workers = [child for child in main.children() if "spawn_main" in " ".join(child.cmdline())]
    choice = chance.choice(["service", "front", "worker"])
    if choice == "worker" and workers:
        os.kill(chance.choice(workers).pid, signal.SIGKILL)
        return "a worker"
    if choice == "front":
        os.kill(main.pid, signal.SIGKILL)
    service.kill()
    service.start()
    return "the whole service" if choice == "service" else "the first process"


def _ended(client: httpx.Client, emulation_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while True:
        status: dict[str, Any] = client.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=20"}).json()
        if status["status"]["global_status"] not in ("queued", "processing") or time.monotonic() > deadline:
            return status


def _wrong(
    wanted: Wanted, status: dict[str, Any], manifest: dict[str, Any], store: SeaweedFS, broker: ApacheKafka
) -> Iterator[str]:
    if status["status"]["global_status"] != "completed":
        yield f"is {status['status']['global_status']}: {status['error']}"
    if manifest["totals"]["records"] != wanted.records:
        yield f"the manifest has {manifest['totals']['records']} records, not {wanted.records}"
    found: Counter[str] = Counter()
    if manifest["sink"] == "s3":
        yield from _wrong_in_store(manifest, store, broker, found)
    else:
        yield from _wrong_in_broker(manifest, broker, found)
    expected = wanted.ids()
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
        return [next(iter(each.values())) for each in data.to_pylist()]
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
            found.update(_ids_in(bytes(obstore.get(client, each["path"]).bytes()), manifest["format_type"]))


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
                if message.error():
                    if message.error().code() != KafkaError._PARTITION_EOF:
                        raise RuntimeError(message.error())
                    open_partitions.discard(message.partition())
                    continue
                value = message.value()
                if marker not in value[:64]:
                    continue
                found[_id_of(value, format_type)] += 1
                offset = message.offset()
                total = totals.setdefault(
                    message.partition(), {"first": offset, "next": offset, "records": 0, "bytes": 0}
                )
                total["next"] = offset + 1
                total["records"] += 1
                total["bytes"] += len(value)
    return totals


def main() -> int:
    """Run it on servers of its own, print what was found, and return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    wrong = 0
    with running_servers() as (store, broker, service):
        for wanted, complaints in kill_and_count(
            arguments.kills, service=service, store=store, broker=broker, seed=arguments.seed
        ):
            body = wanted.body
            name = f"{body['emulation_domain']} to {body['emulator_sync']} ({body['sync_type']}, {body['format_type']})"
            print(
                f"{name}: {wanted.records} records: {'; '.join(complaints) or 'all there, once, as the manifest says'}"
            )
            wrong += len(complaints)
    print(json.dumps({"kills": arguments.kills, "seed": arguments.seed, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
