"""The records of an emulation, made without a service: what the other sides of a benchmark send."""

from __future__ import annotations

import time
import uuid

from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.model import Checkpoint


def transactions(count: int, *, first: int = 0) -> list[bytes]:
    """Return that many transactions as the engine encodes them in JSON, a line each, from number `first` on."""
    plan = Plan(
        emulation_id=str(uuid.uuid4()),
        domain="transaction",
        sink="minio",  # a line end after each
        format="json",
        sync_type="grouped",
        max_chunk_size=1024,
        duration_s=1,
        rate=None,
        max_records=first + count,
        world_seed=20,
        world_users=10_000,
        seed=7,
        started_us=int(time.time() * 1e6),
        checkpoint=Checkpoint(records=first),
    )
    source = RecordSource(plan)
    lines: list[bytes] = []
    while len(lines) < count:
        lines += source.take(count - len(lines)).values.to_pylist()
    return lines
