"""A backfill is asked for with start_time and end_time; what cannot be is refused with the field's name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from data_emulator.engine.plan import Plan
from data_emulator.engine.source import RecordSource
from data_emulator.model import Checkpoint
from data_emulator.service.store.emulation import AcceptedRequest
from data_emulator.wire import CLOCK_SKEW, EmulationRequest

BODY = {
    "emulator_sync": "minio",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "emulation_domain": "transaction",
    "timeout": 10,
}
START, END = "2025-01-01T00:00:00Z", "2025-02-01T00:00:00+01:00"


def request(**more: Any) -> AcceptedRequest:
    """Return a request as it is accepted."""
    return AcceptedRequest.model_validate(EmulationRequest.model_validate({**BODY, **more}).model_dump())


def test_without_a_range_there_is_no_backfill() -> None:
    assert request().backfill_us is None
    assert request(start_time=None, end_time=None).backfill_us is None


def test_a_range_is_in_microseconds_whatever_its_zone() -> None:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 31, 23, tzinfo=UTC)
    expected = (int(start.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000)
    asked = request(start_time=START, end_time=END, rate=100.0)
    assert asked.backfill_us == expected
    assert AcceptedRequest.read(asked.model_dump(mode="json")).backfill_us == expected  # as it is stored


@pytest.mark.parametrize(
    ("more", "field", "message"),
    [
        ({"start_time": START}, "end_time", "belong together"),
        ({"end_time": END}, "end_time", "belong together"),
        ({"start_time": END, "end_time": START}, "end_time", "later than start_time"),
        ({"start_time": START, "end_time": START}, "end_time", "later than start_time"),
        ({"start_time": "2025-01-01T00:00:00", "end_time": END}, "start_time", "timezone"),
        ({"start_time": START, "end_time": "2025-02-01"}, "end_time", "timezone"),
        ({"start_time": "yesterday", "end_time": END}, "start_time", "datetime"),
        ({"start_time": "1969-12-31T00:00:00Z", "end_time": END}, "end_time", "1970"),
        (
            {"start_time": START, "end_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
            "end_time",
            "in the future",
        ),
    ],
)
def test_a_wrong_range_is_refused_by_field(more: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        request(**more)
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]


def test_an_end_that_is_ahead_by_what_clocks_differ_is_taken() -> None:
    now = datetime.now(UTC)
    asked = request(start_time=START, end_time=(now + timedelta(seconds=30)).isoformat(), max_records=5)
    assert asked.backfill_us is not None
    with pytest.raises(ValidationError, match="in the future"):
        request(start_time=START, end_time=(now + 2 * CLOCK_SKEW).isoformat(), max_records=5)


def test_a_backfill_needs_a_number_of_records() -> None:
    with pytest.raises(ValidationError, match="max_records"):
        request(start_time=START, end_time=END, rate=None)
    assert request(start_time=START, end_time=END, rate=None, max_records=5).max_records == 5
    assert request(start_time=START, end_time=END, rate=100.0).rate == 100
    assert request(start_time=START, end_time=END).rate is None  # the service's default rate applies


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "emulation_id": "an id",
        "domain": "transaction",
        "sink": "kafka",
        "format": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "duration_s": 10,
        "rate": None,
        "max_records": 5000,
        "world_seed": 20,
        "world_users": 100,
        "seed": 7,
        "started_us": 1_795_000_000_000_000,
        "backfill_us": request(start_time=START, end_time=END).backfill_us,
    }
    return Plan(**{**fields, **changes})


def taken(source: RecordSource, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        rows += [json.loads(value) for value in source.take(count - len(rows)).values.to_pylist()]
    return rows


@pytest.mark.parametrize("changes", [{}, {"rate": 500.0, "max_records": None}])
def test_records_fill_the_range_in_order(changes: dict[str, Any]) -> None:
    rows = taken(RecordSource(plan(**changes)), 5000)
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)
    start, end = (each / 1e6 for each in plan().backfill_us or ())
    assert start <= times[0] < start + 24 * 3600
    assert end - 24 * 3600 < times[-1] < end
    assert rows[0]["data"]["timestamp"].startswith("2025-01-01T")


def test_a_backfill_that_goes_on_has_the_same_times() -> None:
    whole = taken(RecordSource(plan()), 5000)
    rest = taken(RecordSource(plan(started_us=0, checkpoint=Checkpoint(elapsed_s=3.0, records=3210))), 1790)
    assert rest == whole[3210:]


def test_the_plans_share_of_fraud_is_that_of_its_records() -> None:
    for share, count in ((0.0, 0), (0.1, 500)):
        frauds = sum(row["data"]["is_fraud"] for row in taken(RecordSource(plan(fraud_share=share)), 5000))
        assert abs(frauds - count) <= 0.1 * count
