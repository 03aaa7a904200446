"""A run: as many records as are due, and the truth about how it ended."""

import asyncio
import re
import time
from dataclasses import replace
from typing import ClassVar

import pytest

from data_emulator.engine import run as run_module
from data_emulator.engine.outage import Outage
from data_emulator.engine.plan import BLOCK_RECORDS, Plan
from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.errors import SinkError
from data_emulator.model import Checkpoint, Records, State
from tests.support.engine_fakes import FakeSink, plan

LONG_S = 600
"""No test lasts as long: a run of this length ends for another reason."""


def run(the_plan: Plan, sink: FakeSink, outage_s: float = 0.0) -> Run:
    return Run(the_plan, RecordSource(the_plan), sink, outage_s)


def assert_failed(outcome: Outcome | None, reason: str) -> None:
    """Assert that a run failed for a reason, after it had waited for its sink."""
    assert outcome is not None
    assert outcome.state is State.FAILED
    assert str(outcome.error).startswith(f"{reason}. That has been so since 20")


async def test_the_rate_and_the_duration_give_the_number_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_OVERTIME_S", 60)  # on a busy machine the last records may be late
    sink = FakeSink()
    assert await run(plan(rate=500.0, duration_s=1), sink).to_end() == Outcome(State.COMPLETED)
    assert sink.accepted_records == len(set(sink.values)) == 500
    assert sink.finishes == 1


async def test_records_are_written_as_time_goes_on_and_not_all_at_the_end() -> None:
    third_write = asyncio.Event()

    class Watched(FakeSink):
        async def write(self, records: Records) -> None:
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
    outcome = await run(plan(duration_s=LONG_S), sink).to_end()
    assert_failed(outcome, "the disk is full")
    assert sink.values == []  # nothing was acknowledged
    assert sink.accepted_records == 0


async def test_a_last_write_that_fails_fails_the_run_with_its_reason() -> None:
    sink = FakeSink(finish_error="the last part was refused")
    assert_failed(await run(plan(max_records=10), sink).to_end(), "the last part was refused")


async def test_a_stop_prevails_over_a_failure_and_what_failed_is_forgotten() -> None:
    sink = FakeSink(finish_error="the last part was refused")
    running = run(plan(duration_s=LONG_S), sink, outage_s=LONG_S)
    task = asyncio.create_task(running.to_end())
    await asyncio.sleep(0.5)
    running.stop(Outcome(State.CANCELLED))
    assert await asyncio.wait_for(task, 30) == Outcome(State.CANCELLED)
    assert sink.values == []


async def test_a_sink_that_comes_back_gets_every_record_once_and_in_order() -> None:
    undisturbed, disturbed = FakeSink(), FakeSink(fails_at=1500, failures=2)
    the_plan = plan(duration_s=LONG_S, rate=None, max_records=20_000)
    assert await run(the_plan, undisturbed).to_end() == Outcome(State.COMPLETED)
    assert await run(the_plan, disturbed, outage_s=LONG_S).to_end() == Outcome(State.COMPLETED)
    assert disturbed.failed == 2
    assert disturbed.values == undisturbed.values


async def test_a_last_write_that_fails_once_is_made_again() -> None:
    sink = FakeSink(finish_error="not now", failures=2)
    assert await run(plan(duration_s=1, rate=1000.0), sink, outage_s=LONG_S).to_end() == Outcome(State.COMPLETED)
    assert len(set(sink.values)) == len(sink.values) == 1000


async def test_a_sink_that_is_away_for_too_long_fails_the_run() -> None:
    sink = FakeSink(fails_at=100)
    started = time.monotonic()
    outcome = await run(plan(duration_s=LONG_S), sink, outage_s=1.0).to_end()
    assert time.monotonic() - started >= 1.0
    assert sink.failed > 2
    assert_failed(outcome, "the disk is full")
    assert outcome is not None
    told = re.search(
        r"since \S+Z: the service gave up after (\d+) s \(set by DATA_EMULATOR_SINK_OUTAGE_S\)$", str(outcome.error)
    )
    assert told is not None, outcome.error
    assert int(told[1]) >= 1


async def test_a_failure_that_stays_is_not_tried_again() -> None:
    sink = FakeSink(fails_at=100, permanent=True)
    outcome = await run(plan(duration_s=LONG_S), sink, outage_s=LONG_S).to_end()
    assert outcome == Outcome(State.FAILED, "the disk is full")
    assert sink.finishes == 1  # so that it deletes what it has left behind
    assert sink.failed == 1


