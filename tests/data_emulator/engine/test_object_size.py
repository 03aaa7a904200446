"""How large the one object of an emulation may become, and that it then fits into S3's parts."""

from __future__ import annotations

from typing import Any

import pytest

from data_emulator.engine.object_size import MOST_BYTES_PER_S, SMALL_IN_S, object_bytes
from data_emulator.engine.source import RecordSource
from data_emulator.sinks.parts import MAX_OBJECT_BYTES, MAX_PARTS, PART_BYTES, held_bytes, part_bytes_for
from tests.support.making import plan

MIB = 2**20
WEEK_S = 7 * 24 * 3600


def grouped(**changes: Any) -> Any:
    return plan(**{"sync_type": "grouped", "rate": None, "max_records": None, **changes})


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 80_000 * MIB, 80_000 * MIB + 1, 300 * 2**30, MAX_OBJECT_BYTES])
def test_parts_hold_the_object_and_are_no_larger_than_they_must_be(size: int) -> None:
    part_bytes = part_bytes_for(size)
    assert part_bytes * MAX_PARTS >= size
    assert part_bytes == PART_BYTES or (part_bytes - MIB) * MAX_PARTS < size
    assert 5 * MIB <= part_bytes <= 5 * 2**30  # S3's bounds of a part


@pytest.mark.parametrize("domain", ["transaction", "device-log", "user-profile"])
def test_a_planned_number_of_records_is_told_in_bytes(domain: str) -> None:
    planned = grouped(domain=domain, duration_s=WEEK_S, rate=1000.0)
    block = RecordSource(planned).take(8192)
    exact = block.values.nbytes / len(block)
    assert exact * 1000 * WEEK_S < object_bytes(planned) < 2 * exact * 1000 * WEEK_S


def test_without_a_number_of_records_it_is_what_can_be_made_in_the_time() -> None:
    assert object_bytes(grouped(duration_s=3600)) == MOST_BYTES_PER_S * 3601
    assert object_bytes(grouped(duration_s=WEEK_S)) > MAX_OBJECT_BYTES
    assert object_bytes(grouped(duration_s=WEEK_S, max_records=10**6)) < 10**9
    # A rate that nobody reaches makes no more than there is time for.
    assert object_bytes(grouped(duration_s=3600, rate=1e9)) == MOST_BYTES_PER_S * 3601


def test_what_is_short_needs_parts_of_the_usual_size() -> None:
    assert part_bytes_for(object_bytes(grouped(duration_s=SMALL_IN_S))) == PART_BYTES
    assert part_bytes_for(object_bytes(grouped(duration_s=2 * SMALL_IN_S))) > PART_BYTES


def test_chunks_are_as_large_as_asked_for_and_one_object_a_record_is_small() -> None:
    assert object_bytes(grouped(sync_type="chunked", max_chunk_size=5 * 2**30, duration_s=WEEK_S)) == 5 * 2**30
    assert object_bytes(grouped(sync_type="single", duration_s=WEEK_S)) == 0


def test_larger_parts_count_in_the_memory_of_a_plan() -> None:
    usual, larger = grouped(), grouped(part_bytes=100 * MIB)
    assert larger.memory_bytes - usual.memory_bytes == held_bytes(100 * MIB) - held_bytes(PART_BYTES)
