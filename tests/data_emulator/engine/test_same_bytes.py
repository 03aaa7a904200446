"""The same seed makes the same bytes of `data`, in blocks of records that begin anywhere and are of any length.

Blocks begin where a resumption did. So each record is made in blocks of many starts and lengths, the ones that hold
extreme values in particular: what is chosen by the largest, longest or missing value in a block shows there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.world import world
from data_emulator.engine import source
from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.formats.columns import conformed
from data_emulator.model import Checkpoint
from tests.support.making import DOMAINS, STARTED_US, plan

USERS = 200
RECORDS = 50_000
SEEDS = range(3)
CLOCKS: dict[str, dict[str, Any]] = {
    "unpaced": {"rate": None},
    "paced": {"rate": 7.0, "duration_s": 10**6},
    "backfill": {"max_records": 2 * RECORDS, "backfill_us": (STARTED_US - 10**14, STARTED_US)},
}
LENGTHS = (1, 2, 3, 7, 8, 9, 31, 100)
"""Shorter and longer than what a processor computes at a time, and no multiple of it."""


def the_plan(domain: str, format_type: str, clock: str, seed: int) -> Plan:
    return plan(domain=domain, format=format_type, seed=seed, world_seed=seed, world_users=USERS, **CLOCKS[clock])


class Made:
    """The records of a plan, in blocks of any start and length."""

    def __init__(self, the_plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        self._source = RecordSource(the_plan)
        self._monkeypatch = monkeypatch

    def block(self, start: int, count: int) -> list[Any]:
        """Return what is written of these records, made in one block: bytes, or values where there are no bytes."""
        self._monkeypatch.setattr(source, "BLOCK_RECORDS", count)
        self._source.seek(start)
        records = self._source.take(count)
        assert len(records) == count
        if records.values is not None:
            return records.values.to_pylist()  # type: ignore[no-any-return]
        columns = [
            conformed(column, field) for column, field in zip(records.batch.columns, self._source.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._source.schema).to_pylist()


@cache
def extremes(domain: str, seed: int) -> list[int]:
    """Return where the smallest and the largest number, the longest text, and a null of each column are."""
    index = np.arange(RECORDS)
    batch = all_domains()[domain](world(seed, USERS), seed).records(index, STARTED_US + index)
    positions = {0, RECORDS - 1}
    for column in batch.columns:
        if column.null_count:
            positions.add(int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))))
        if pa.types.is_dictionary(column.type):
            positions |= {column.indices.index(0).as_py(), column.indices.index(pc.max(column.indices)).as_py()}
        elif pa.types.is_string(column.type):
            column = pc.binary_length(column).fill_null(0)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            positions |= {int(np.argmin(column.to_numpy())), int(np.argmax(column.to_numpy()))}
    return sorted(position for position in positions if position >= 0)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("format_type", ["json", "csv", "avro", "parquet"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_record_is_the_same_in_blocks_of_any_start_and_length(
    domain: str, format_type: str, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(1)
    for seed in SEEDS:
        made = Made(the_plan(domain, format_type, clock, seed), monkeypatch)
        extreme = extremes(domain, seed)
        first = int(generator.integers(0, RECORDS))
        whole = made.block(first, 1000)
        for length in LENGTHS:
            start = int(generator.integers(0, 1000 - length))
            assert made.block(first + start, length) == whole[start : start + length], (seed, first + start, length)
        for position in generator.permutation(extreme)[:6].tolist():
            start, length = max(0, position - int(generator.integers(0, 50))), 100
            whole = made.block(start, length)
            for record in {start, position, start + length - 1}:
                assert made.block(record, 1) == [whole[record - start]], (seed, record)
            cut = position - start
            assert made.block(position, length - cut) == whole[cut:], (seed, position)
            if cut:
                assert made.block(start, cut) == whole[:cut], (seed, position)


@pytest.mark.parametrize("format_type", ["json", "csv"])
def test_amount_too_large_to_look_up_leaves_the_amounts_beside_it_as_they_are(
    format_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 3 has one of 3,596.80 in a block of the usual length, with many whole amounts beside it."""
    position = 118_608
    made = Made(plan(format=format_type, seed=3, world_seed=3, world_users=10_000, rate=None), monkeypatch)
    whole = made.block(position - 4000, 8192)
    assert b"3596.8" in whole[4000]
    assert made.block(position - 4000, 4000) + made.block(position, 1) + made.block(position + 1, 4191) == whole


@pytest.mark.parametrize("domain", DOMAINS)
def test_resumption_makes_what_would_have_been_made(domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_plan = the_plan(domain, "json", "backfill", 3)
    whole = Made(whole_plan, monkeypatch).block(0, 3000)
    monkeypatch.undo()
    for at in (1, 8, 777, 2999):
        resumed = RecordSource(replace(whole_plan, checkpoint=Checkpoint(elapsed_s=3.0, records=at)))
        assert resumed.take(3000 - at).values.to_pylist() == whole[at:]
