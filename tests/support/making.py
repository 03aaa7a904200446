"""Objects, made as the service makes them, and the records that must be in them."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pyarrow as pa

from data_emulator.domains.people import name_pools
from data_emulator.engine.layout import layout
from data_emulator.engine.plan import BLOCK_RECORDS, Plan
from data_emulator.engine.source import RecordSource
from data_emulator.formats.columns import conformed

DOMAINS = ["user-profile", "device-log", "transaction"]
STARTED_US = 1_795_000_000_000_000


def plan(**changes: Any) -> Plan:
    """Return a plan: transactions to S3, in one object, as fast as it goes."""
    fields: dict[str, Any] = {
        "emulation_id": "6f1c8f0e-0f5c-4b27-9d55-1d0c8bb1d2aa",
        "domain": "transaction",
        "sink": "minio",
        "format": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "duration_s": 1,
        "rate": None,
        "max_records": None,
        "world_seed": 20,
        "world_users": 1000,
        "seed": 7,
        "started_us": STARTED_US,
    }
    return Plan(**{**fields, **changes})


def content(the_plan: Plan, count: int, *at_a_time: int, key: str = "a/part-000000000") -> bytes:
    """Return an object with the first `count` records, added in amounts of the given sizes in turn."""
    source = RecordSource(the_plan)
    encoder = layout(the_plan, source).format.encoder(key)
    parts: list[bytes] = []
    left = count
    for size in cycle(at_a_time or (BLOCK_RECORDS,)):
        if not left:
            return b"".join([*parts, encoder.close()])
        records = source.take(min(size, left))
        parts.append(encoder.add(records))
        left -= len(records)
    raise AssertionError


def expected(the_plan: Plan, count: int) -> list[dict[str, Any]]:
    """Return the first `count` records, as the domain makes them."""
    name_pools()
    source = RecordSource(the_plan)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        batch = source.take(count - len(rows)).batch
        columns = [conformed(column, field) for column, field in zip(batch.columns, source.schema, strict=True)]
        rows += pa.RecordBatch.from_arrays(columns, schema=source.schema).to_pylist()
    return rows


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as CSV has it: nested fields side by side, a name that is taken has `data_` before it."""
    data = {(f"data_{key}" if key in record else key): value for key, value in _flat(record["data"]).items()}
    return {key: value for key, value in record.items() if key != "data"} | data


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in nested.items():
        fields |= _flat(value, f"{prefix}{key}_") if isinstance(value, dict) else {prefix + key: value}
    return fields


def printed(value: Any) -> str:
    """Return a value as CSV has it, without quotes: numbers as in JSON, Unix times with six decimals."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6f}" if value >= 1e9 else repr(value)
    return str(value)
