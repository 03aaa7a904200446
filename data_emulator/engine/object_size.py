"""How large an emulation's objects may become, told before it starts."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.formats import jsonl
from data_emulator.sinks.parts import MAX_PARTS, PART_BYTES

MOST_BYTES_PER_S: Final = 256 * 2**20
"""More than a worker encodes in a second: some 100 MiB on a core of 2024."""
SMALL_IN_S: Final = MAX_PARTS * PART_BYTES // MOST_BYTES_PER_S - 1
"""In so many seconds no object gets larger than fits into parts of the usual size."""
_SAMPLE_RECORDS: Final = 1000
_MARGIN: Final = 1.25
"""Records differ in size, and those of the sample may be smaller than most."""


def object_bytes(plan: Plan) -> int:
    """Return how large an object of this emulation may become, in bytes.

    For `grouped` that is all of its records as JSON, the largest of the formats, or, if it is less, as much as can be
    made in the time.
    """
    if plan.sync_type != "grouped":
        return plan.max_chunk_size if plan.sync_type == "chunked" else 0
    in_time = MOST_BYTES_PER_S * (plan.duration_s + 1)
    if plan.records_planned is None or plan.duration_s <= SMALL_IN_S:
        return in_time
    return min(in_time, math.ceil(plan.records_planned * _MARGIN * _record_bytes(plan.domain)))


@cache
def _record_bytes(domain: str) -> float:
    """Return the mean size of a domain's records in an object of JSON."""
    plan = Plan(
        emulation_id="",
        domain=domain,
        sink="minio",
        format="json",
        sync_type="grouped",
        max_chunk_size=1,
        duration_s=0,
        rate=None,
        max_records=None,
        world_seed=0,
        world_users=_SAMPLE_RECORDS,
        seed=0,
        started_us=0,
    )
    return float(jsonl.encode(RecordSource(plan).sample(_SAMPLE_RECORDS), "\n").nbytes) / _SAMPLE_RECORDS
