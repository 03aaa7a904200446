"""Ingesting objects of the real store: what is as its manifest says, and what was tampered with."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import obstore
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from data_emulator.stack.seaweedfs import SeaweedFS
from include.bronze.ingest import ingest, table_key
from include.exceptions import DataEmulatorConfigError, StorageUnavailableError
from include.wire.manifest import Manifest
from tests.support.bronze import BRONZE, SOURCES, keys_of, made, objects_manifest, record, refused, stated_object, table

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("bronze_connections")]


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
        f"s3://{SOURCES}/{key}: the object does not exist; the manifest says "
        f"10 records, {stored.objects[1].bytes} bytes"
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
    assert "record 1 is not a json record" in text or "UnicodeDecodeError" in text


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
