"""Plans to run, and a sink that keeps what it is given, or refuses it."""

from __future__ import annotations

import time
import uuid
from typing import Any

from data_emulator.engine.plan import Plan
from data_emulator.errors import SinkError
from data_emulator.model import ObjectWritten, Records, Written
from data_emulator.sinks.base import Sink


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
        "started_us": int(time.time() * 1e6),
    }
    return Plan(**{**fields, **changes})


class FakeSink(Sink):
    """Acknowledges everything when it is finished, as one object.

    :param fails_at: number of records from which on `write` fails.
    :param finish_error: what `finish` fails with.
    :param failures: how often it fails before it is well again; `None`: for ever.
    :param permanent: it says that trying again is of no use.
    """

    def __init__(
        self,
        fails_at: int | None = None,
        finish_error: str | None = None,
        *,
        failures: int | None = None,
        permanent: bool = False,
    ) -> None:
        self.values: list[bytes] = []
        self.writes = 0
        self.finishes = 0
        self.failed = 0
        self._fails_at = fails_at
        self._finish_error = finish_error
        self._failures = failures
        self._permanent = permanent
        self._acknowledged = 0
        self._written = Written()

    @property
    def acknowledged_bytes(self) -> int:
        return sum(map(len, self.values[: self._acknowledged]))

    async def write(self, records: Records) -> None:
        self.writes += 1
        if self._fails_at is not None and self.accepted_records + len(records) > self._fails_at:
            self._fail("the disk is full")
        self.values += records.values.to_pylist()
        self._count()

    async def finish(self) -> None:
        self.finishes += 1
        if self._finish_error:
            self._fail(self._finish_error)
        self._acknowledged = len(self.values)
        content = ObjectWritten("part", self.accepted_records, self.accepted_bytes, "sha256:")
        self._written = Written(objects=[content] if self.values else [])

    async def roll_back(self) -> int:
        del self.values[self._acknowledged :]
        self._count()
        return self._acknowledged

    def take_written(self) -> Written:
        written, self._written = self._written, Written()
        return written

    def _fail(self, why: str) -> None:
        if self._failures is None or self.failed < self._failures:
            self.failed += 1
            raise SinkError(why, permanent=self._permanent)

    def _count(self) -> None:
        self.accepted_records = len(self.values)
        self.accepted_bytes = sum(map(len, self.values))
