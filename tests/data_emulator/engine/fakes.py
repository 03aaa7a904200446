"""Plans to run, and a sink that keeps what it is given, or refuses it."""

from __future__ import annotations

import uuid
from typing import Any

from data_emulator.engine.plan import Plan
from data_emulator.errors import SinkError
from data_emulator.sinks.base import EncodedRecords, ObjectWritten, Sink, Written


def plan(**changes: Any) -> Plan:
    """Return a plan: transactions to S3 for a second, at 1000 a second."""
    fields: dict[str, Any] = {
        "emulation_id": str(uuid.uuid4()),
        "domain": "transaction",
        "sink": "minio",
        "format": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "duration_s": 1,
        "rate": 1000.0,
        "max_records": None,
        "world_seed": 20,
        "world_users": 100,
        "seed": 7,
    }
    return Plan(**{**fields, **changes})


class FakeSink(Sink):
    """Acknowledges everything when it is finished, as one object.

    :param fails_at: number of records from which on `write` fails.
    :param finish_error: what `finish` fails with.
    """

    def __init__(self, fails_at: int | None = None, finish_error: str | None = None) -> None:
        self.values: list[bytes] = []
        self.writes = 0
        self.finishes = 0
        self._fails_at = fails_at
        self._finish_error = finish_error
        self._written = Written()

    async def write(self, records: EncodedRecords) -> None:
        self.writes += 1
        if self._fails_at is not None and self.accepted_records + len(records) > self._fails_at:
            raise SinkError("the disk is full")
        self.values += records.values.to_pylist()
        self.accepted_records += len(records)
        self.accepted_bytes = sum(map(len, self.values))

    async def finish(self) -> None:
        self.finishes += 1
        content = ObjectWritten("part", self.accepted_records, self.accepted_bytes, "sha256:")
        self._written = Written(objects=[content] if self.values else [])
        if self._finish_error:
            raise SinkError(self._finish_error)

    def take_written(self) -> Written:
        written, self._written = self._written, Written()
        return written
