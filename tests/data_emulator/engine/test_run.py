"""A run: as many records as are due, and the truth about how it ended."""

import asyncio
import time

import pytest

from data_emulator.engine import run as run_module
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.sinks.base import EncodedRecords
from data_emulator.wire import State
from tests.data_emulator.engine.fakes import FakeSink, plan

LONG_S = 600
"""No test lasts as long: a run of this length ends for another reason."""


def run(the_plan: Plan, sink: FakeSink) -> Run:
    return Run(the_plan, RecordSource(the_plan, int(time.time() * 1e6)), sink)


async def test_the_rate_and_the_duration_give_the_number_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_OVERTIME_S", 60)  # on a busy machine the last records may be late
    sink = FakeSink()
    assert await run(plan(rate=500.0, duration_s=1), sink).to_end() == Outcome(State.COMPLETED)
    assert sink.accepted_records == len(set(sink.values)) == 500
    assert sink.finishes == 1


async def test_records_are_written_as_time_goes_on_and_not_all_at_the_end() -> None:
    third_write = asyncio.Event()

    class Watched(FakeSink):
        async def write(self, records: EncodedRecords) -> None:
            await super().write(records)
            if self.writes == 3:
                third_write.set()

    sink = Watched()
    running = run(plan(rate=100.0, duration_s=LONG_S), sink)
    task = asyncio.create_task(running.to_end())
    await asyncio.wait_for(third_write.wait(), 60)
    running.stop(Outcome(State.CANCELLED))
    await task
    assert sink.accepted_records < 100 * LONG_S


async def test_max_records_is_exact_and_ends_the_run() -> None:
    for rate in (None, 10_000.0):
        sink = FakeSink()
        outcome = await run(plan(rate=rate, max_records=5001, duration_s=LONG_S), sink).to_end()
        assert outcome == Outcome(State.COMPLETED)
        assert sink.accepted_records == 5001


async def test_a_duration_ends_a_run_without_a_rate() -> None:
    sink = FakeSink()
    assert await run(plan(rate=None, duration_s=1), sink).to_end() == Outcome(State.COMPLETED)
    assert sink.accepted_records > 1000


@pytest.mark.parametrize("rate", [None, 1000.0])
async def test_no_time_gives_no_records(rate: float | None) -> None:
    sink = FakeSink()
    assert await run(plan(rate=rate, duration_s=0), sink).to_end() == Outcome(State.COMPLETED)
    assert sink.values == []


@pytest.mark.parametrize("rate", [None, 1.0, 1000.0])
async def test_stop_ends_a_run_as_told_and_finishes_its_sink(rate: float | None) -> None:
    sink = FakeSink()
    running = run(plan(rate=rate, duration_s=LONG_S), sink)
    task = asyncio.create_task(running.to_end())
    await asyncio.sleep(0.3)
    running.stop(Outcome(State.CANCELLED, "enough"))
    assert await asyncio.wait_for(task, 30) == Outcome(State.CANCELLED, "enough")
    assert sink.finishes == 1


async def test_a_write_that_fails_fails_the_run_with_its_reason() -> None:
    sink = FakeSink(fails_at=100, finish_error="a later error")
    assert await run(plan(duration_s=LONG_S), sink).to_end() == Outcome(State.FAILED, "the disk is full")
    assert sink.finishes == 1
    assert sink.accepted_records <= 100


async def test_a_last_write_that_fails_fails_the_run_with_its_reason() -> None:
    sink = FakeSink(finish_error="the last part was refused")
    assert await run(plan(max_records=10), sink).to_end() == Outcome(State.FAILED, "the last part was refused")


async def test_a_failure_prevails_over_a_stop() -> None:
    sink = FakeSink(finish_error="the last part was refused")
    running = run(plan(duration_s=LONG_S), sink)
    running.stop(Outcome(State.CANCELLED))
    assert await running.to_end() == Outcome(State.FAILED, "the last part was refused")


async def test_a_sink_is_finished_also_when_the_records_cannot_be_made() -> None:
    class Broken(RecordSource):
        def take(self, at_most: int) -> EncodedRecords:
            if self._next_index:
                raise ZeroDivisionError("a domain's defect")
            return super().take(at_most)

    the_plan = plan(duration_s=LONG_S)
    sink = FakeSink()
    with pytest.raises(ZeroDivisionError):
        await Run(the_plan, Broken(the_plan, 0), sink).to_end()
    assert sink.values
    assert sink.finishes == 1


async def test_a_slow_sink_ends_the_run_with_fewer_records_and_not_with_wrong_ones() -> None:
    class Slow(FakeSink):
        async def write(self, records: EncodedRecords) -> None:
            await asyncio.sleep(0.2)
            await super().write(records.slice(0, 1))

    sink = Slow()
    outcome = await asyncio.wait_for(run(plan(duration_s=1, rate=1000.0), sink).to_end(), 30)
    assert outcome == Outcome(State.COMPLETED)
    assert 0 < sink.accepted_records < 100