async def test_a_sink_that_is_away_is_an_outage_until_it_acknowledges_something() -> None:
    class Watched(FakeSink):
        """Fails twice; then it acknowledges every write."""

        outages: ClassVar[list[Outage | None]] = []

        async def write(self, records: Records) -> None:
            self.outages.append(running.outage)
            await super().write(records)
            await self.finish()

    sink = Watched(fails_at=1500, failures=2)
    the_plan = plan(duration_s=LONG_S, rate=None, max_records=20_000)
    running = run(the_plan, sink, outage_s=LONG_S)
    before = time.time()
    assert await running.to_end() == Outcome(State.COMPLETED)
    healthy, first, second, *rest = sink.outages
    assert healthy is None
    assert first is not None
    assert first == second  # it is one outage, however often the sink is tried
    assert first.reason == "the disk is full"
    assert before <= first.since <= time.time()
    assert first.until == first.since + LONG_S
    assert rest
    assert not any(rest)
    assert running.outage is None


async def test_during_an_outage_only_what_is_acknowledged_counts() -> None:
    class Watched(FakeSink):
        async def write(self, records: Records) -> None:
            await super().write(records)
            if self.writes == 1:
                await self.finish()
            elif running.outage:
                seen.append(running.acknowledged)

    seen: list[tuple[int, int]] = []
    the_plan = plan(duration_s=LONG_S, rate=None, max_records=20_000)
    sink = Watched(fails_at=10_000, failures=2)
    running = run(the_plan, sink, outage_s=LONG_S)
    assert await running.to_end() == Outcome(State.COMPLETED)
    assert {records for records, _ in seen} == {BLOCK_RECORDS}
    assert {size for _, size in seen} == {sum(map(len, sink.values[:BLOCK_RECORDS]))}


async def test_time_in_which_the_sink_is_away_does_not_count() -> None:
    sink = FakeSink(finish_error="not now", failures=4)
    running = run(plan(duration_s=1, rate=100.0), sink, outage_s=LONG_S)
    started = time.monotonic()
    assert await running.to_end() == Outcome(State.COMPLETED)
    # Four pauses of at least a half of 0.25, 0.5, 1 and 2 seconds.
    assert time.monotonic() - started > 1 + 1.8
    assert running.clock.elapsed_s < time.monotonic() - started - 1.8


async def test_a_sink_that_hangs_does_not_hold_a_stop_up() -> None:
    class Hanging(FakeSink):
        async def write(self, records: Records) -> None:
            await super().write(records)
            await asyncio.sleep(LONG_S)

        async def finish(self) -> None:
            await asyncio.sleep(LONG_S)

    sink = Hanging()
    running = run(plan(duration_s=LONG_S), sink, outage_s=LONG_S)
    task = asyncio.create_task(running.to_end())
    await asyncio.sleep(0.5)
    running.stop(Outcome(State.CANCELLED))
    assert await asyncio.wait_for(task, 30) == Outcome(State.CANCELLED)
    assert sink.values == []


@pytest.mark.parametrize("error", [None, SinkError("too late")])
async def test_a_stop_without_an_outcome_leaves_the_run_open(error: SinkError | None) -> None:
    sink = FakeSink(finish_error=str(error) if error else None)
    running = run(plan(duration_s=LONG_S), sink, outage_s=LONG_S)
    task = asyncio.create_task(running.to_end())
    await asyncio.sleep(0.5)
    running.stop(None)
    assert await asyncio.wait_for(task, 30) is None
    assert bool(sink.values) == (error is None)


async def test_a_run_that_goes_on_makes_what_is_missing() -> None:
    whole = FakeSink()
    the_plan = plan(rate=1000.0, duration_s=1)
    await run(the_plan, whole).to_end()
    rest = FakeSink()
    checkpoint = Checkpoint(elapsed_s=0.9, records=300, bytes=sum(map(len, whole.values[:300])), objects=1)
    later = replace(the_plan, checkpoint=checkpoint)
    rest.values = whole.values[:300]
    rest._acknowledged = rest.accepted_records = 300
    assert await run(later, rest).to_end() == Outcome(State.COMPLETED)
    assert rest.values == whole.values


async def test_a_sink_is_finished_also_when_the_records_cannot_be_made() -> None:
    class Broken(RecordSource):
        def take(self, at_most: int) -> Records:
            if self._next_index:
                raise ZeroDivisionError("a domain's defect")
            return super().take(at_most)

    the_plan = plan(duration_s=LONG_S)
    sink = FakeSink()
    with pytest.raises(ZeroDivisionError):
        await Run(the_plan, Broken(the_plan), sink, 0.0).to_end()
    assert sink.values
    assert sink.finishes == 1


async def test_a_slow_sink_ends_the_run_with_fewer_records_and_not_with_wrong_ones() -> None:
    class Slow(FakeSink):
        async def write(self, records: Records) -> None:
            await asyncio.sleep(0.2)
            await super().write(records.slice(0, 1))

    sink = Slow()
    outcome = await asyncio.wait_for(run(plan(duration_s=1, rate=1000.0), sink).to_end(), 30)
    assert outcome == Outcome(State.COMPLETED)
    assert 0 < sink.accepted_records < 100
