"""Ingesting partitions of the real broker: what is as its manifest says, and what is not."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from include.bronze import partitions
from include.bronze.ingest import ingest
from include.exceptions import StorageUnavailableError
from include.wire.manifest import Manifest, ManifestPartition
from tests.support.bronze import BRONZE, keys_of, made, record, refused, table
from tests.support.slow_broker import SlowBroker

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("bronze_connections")]


@pytest.fixture
def topic(kafka_broker: Tansu) -> str:
    """A topic of three partitions, the first two of which another emulation has written 25 records each to."""
    name = create_topic(kafka_broker)
    produce(kafka_broker, name, [(number % 2, record("another")) for number in range(50)])
    return name


def create_topic(broker: Tansu) -> str:
    name = f"bronze-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    return name


def produce(broker: Tansu, topic: str, values: list[tuple[int, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
    for partition, value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


@pytest.fixture
def produced(kafka_broker: Tansu, topic: str) -> Manifest:
    """100 records in each of two partitions, every second one another emulation's, and more of others behind."""
    emulation_id = str(uuid.uuid4())
    own = record(emulation_id)
    other = record(str(uuid.uuid4())).replace(b'"n": 1', f'"about": "{emulation_id}"'.encode())
    produce(kafka_broker, topic, [(partition, value) for value in (own, other) * 100 for partition in (0, 1)])
    return partitions_manifest(
        emulation_id, topic, [ManifestPartition(partition, 25, 224, 100, 100 * len(own)) for partition in (0, 1)]
    )


def partitions_manifest(emulation_id: str, topic: str, parts: list[ManifestPartition]) -> Manifest:
    return Manifest(
        emulation_id=emulation_id,
        emulation_domain="transaction",
        format_type="json",
        sink="kafka",
        bucket=None,
        topic=topic,
        objects=(),
        partitions=tuple(parts),
        records=sum(each.records for each in parts),
        bytes=sum(each.bytes for each in parts),
        state="completed",
    )


def with_first(manifest: Manifest, **changes: Any) -> Manifest:
    """The manifest with its first partition changed, and its totals accordingly."""
    parts = (replace(manifest.partitions[0], **changes), *manifest.partitions[1:])
    return replace(manifest, partitions=parts, records=sum(p.records for p in parts), bytes=sum(p.bytes for p in parts))


def test_only_its_own_records_between_its_own_offsets(
    produced: Manifest, s3_store: SeaweedFS, kafka_broker: Tansu, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of its own behind the manifest's last offset: not in the manifest, so not in bronze.
    produce(kafka_broker, produced.topic or "", [(0, record(produced.emulation_id))])
    receipt = made(monkeypatch, produced)
    assert ingest(receipt, BRONZE)["rows"] == 200
    rows = table(s3_store, receipt).to_pylist()
    for partition in (0, 1):
        of_partition = [row for row in rows if row["source"] == f"kafka://{produced.topic}/{partition}"]
        assert [row["position"] for row in of_partition] == list(range(25, 224, 2))
    assert {row["record"] for row in rows} == {record(produced.emulation_id).decode()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"records": 101}, "100 records, {size} bytes between offsets 25 and 224, the manifest says 101 records"),
        ({"bytes": 1}, "100 records, {size} bytes between offsets 25 and 224, the manifest says 100 records, 1 bytes"),
        ({"next_offset": 223, "records": 100}, "99 records"),
        ({"first_offset": 26}, "99 records"),
    ],
    ids=["a record short", "other bytes", "ends early", "begins late"],
)
def test_a_partition_that_is_not_as_stated(
    changes: dict[str, int], message: str, produced: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = f"{produced.partitions[0].bytes:,}"
    text = refused(made(monkeypatch, with_first(produced, **changes)), s3_store)
    assert text.startswith(f"kafka://{produced.topic}/0: {message.format(size=size)}")


def test_a_partition_that_ends_before_what_is_stated(
    produced: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_SILENCE_S", 2.0)
    text = refused(made(monkeypatch, with_first(produced, next_offset=300, records=138)), s3_store)
    assert text == (
        f"kafka://{produced.topic}/0: it ends at offset 225, the manifest says 300; 100 records found of 138"
    )


def test_a_partition_or_topic_that_is_not_there(
    produced: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = refused(made(monkeypatch, with_first(produced, partition=7)), s3_store)
    assert text == f"kafka://{produced.topic}/7: there is no such topic or partition, the manifest says 100 records"
    gone = replace(produced, topic=f"no-such-{uuid.uuid4()}")
    assert "there is no such topic or partition" in refused(made(monkeypatch, gone), s3_store)


def test_a_broker_that_is_away_is_tried_again(
    produced: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_METADATA_TIMEOUT_S", 1.0)
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATA_EMULATOR_KAFKA",
        json.dumps({"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:9"}}),
    )
    receipt = made(monkeypatch, produced)
    with pytest.raises(StorageUnavailableError, match="'data_emulator_kafka': no broker answered") as caught:
        ingest(receipt, BRONZE)
    assert not isinstance(caught.value, AirflowFailException)
    assert keys_of(s3_store, receipt) == []


def test_a_broker_that_takes_long_to_find_records_does_not_starve_the_reader(
    slow_broker: SlowBroker, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers with nothing when a fetch may not wait for as long as that takes, and so on without end."""
    emulation_id, topic = str(uuid.uuid4()), create_topic(slow_broker)
    value = record(emulation_id)
    produce(slow_broker, topic, [(partition, value) for partition in (0, 1)] * 20)
    parts = [ManifestPartition(partition, 0, 20, 20, 20 * len(value)) for partition in (0, 1)]
    extra = {"bootstrap.servers": slow_broker.bootstrap_servers}
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_KAFKA", json.dumps({"conn_type": "kafka", "extra": extra}))
    receipt = made(monkeypatch, partitions_manifest(emulation_id, topic, parts))
    with slow_broker.being_slow():
        assert ingest(receipt, BRONZE)["rows"] == 40


def test_a_broker_that_sends_nothing_is_tried_again(
    slow_broker: SlowBroker, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulation_id, topic = str(uuid.uuid4()), create_topic(slow_broker)
    value = record(emulation_id)
    produce(slow_broker, topic, [(0, value)])
    extra = {"bootstrap.servers": slow_broker.bootstrap_servers, "fetch.wait.max.ms": 50}
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_KAFKA", json.dumps({"conn_type": "kafka", "extra": extra}))
    monkeypatch.setattr(partitions, "_SILENCE_S", 3.0)
    manifest = partitions_manifest(emulation_id, topic, [ManifestPartition(0, 0, 1, 1, len(value))])
    receipt = made(monkeypatch, manifest)
    with slow_broker.being_slow(), pytest.raises(StorageUnavailableError) as caught:
        ingest(receipt, BRONZE)
    assert str(caught.value) == (
        f"kafka://{topic}/0: the broker sent nothing for 3 s at offset 0 of 1; if it needs longer to find records, "
        "raise fetch.wait.max.ms (50) in 'data_emulator_kafka'"
    )
    assert keys_of(s3_store, receipt) == []
