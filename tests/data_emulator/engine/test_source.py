"""A source gives each record once, in order, whatever amounts are taken, and never one from the future."""

import json
import time
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from data_emulator.engine.plan import BLOCK_RECORDS
from data_emulator.engine.source import RecordSource
from data_emulator.model import Checkpoint
from tests.support.engine_fakes import plan

STARTED_US = 1_795_000_000_000_000


def taken(source: RecordSource, count: int, *at_a_time: int) -> list[bytes]:
    values: list[bytes] = []
    for size in cycle(at_a_time):
        records = source.take(min(size, count - len(values)))
        assert 1 <= len(records) <= size
        values += records.values.to_pylist()
        if len(values) == count:
            return values
    raise AssertionError


@pytest.mark.parametrize("at_a_time", [(1,), (3, 1000), (10_000,)])
def test_amounts_taken_do_not_matter(at_a_time: tuple[int, ...]) -> None:
    the_plan = plan(rate=None)
    count = 2 * BLOCK_RECORDS + 100
    expected = taken(RecordSource(the_plan), count, BLOCK_RECORDS)
    assert taken(RecordSource(the_plan), count, *at_a_time) == expected
    assert len(set(expected)) == count


def test_keys_are_the_users() -> None:
    records = RecordSource(plan()).take(500)
    users = [json.loads(value)["data"]["user_id"] for value in records.values.to_pylist()]
    assert records.keys.to_pylist() == users


def test_the_envelope_holds_id_and_time() -> None:
    the_plan = plan(rate=4.0, duration_s=100, started_us=STARTED_US)
    envelopes = [json.loads(value) for value in RecordSource(the_plan).take(5).values.to_pylist()]
    assert {each["emulation_id"] for each in envelopes} == {the_plan.emulation_id}
    assert [each["timestamp"] - STARTED_US / 1e6 for each in envelopes] == [0, 0.25, 0.5, 0.75, 1.0]


def test_unpaced_records_do_not_run_ahead_of_the_clock() -> None:
    started = time.time()
    source = RecordSource(plan(rate=None, started_us=int(started * 1e6)))
    for _ in range(20):
        last: Any = json.loads(source.take(BLOCK_RECORDS).values[-1].as_py())
        assert last["timestamp"] <= time.time()


@pytest.mark.parametrize(
    ("sink", "format_", "ends_line"),
    [("minio", "json", True), ("kafka", "json", False), ("minio", "csv", True), ("kafka", "csv", False)],
)
def test_objects_hold_lines_and_messages_do_not(sink: str, format_: str, ends_line: bool) -> None:
    source = RecordSource(plan(sink=sink, format=format_))
    for value in source.take(10).values.to_pylist():
        assert value.endswith(b"\n") == ends_line


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("rate", [None, 100.0])
def test_whoever_goes_on_makes_the_same_records(rate: float | None, format_: str) -> None:
    the_plan = plan(rate=rate, duration_s=1000, format=format_, started_us=STARTED_US)
    count = 2 * BLOCK_RECORDS + 100
    expected = taken(RecordSource(the_plan), count, BLOCK_RECORDS)
    for at in (1, 777, BLOCK_RECORDS, BLOCK_RECORDS + 1):
        later = replace(the_plan, checkpoint=Checkpoint(elapsed_s=3.0, records=at))
        assert taken(RecordSource(later), count - at, 500) == expected[at:]
        sought = RecordSource(the_plan)
        sought.take(3000)
        sought.seek(at)
        assert taken(sought, count - at, 500) == expected[at:]


def test_parquet_does_not_pay_for_a_record_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("data_emulator.engine.source.jsonl.encode")
    records = RecordSource(plan(format="parquet")).take(10)
    assert records.values is None
    assert len(records.slice(2, 5)) == len(records.slice(2, 5).batch) == 5


def test_avro_for_kafka_says_with_which_schema_it_was_written() -> None:
    in_kafka = RecordSource(plan(sink="kafka", format="avro", schema_id=258)).take(10).values.to_pylist()
    in_s3 = RecordSource(plan(format="avro", emulation_id="x" * 36)).take(10).values.to_pylist()
    assert {value[:5] for value in in_kafka} == {b"\0\0\0\1\2"}
    assert all(value[0] == 72 for value in in_s3)  # the length of the emulation's id, which is the first field


@pytest.mark.parametrize("the_seed", [1, 2])
def test_the_sample_depends_on_domain_and_seed_alone(the_seed: int) -> None:
    sample = RecordSource(plan(seed=the_seed, started_us=STARTED_US)).sample(100)
    assert RecordSource(plan(seed=the_seed, started_us=STARTED_US + 10**9, rate=3.0)).sample(100).equals(sample)
    assert not RecordSource(plan(seed=the_seed + 1)).sample(100).equals(sample)
