"""Ingesting into bronze, from the real store and broker: what is as stated, and what was tampered with."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import httpx
import obstore
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.tansu import Tansu
from include.bronze import ingest as ingest_module
from include.bronze import partitions
from include.bronze.ingest import ingest, is_ingested, table_key
from include.exceptions import (
    DataEmulatorConfigError,
    EmulationDataError,
    ReceiptError,
    StorageUnavailableError,
)
from include.hooks.data_emulator import DataEmulatorHook
from include.receipt import Receipt
from include.wire.manifest import Manifest, ManifestObject, ManifestPartition

pytestmark = pytest.mark.integration

SOURCES = "bronze-sources"
BRONZE = "bronze-tables"


@pytest.fixture(autouse=True)
def connections(s3_store: SeaweedFS, kafka_broker: Tansu, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = {
        "conn_type": "aws",
        "login": s3_store.access_key_id,
        "password": s3_store.secret_access_key,
        "extra": {"endpoint_url": s3_store.endpoint, "region_name": s3_store.region},
    }
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": kafka_broker.bootstrap_servers}}
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_S3", json.dumps(s3))
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_KAFKA", json.dumps(kafka))


def table(store: SeaweedFS, receipt: Receipt) -> Any:
    content = bytes(obstore.get(store.bucket(BRONZE), table_key(receipt)).bytes())
    return pq.read_table(BytesIO(content))


def keys_of(store: SeaweedFS, receipt: Receipt) -> list[str]:
    """Whatever lies in bronze of this emulation."""
    prefix = f"{receipt.domain}/emulation_id={receipt.id}"
    return [each["path"] for page in obstore.list(store.bucket(BRONZE), prefix=prefix) for each in page]


# What the service writes.

WRITTEN = [
    *(("minio", "json", each) for each in ("none", "gzip", "zstd")),
    *(("minio", "csv", each) for each in ("none", "gzip", "zstd")),
    *(("minio", "parquet", each) for each in ("snappy", "none", "gzip", "zstd")),
    ("kafka", "json", None),
    ("kafka", "csv", None),
    ("minio", "avro", "deflate"),
]


@pytest.fixture(scope="module")
def emulations(service: Service) -> dict[tuple[str, str, str | None], str]:
    """Completed emulations of 300 transactions each, those to S3 in several objects, by how they were written."""
    started = {}
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as http:
        for sink, format_type, compression in WRITTEN:
            body = {
                "emulator_sync": sink,
                "emulation_domain": "transaction",
                "format_type": format_type,
                "sync_type": "chunked",
                "max_chunk_size": 6_000 if format_type == "parquet" else 50_000,
                "timeout": 30,
                "rate": None,
                "max_records": 300,
                "compression": compression,
            }
            answer = http.post("/emulator/", json=body)
            assert answer.status_code == 201, answer.text
            started[sink, format_type, compression] = answer.json()["id"]
        for emulation_id in started.values():
            status = http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=60"}).json()
            assert status["status"]["global_status"] == "completed", status
    return started


@pytest.fixture
def hook(service: Service, monkeypatch: pytest.MonkeyPatch) -> DataEmulatorHook:
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", json.dumps(connection_to(service.url)))
    return DataEmulatorHook()


def connection_to(url: str) -> dict[str, Any]:
    parts = httpx.URL(url)
    return {"conn_type": "data_emulator", "schema": "http", "host": parts.host, "port": parts.port}


@pytest.mark.parametrize("written", WRITTEN[:-1], ids=str)
def test_all_that_the_service_writes_is_read_as_it_came(
    written: tuple[str, str, str | None], emulations: Any, hook: DataEmulatorHook, s3_store: SeaweedFS
) -> None:
    manifest = hook.get_manifest(emulations[written])
    receipt = Receipt.of_manifest(manifest)
    assert not is_ingested(receipt, BRONZE)

    result = ingest(receipt, BRONZE)

    assert result["rows"] == manifest.records == 300
    assert is_ingested(receipt, BRONZE)
    found = table(s3_store, receipt)
    rows = found.to_pylist()
    assert {row["emulation_id"] for row in rows} == {receipt.id}
    places = {(row["source"], row["position"]) for row in rows}
    assert len(places) == 300
    by_source = {source: sorted(at for where, at in places if where == source) for source, _ in places}
    if manifest.sink == "s3":
        stated = {f"s3://{manifest.bucket}/{each.key}": list(range(each.records)) for each in manifest.objects}
        assert by_source == stated
        assert len(stated) > 1
    else:
        assert by_source.keys() == {f"kafka://{manifest.topic}/{each.partition}" for each in manifest.partitions}
        for each in manifest.partitions:
            offsets = by_source[f"kafka://{manifest.topic}/{each.partition}"]
            assert (offsets[0], offsets[-1] + 1) == (each.first_offset, each.next_offset)
    format_type, sink = written[1], manifest.sink
    if format_type == "parquet":
        assert {"data", "timestamp"} <= rows[0].keys()
        assert "record" not in rows[0]
        assert len({row["data"]["transaction_id"] for row in rows}) == 300
    elif format_type == "json":
        assert {json.loads(row["record"])["emulation_id"] for row in rows} == {receipt.id}
        assert {row["header"] for row in rows} == {None}
    else:
        assert all(row["record"].startswith(f'"{receipt.id}",') for row in rows)
        assert {(row["header"] or "")[:12] for row in rows} == {"emulation_id" if sink == "s3" else ""}


def test_again_is_as_good_as_once(emulations: Any, hook: DataEmulatorHook, s3_store: SeaweedFS) -> None:
    receipt = Receipt.of_manifest(hook.get_manifest(emulations["kafka", "json", None]))
    ingest(receipt, BRONZE)
    first = table(s3_store, receipt).drop_columns("ingested_at")
    ingest(receipt, BRONZE)
    assert keys_of(s3_store, receipt) == [table_key(receipt)]
    again = table(s3_store, receipt).drop_columns("ingested_at")
    order = [("source", "ascending"), ("position", "ascending")]
    assert again.sort_by(order).equals(first.sort_by(order))


def test_avro_is_refused_clearly(emulations: Any, hook: DataEmulatorHook) -> None:
    receipt = Receipt.of_manifest(hook.get_manifest(emulations["minio", "avro", "deflate"]))
    with pytest.raises(DataEmulatorConfigError, match="is avro in s3, which cannot be ingested; what can is json, csv"):
        ingest(receipt, BRONZE)


# What was tampered with. The manifests are made here, and are right until a test changes something.


def made(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> Receipt:
    """Let the service have this manifest, and return the receipt."""
    monkeypatch.setattr(ingest_module.DataEmulatorHook, "get_manifest", lambda self, emulation_id: manifest)
    return Receipt.of_manifest(manifest)


def record(emulation_id: str, number: int = 1) -> bytes:
    return json.dumps({"emulation_id": emulation_id, "timestamp": 1.5, "data": {"n": number}}).encode()


def stated_object(key: str, content: bytes, records: int) -> ManifestObject:
    return ManifestObject(key, records, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")


def objects_manifest(emulation_id: str, objects: list[ManifestObject], **more: Any) -> Manifest:
    return Manifest(
        **{
            "emulation_id": emulation_id,
            "emulation_domain": "transaction",
            "format_type": "json",
            "sink": "s3",
            "bucket": SOURCES,
            "topic": None,
            "objects": tuple(objects),
            "partitions": (),
            "records": sum(each.records for each in objects),
            "bytes": sum(each.bytes for each in objects),
            "state": "completed",
            **more,
        }
    )


@pytest.fixture
def stored(s3_store: SeaweedFS) -> Manifest:
    """Two objects of 1,000 and 10 records."""
    emulation_id = str(uuid.uuid4())
    objects = []
    for part, count in enumerate((1000, 10)):
        content = b"".join(record(emulation_id, number) + b"\n" for number in range(count))
        key = f"{emulation_id}/part-{part}.json"
        obstore.put(s3_store.bucket(SOURCES), key, content)
        objects.append(stated_object(key, content, count))
    return objects_manifest(emulation_id, objects)


def refused(receipt: Receipt, store: SeaweedFS, kind: type[Exception] = EmulationDataError) -> str:
    """The message with which it is refused, for good, and leaves nothing in bronze."""
    with pytest.raises(kind) as caught:
        ingest(receipt, BRONZE)
    assert isinstance(caught.value, AirflowFailException)
    assert keys_of(store, receipt) == []
    return str(caught.value)


def test_what_was_made_here_is_right_until_it_is_changed(
    stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = made(monkeypatch, stored)
    assert ingest(receipt, BRONZE)["rows"] == 1010
    assert [row["position"] for row in table(s3_store, receipt).to_pylist()] == [*range(1000), *range(10)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.replace(b"1.5", b"2.5", 1), "checksum sha256:"),
        (lambda content: content[:-20], "bytes 910"),
        (lambda content: content + content, "bytes 1,860"),
    ],
    ids=["a changed byte", "truncated", "doubled"],
)
def test_an_object_with_other_content(
    change: Callable[[bytes], bytes],
    message: str,
    stored: Manifest,
    s3_store: SeaweedFS,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket, key = s3_store.bucket(SOURCES), stored.objects[1].key
    obstore.put(bucket, key, change(bytes(obstore.get(bucket, key).bytes())))
    text = refused(made(monkeypatch, stored), s3_store)
    assert text.startswith(f"s3://{SOURCES}/{key}: {message}")
    assert (
        f"the manifest says {stored.objects[1].checksum if 'checksum' in message else stored.objects[1].bytes}" in text
    )


def test_a_missing_object(stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    key = stored.objects[1].key
    obstore.delete(s3_store.bucket(SOURCES), key)
    assert refused(made(monkeypatch, stored), s3_store) == (
        f"s3://{SOURCES}/{key}: the object is not there; the manifest says 10 records, {stored.objects[1].bytes} bytes"
    )


def test_an_object_with_fewer_records_than_stated(
    stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(stored, objects=(stored.objects[0], replace(stored.objects[1], records=11)), records=1011)
    text = refused(made(monkeypatch, short), s3_store)
    assert text == f"s3://{SOURCES}/{stored.objects[1].key}: records 10, the manifest says 11"


@pytest.mark.parametrize("stranger", [record("another"), b"no json", b"\xff\xfe"], ids=["another's", "none", "no text"])
def test_an_object_with_a_record_that_is_none_of_it(
    stranger: bytes, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulation_id = str(uuid.uuid4())
    content = record(emulation_id) + b"\n" + stranger + b"\n"
    key = f"{emulation_id}/part-0.json"
    obstore.put(s3_store.bucket(SOURCES), key, content)
    manifest = objects_manifest(emulation_id, [stated_object(key, content, 2)])
    text = refused(made(monkeypatch, manifest), s3_store)
    assert text.startswith(f"s3://{SOURCES}/{key}: ")
    assert "record 1 is no json record" in text or "UnicodeDecodeError" in text


@pytest.mark.parametrize("ending", ["json.gz", "json.zst", "parquet"])
def test_an_object_that_cannot_be_decompressed(
    ending: str, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulation_id = str(uuid.uuid4())
    key, content = f"{emulation_id}/part-0.{ending}", record(emulation_id) * 10
    obstore.put(s3_store.bucket(SOURCES), key, content)
    format_type = "parquet" if ending == "parquet" else "json"
    manifest = objects_manifest(emulation_id, [stated_object(key, content, 10)], format_type=format_type)
    assert f"s3://{SOURCES}/{key}: it cannot be " in refused(made(monkeypatch, manifest), s3_store)
    obstore.put(s3_store.bucket(SOURCES), key, content[:-1] + b"!")
    assert "checksum sha256:" in refused(made(monkeypatch, manifest), s3_store)


def test_a_receipt_that_says_something_else(
    stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = replace(made(monkeypatch, stored), records=1011, domain="device-log")
    assert refused(receipt, s3_store, ReceiptError).endswith(
        "differ: domain is 'device-log', the manifest says 'transaction'; records is 1011, the manifest says 1010"
    )


def test_what_did_not_complete(stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(made(monkeypatch, replace(stored, state="failed")), s3_store)
    assert text == f"Emulation {stored.emulation_id} is failed, not completed"


def test_totals_that_are_not_the_sum(stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(made(monkeypatch, replace(stored, records=1009)), s3_store)
    assert "sum up to 1,010 records" in text
    assert "totals are 1,009 records" in text


def test_a_service_without_manifests(stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = replace(made(monkeypatch, stored), manifest=None)
    assert "has no manifest" in refused(receipt, s3_store, ReceiptError)


# Kafka.


@pytest.fixture
def topic(kafka_broker: Tansu) -> str:
    """A topic of three partitions, the first two of which another emulation has written 25 records each to."""
    name = f"bronze-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    produce(kafka_broker, name, [(number % 2, record("another")) for number in range(50)])
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
    parts = tuple(ManifestPartition(partition, 25, 224, 100, 100 * len(own)) for partition in (0, 1))
    return Manifest(
        emulation_id=emulation_id,
        emulation_domain="transaction",
        format_type="json",
        sink="kafka",
        bucket=None,
        topic=topic,
        objects=(),
        partitions=parts,
        records=200,
        bytes=200 * len(own),
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


# What passes.


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


def test_a_store_that_is_away_is_tried_again(
    stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = {"conn_type": "aws", "login": "key", "password": "a-secret"}
    nowhere = {**s3, "extra": {"endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_S3", json.dumps(nowhere))
    monkeypatch.setattr("include.bronze.store._RETRIES", {"max_retries": 1, "retry_timeout": timedelta(seconds=1)})
    receipt = made(monkeypatch, stored)
    with pytest.raises(StorageUnavailableError, match=r"Reading s3://bronze-sources/.* failed") as caught:
        ingest(receipt, BRONZE)
    assert not isinstance(caught.value, AirflowFailException)
    assert "a-secret" not in str(caught.value)
    assert keys_of(s3_store, receipt) == []


def test_a_store_that_refuses_the_key_pair_is_not_tried_again(
    stored: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = {"conn_type": "aws", "login": s3_store.access_key_id, "password": "a-wrong-secret"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATA_EMULATOR_S3", json.dumps({**s3, "extra": {"endpoint_url": s3_store.endpoint}})
    )
    text = refused(made(monkeypatch, stored), s3_store, DataEmulatorConfigError)
    assert text.startswith("Connection 'data_emulator_s3': reading s3://")
    assert "a-wrong-secret" not in text


def test_a_large_object_is_never_whole_in_memory(s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups bound what is held: more of them, and no more memory."""
    monkeypatch.setattr("include.bronze.table._ROW_GROUP_ROWS", 100)
    emulation_id = str(uuid.uuid4())
    content = b"".join(record(emulation_id, number) + b"\n" for number in range(1050))
    key = f"{emulation_id}/part-0.json"
    obstore.put(s3_store.bucket(SOURCES), key, content)
    receipt = made(monkeypatch, objects_manifest(emulation_id, [stated_object(key, content, 1050)]))
    ingest(receipt, BRONZE)
    content = bytes(obstore.get(s3_store.bucket(BRONZE), table_key(receipt)).bytes())
    assert pq.ParquetFile(BytesIO(content)).num_row_groups == 11


def test_an_emulation_without_records(s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = made(monkeypatch, objects_manifest(str(uuid.uuid4()), []))
    assert ingest(receipt, BRONZE)["rows"] == 0
    assert table(s3_store, receipt).num_rows == 0


def test_keys_are_deterministic_and_cannot_leave_their_place() -> None:
    receipt = Receipt(id="../x", domain="a/b", sink="s3", place="s3://b/x/")
    assert table_key(receipt) == "a%2Fb/emulation_id=..%2Fx/part-00000.parquet"
