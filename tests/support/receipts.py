"""Emulations' data by hand, in every format, by encoders that are not of this project; and manifests of it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import uuid
from typing import Any

import fastavro
import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from data_emulator.formats.catalog import FORMATS
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.verify.compare import compare
from data_emulator.verify.messages import count_messages
from data_emulator.verify.objects import count_objects
from data_emulator.wire import Manifest

BUCKET = "receipts"
CHOICES = [(each.name, compression) for each in FORMATS.values() for compression in each.compressions]
"""Every format with each of its compressions."""
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Thing",
    "fields": [
        {"name": "emulation_id", "type": "string"},
        {"name": "timestamp", "type": "double"},
        {
            "name": "data",
            "type": {
                "type": "record",
                "name": "ThingData",
                "fields": [{"name": "text", "type": "string"}, {"name": "number", "type": "long"}],
            },
        },
    ],
}

Record = dict[str, Any]


def records(emulation_id: str, count: int) -> list[Record]:
    """Records with a line break within a value."""
    return [
        {"emulation_id": emulation_id, "timestamp": 1.5, "data": {"text": 'a\n"b', "number": number}}
        for number in range(count)
    ]


def json_line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def csv_line(record: Record) -> bytes:
    text = io.StringIO()
    row = [record["emulation_id"], record["timestamp"], *record["data"].values()]
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().encode()


def avro_value(record: Record) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, SCHEMA, record)
    return stream.getvalue()


def object_of(of: list[Record], format_type: str, compression: str) -> bytes:
    """Return an object with these records."""
    if format_type == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(of), stream, compression=compression, row_group_size=300)
        return stream.getvalue()
    if format_type == "avro":
        stream = io.BytesIO()
        fastavro.writer(stream, SCHEMA, of, codec=compression, sync_interval=5000)
        return stream.getvalue()
    if format_type == "csv":
        content = b"emulation_id,timestamp,text,number\n" + b"".join(map(csv_line, of))
    else:
        content = b"".join(map(json_line, of))
    if compression == "zstd":
        return bytes(pa.compress(content, "zstd", asbytes=True))
    return gzip.compress(content) if compression == "gzip" else content


def object_entry(key: str, content: bytes, count: int) -> dict[str, Any]:
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"key": key, "records": count, "bytes": len(content), "checksum": checksum}


def manifest(emulation_id: str, format_type: str = "json", **fields: Any) -> Manifest:
    objects, partitions = fields.get("objects", []), fields.get("partitions", [])
    body: dict[str, Any] = {
        "id": emulation_id,
        "emulation_domain": "transaction",
        "emulator_sync": "minio" if "bucket" in fields else "kafka",
        "format_type": format_type,
        "state": "completed",
        "sink": "s3" if "bucket" in fields else "kafka",
        "bucket": None,
        "topic": None,
        "objects": [],
        "partitions": [],
        "totals": {
            "records": sum(entry["records"] for entry in [*objects, *partitions]),
            "bytes": sum(entry["bytes"] for entry in [*objects, *partitions]),
            "objects": len(objects),
            "partitions": len(partitions),
        },
    }
    return Manifest.model_validate({**body, **fields})


def store_content(
    store: SeaweedFS, emulation_id: str, contents: list[tuple[bytes, int]], format_type: str, compression: str
) -> Manifest:
    """Write objects of these contents, and return a manifest with their bytes, checksums, and the given numbers."""
    entries = []
    for number, (content, count) in enumerate(contents):
        key = f"{emulation_id}/part-{number:09d}.{FORMATS[format_type].extensions[compression]}"
        obstore.put(store.bucket(BUCKET), key, content)
        entries.append(object_entry(key, content, count))
    return manifest(emulation_id, format_type, bucket=BUCKET, objects=entries)


def store_objects(store: SeaweedFS, format_type: str = "json", compression: str = "none") -> Manifest:
    """Write two objects of 1000 and 10 records, and return the manifest that is right."""
    emulation_id = str(uuid.uuid4())
    contents = [(object_of(records(emulation_id, count), format_type, compression), count) for count in (1000, 10)]
    return store_content(store, emulation_id, contents, format_type, compression)


def differences(manifest: Manifest, settings: Settings) -> list[str]:
    """Return all that the receipt says is wrong."""
    count = count_objects if manifest.sink == "s3" else count_messages
    return list(compare(manifest, count(manifest, settings)))
