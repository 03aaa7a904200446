"""What was accepted before an interruption is made again, no more and no less, whatever the clock says.

All in virtual time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from data_emulator.engine.plan import BLOCK_RECORDS, Plan
from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.errors import SinkError
from data_emulator.model import Checkpoint, Records, State
from tests.support.engine_fakes import FakeSink, plan
from tests.support.virtual_time import Clock, run_virtually

WRITE_S = 0.01
"""What a write takes: so many records are accepted in a second as fast as it goes, 100 blocks."""


class OneObject(FakeSink):
    """A grouped emulation's sink: nothing is final before the end. It keeps numbers, not records.

    :param away_s: from when to when it refuses; a write that meets it then hangs for `hangs_s` first.
    :param part_records: it acknowledges parts of so many records, final only at the end.
    """

    def __init__(
        self, clock: Clock, *away_s: tuple[float, float], hangs_s: float = 0.0, part_records: int | None = None
    ) -> None:
        super().__init__()
        self._clock = clock
        self._away_s = away_s
        self._hangs_s = hangs_s
        self._part_records = part_records
        self.made = 0
        """All records that it was ever given."""

    @property
    def acknowledged_bytes(self) -> int:
        if self._part_records:
            return self.accepted_records - self.accepted_records % self._part_records
        return self._acknowledged

    async def write(self, records: Records) -> None:
        await self._fail_if_away()
        await asyncio.sleep(WRITE_S)
        self.accepted_records += len(records)
        self.accepted_bytes = self.accepted_records
        self.made += len(records)

    async def finish(self) -> None:
        await self._fail_if_away()
        self._acknowledged = self.accepted_records

    async def roll_back(self) -> int:
        self.accepted_records = self.accepted_bytes = self._acknowledged
        return self._acknowledged

    async def _fail_if_away(self) -> None:
        if any(start <= self._clock.now_s < end for start, end in self._away_s):
            await asyncio.sleep(self._hangs_s)
            raise SinkError("the store is away")


class Numbers(RecordSource):
    """Makes records of which only the number counts."""

    def __init__(self) -> None:
        pass

    def take(self, at_most: int) -> Records:
        return Records(None, None, range(min(at_most, BLOCK_RECORDS)))

    def seek(self, index: int) -> None:
        pass


def run(the_plan: Plan, sink: FakeSink, outage_s: float = 300.0) -> Run:
    return Run(the_plan, Numbers(), sink, outage_s)


UNTHROTTLED = plan(rate=None, duration_s=20)
THROTTLED = plan(rate=50_000.0, duration_s=20)
BACKFILL = plan(rate=50_000.0, duration_s=20, backfill_us=(1_700_000_000_000_000, 1_700_086_400_000_000))


def undisturbed(the_plan: Plan) -> float:
    """Return how many records a run makes that nothing happens to."""
    return (the_plan.rate or BLOCK_RECORDS / WRITE_S) * the_plan.duration_s


@pytest.mark.parametrize("the_plan", [UNTHROTTLED, THROTTLED, BACKFILL], ids=["unthrottled", "throttled", "backfill"])
@pytest.mark.parametrize("hangs_s", [0.0, 30.0])
@pytest.mark.parametrize("away_s", [(2.0, 7.0), (17.6, 25.0), (19.999, 24.0)], ids=["early", "late", "closing"])
def test_an_outage_costs_no_records(clock: Clock, the_plan: Plan, away_s: tuple[float, float], hangs_s: float) -> None:
    whole = undisturbed(the_plan)
    sink = OneObject(clock, away_s, hangs_s=hangs_s)
    disturbed = run(the_plan, sink)
    assert run_virtually(clock, disturbed.to_end()) == Outcome(State.COMPLETED)
    assert sink.accepted_records == pytest.approx(whole, rel=0.02)
    assert sink.made < 2.1 * whole


@pytest.mark.parametrize("the_plan", [UNTHROTTLED, THROTTLED, BACKFILL], ids=["unthrottled", "throttled", "backfill"])
@pytest.mark.parametrize("at_s", [5.0, 17.6, 20.5], ids=["early", "late", "closing"])
def test_a_resumption_makes_what_had_been_accepted_and_the_rest_of_its_time(
    clock: Clock, the_plan: Plan, at_s: float
) -> None:
    whole = undisturbed(the_plan)
    share = min(at_s / the_plan.duration_s, 1.0)
    resumed = replace(the_plan, checkpoint=Checkpoint(elapsed_s=at_s, owed_records=int(share * whole)))
    sink = OneObject(clock)
    assert run_virtually(clock, run(resumed, sink).to_end()) == Outcome(State.COMPLETED)
    assert sink.accepted_records == pytest.approx(whole, rel=0.02)


def test_a_passing_error_does_not_suspend_the_timeout(clock: Clock) -> None:
    the_plan = plan(rate=None, duration_s=1, max_records=1_000_000_000)
    whole = undisturbed(the_plan)
    sink = OneObject(clock, (0.5, 5.5))
    assert run_virtually(clock, run(the_plan, sink).to_end()) == Outcome(State.COMPLETED)
    assert sink.accepted_records == pytest.approx(whole, rel=0.05)
    assert clock.now_s < 20


def test_a_second_interruption_owes_what_the_first_did(clock: Clock) -> None:
    whole = undisturbed(UNTHROTTLED)
    # The second comes while what the first cost is being made again.
    sink = OneObject(clock, (17.6, 20.0), (22.0, 24.0))
    assert run_virtually(clock, run(UNTHROTTLED, sink).to_end()) == Outcome(State.COMPLETED)
    assert sink.accepted_records == pytest.approx(whole, rel=0.02)


def test_a_run_that_stops_during_an_outage_still_owes_its_records(clock: Clock) -> None:
    sink = OneObject(clock, (10.0, 1e9))
    running = run(UNTHROTTLED, sink, outage_s=1e9)

    async def stopped_at(at_s: float) -> Outcome | None:
        task = asyncio.create_task(running.to_end())
        await asyncio.sleep(at_s)
        running.stop(None)
        return await task

    assert run_virtually(clock, stopped_at(15.0)) is None
    assert sink.accepted_records == 0
    assert running.owed_records > 0
    assert running.elapsed_s == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize("rate", [None, 50_000.0])
def test_a_run_whose_process_was_stopped_over_its_end_makes_what_is_due(clock: Clock, rate: float | None) -> None:
    class Stopped(OneObject):
        async def write(self, records: Records) -> None:
            await super().write(records)
            if 9.9 < self._clock.now_s < 11:
                self._clock.now_s += 100

    sink = Stopped(clock)
    the_plan = plan(rate=rate, duration_s=20)
    assert run_virtually(clock, run(the_plan, sink).to_end()) == Outcome(State.COMPLETED)
    assert sink.accepted_records >= (20 * 50_000 if rate else 9.5 * 8192 / WRITE_S)


def test_outages_apart_from_each_other_are_counted_apart(clock: Clock) -> None:
    sink = OneObject(clock, *((start_s, start_s + 200.0) for start_s in (600.0, 1200.0, 1800.0)), part_records=100)
    assert run_virtually(clock, run(plan(rate=10.0, duration_s=2000), sink, outage_s=300).to_end()) == Outcome(
        State.COMPLETED
    )
    assert sink.accepted_records == 20_000


def test_an_outage_is_as_long_as_allowed_and_no_longer(clock: Clock) -> None:
    sink = OneObject(clock, (100.0, 1e9), part_records=100)
    outcome = run_virtually(clock, run(plan(rate=10.0, duration_s=3600), sink, outage_s=300).to_end())
    assert outcome is not None
    assert outcome.state is State.FAILED
    assert "gave up after 30" in str(outcome.error)
    assert clock.now_s == pytest.approx(400, abs=10)


def test_a_sink_that_takes_parts_and_never_the_last_is_given_up(clock: Clock) -> None:
    class NeverDone(OneObject):
        async def finish(self) -> None:
            raise SinkError("the store refuses the last part")

    sink = NeverDone(clock, part_records=1000)
    outcome = run_virtually(clock, run(plan(rate=1000.0, duration_s=600), sink, outage_s=300).to_end())
    assert outcome is not None
    assert outcome.state is State.FAILED
    assert 900 <= clock.now_s < 910
