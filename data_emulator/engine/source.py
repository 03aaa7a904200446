"""The records of one emulation, in order, encoded: made in blocks, taken in any amounts, from any number on."""

from __future__ import annotations

import uuid
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_emulator.domains import all_domains
from data_emulator.domains.backfill import BackfillClock
from data_emulator.domains.base import EventClock
from data_emulator.domains.world import world
from data_emulator.engine.plan import BLOCK_RECORDS, Plan
from data_emulator.formats import avro, csv, jsonl
from data_emulator.formats.confluent import confluent_prefix
from data_emulator.formats.envelope import envelope_schema, enveloped
from data_emulator.model import Records
from data_emulator.sinks.catalog import SINKS

UNPACED_STEP_US: Final = 0.25
"""Event time between records that are made as fast as it goes: four million a second, more than a core makes. So none
lies in the future."""
SAMPLE_START_US: Final = 1_750_000_000_000_000


def _clock(plan: Plan) -> EventClock | BackfillClock:
    if plan.backfill_us is None:
        return EventClock(plan.started_us, 1e6 / plan.rate if plan.rate else UNPACED_STEP_US)
    if plan.records_planned is None:
        raise ValueError("a backfill needs a known number of records: a rate, or max_records")
    return BackfillClock(*plan.backfill_us, max(1, plan.records_planned))


class RecordSource:
    """Makes an emulation's records, from number ``plan.checkpoint.records`` on."""

    def __init__(self, plan: Plan) -> None:
        domain = all_domains()[plan.domain]
        self._plan = plan
        self._domain = domain(world(plan.world_seed, plan.world_users, plan.fraud_share), plan.seed)
        self._clock = _clock(plan)
        self.schema = envelope_schema(domain.schema)
        self._terminator = "\n" if SINKS[plan.sink].keeps_objects else ""
        self._prefix = b"" if plan.schema_id is None else confluent_prefix(plan.schema_id)
        self._block: Records | None = None
        self._taken = 0
        self._next_index = plan.checkpoint.records

    def sample(self, count: int) -> pa.RecordBatch:
        """Return records like the first of the emulation, in an envelope: those of its domain and seed, at fixed times.

        They do not depend on the emulation's id, nor on when it was started.
        """
        index = np.arange(count)
        time_us = EventClock(SAMPLE_START_US, UNPACED_STEP_US).times(index)
        return enveloped(str(uuid.UUID(int=0)), time_us, self._domain.records(index, time_us))

    def seek(self, index: int) -> None:
        """Go on with the record of this number."""
        self._next_index = index
        self._block = None

    def take(self, at_most: int) -> Records:
        """Return the next records: at least one and at most so many, fewer at the end of a block."""
        if self._block is None or self._taken == len(self._block):
            self._block, self._taken = self._make(), 0
        records = self._block.slice(self._taken, at_most)
        self._taken += len(records)
        return records

    def _make(self) -> Records:
        count = BLOCK_RECORDS
        planned = self._plan.records_planned
        if planned is not None:
            count = max(1, min(count, planned - self._next_index))
        index = np.arange(self._next_index, self._next_index + count)
        self._next_index += count
        time_us = self._clock.times(index)
        data = self._domain.records(index, time_us)
        batch = enveloped(self._plan.emulation_id, time_us, data)
        return Records(batch, self._encoded(batch), data.column("user_id"))

    def _encoded(self, batch: pa.RecordBatch) -> Any:
        """Return one encoded record a row; `None` for Parquet, where a record has no encoding of its own."""
        match self._plan.format:
            case "json":
                return jsonl.encode(batch, self._terminator)
            case "csv":
                return csv.encode(batch, self._terminator)
            case "avro":
                return avro.encode(batch, self.schema, self._prefix)
            case "parquet":
                return None
