"""The records of one emulation, in order, encoded: made in blocks, taken in any amounts, from any number on."""

from __future__ import annotations

from typing import Final

import numpy as np

from data_emulator.domains import all_domains
from data_emulator.domains.backfill import BackfillClock
from data_emulator.domains.base import EventClock
from data_emulator.domains.world import world
from data_emulator.engine.plan import Plan
from data_emulator.formats import csv, jsonl
from data_emulator.formats.envelope import enveloped
from data_emulator.sinks.base import Records

BLOCK_RECORDS: Final = 4096
"""Records made at a time: enough to spread numpy's cost a call thin, few enough for thousands of emulations."""
UNPACED_STEP_US: Final = 1.0
"""Event time between records that are made as fast as it goes: a million a second, so that none lies in the future."""


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
        self._terminator = "\n" if plan.sink == "minio" else ""
        self._block: Records | None = None
        self._taken = 0
        self._next_index = plan.checkpoint.records

    def header(self) -> bytes:
        """Return what stands at the start of every object: the column names in CSV, nothing in JSON."""
        if self._plan.format == "json":
            return b""
        nothing = np.arange(0)
        return csv.header(enveloped("", nothing, self._domain.records(nothing, nothing))).encode()

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
        encode = jsonl.encode if self._plan.format == "json" else csv.encode
        return Records(batch, encode(batch, self._terminator), data.column("user_id"))
