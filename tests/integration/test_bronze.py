"""Ingesting into bronze what the service writes, and what a receipt and its manifest have to agree on."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from include.bronze.ingest import ingest, is_ingested, table_key
from include.exceptions import DataEmulatorConfigError, ReceiptError
from include.hooks.data_emulator import DataEmulatorHook
from include.receipt import Receipt
from include.wire.manifest import Manifest
from tests.support.bronze import BRONZE, keys_of, made, objects_manifest, refused, stated_object, table

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("bronze_connections")]


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


def test_two_ingests_of_an_emulation_at_once_leave_one_whole_table(
    emulations: Any, hook: DataEmulatorHook, s3_store: SeaweedFS
) -> None:
    receipt = Receipt.of_manifest(hook.get_manifest(emulations["minio", "json", "none"]))
    with ThreadPoolExecutor() as pool:
        results = [future.result() for future in [pool.submit(ingest, receipt, BRONZE) for _ in range(4)]]
    assert {result["rows"] for result in results} == {300}
    assert keys_of(s3_store, receipt) == [table_key(receipt)]
    rows = table(s3_store, receipt).to_pylist()
    assert len({(row["source"], row["position"]) for row in rows}) == len(rows) == 300
    assert len({row["ingested_at"] for row in rows}) == 1


def test_avro_is_refused_clearly(emulations: Any, hook: DataEmulatorHook) -> None:
    receipt = Receipt.of_manifest(hook.get_manifest(emulations["minio", "avro", "deflate"]))
    with pytest.raises(
        DataEmulatorConfigError, match="is avro in s3, which cannot be ingested; bronze takes json, csv"
    ):
        ingest(receipt, BRONZE)


@pytest.fixture
def stated() -> Manifest:
    """Of two objects, of 1,000 and 10 records, neither of which is there."""
    return objects_manifest(str(uuid.uuid4()), [stated_object("a", b"x" * 50, 1000), stated_object("b", b"x", 10)])


def test_a_receipt_that_says_something_else(
    stated: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = replace(made(monkeypatch, stated), records=1011, domain="device-log")
    assert refused(receipt, s3_store, ReceiptError).endswith(
        "differ: domain is 'device-log', the manifest says 'transaction'; records is 1011, the manifest says 1010"
    )


def test_what_did_not_complete(stated: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(made(monkeypatch, replace(stated, state="failed")), s3_store)
    assert text == f"Emulation {stated.emulation_id} is failed, not completed"


def test_totals_that_are_not_the_sum(stated: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(made(monkeypatch, replace(stated, records=1009)), s3_store)
    assert "add up to 1,010 records" in text
    assert "totals are 1,009 records" in text


def test_a_service_without_manifests(stated: Manifest, s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = replace(made(monkeypatch, stated), manifest=None)
    assert "has no manifest" in refused(receipt, s3_store, ReceiptError)


def test_an_emulation_without_records(s3_store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = made(monkeypatch, objects_manifest(str(uuid.uuid4()), []))
    assert ingest(receipt, BRONZE)["rows"] == 0
    assert table(s3_store, receipt).num_rows == 0


def test_keys_are_deterministic_and_cannot_leave_their_place() -> None:
    receipt = Receipt(id="../x", domain="a/b", sink="s3", place="s3://b/x/")
    assert table_key(receipt) == "a%2Fb/emulation_id=..%2Fx/part-00000.parquet"
