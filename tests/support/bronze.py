"""What the tests of bronze share: manifests that are made here, what lies in bronze, and how it is refused."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from typing import Any

import obstore
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from data_emulator.stack.seaweedfs import SeaweedFS
from include.bronze.ingest import ingest, table_key
from include.exceptions import EmulationDataError
from include.hooks.data_emulator import DataEmulatorHook
from include.receipt import Receipt
from include.wire.manifest import Manifest, ManifestObject

SOURCES = "bronze-sources"
BRONZE = "bronze-tables"


def table(store: SeaweedFS, receipt: Receipt) -> Any:
    content = bytes(obstore.get(store.bucket(BRONZE), table_key(receipt)).bytes())
    return pq.read_table(BytesIO(content))


def keys_of(store: SeaweedFS, receipt: Receipt) -> list[str]:
    """Whatever lies in bronze of this emulation."""
    prefix = f"{receipt.domain}/emulation_id={receipt.id}"
    return [each["path"] for page in obstore.list(store.bucket(BRONZE), prefix=prefix) for each in page]


def made(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> Receipt:
    """Let the service have this manifest, and return the receipt."""
    monkeypatch.setattr(DataEmulatorHook, "get_manifest", lambda self, emulation_id: manifest)
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


def refused(receipt: Receipt, store: SeaweedFS, kind: type[Exception] = EmulationDataError) -> str:
    """The message with which it is refused, for good, and leaves nothing in bronze."""
    with pytest.raises(kind) as caught:
        ingest(receipt, BRONZE)
    assert isinstance(caught.value, AirflowFailException)
    assert keys_of(store, receipt) == []
    return str(caught.value)
