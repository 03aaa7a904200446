"""A rate is held in every window of ten seconds, and what an interruption took is made up for: in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.model import Records, State
from tests.support.engine_fakes import FakeSink, plan
from tests.support.virtual_time import Clock, run_virtually

WINDOW_S = 10.0


class Timing(FakeSink):
    """Keeps when each record arrived, not the records. A write takes some time."""

    def __init__(self, clock: Clock, fails_from_s: float, fails_until_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._fails_from_s = fails_from_s
        self._fails_until_s = fails_until_s
        self.arrived_s: list[float] = []

    async def write(self, records: Records) -> None:
        if self._fails_from_s <= self._clock.now_s < self._fails_until_s:
            self._fail("not now")
        await asyncio.sleep(0.003)
        self.arrived_s += [self._clock.now_s] * len(records)
        self.accepted_records = len(self.arrived_s)

    async def finish(self) -> None:
        self._acknowledged = len(self.arrived_s)

    async def roll_back(self) -> int:
        # As a store or broker does, it keeps what it acknowledged a while ago.
        kept = int(np.searchsorted(self.arrived_s, self._clock.now_s - 0.5))
        self._acknowledged = max(self._acknowledged, kept)
        del self.arrived_s[self._acknowledged :]
        self.accepted_records = len(self.arrived_s)
        return self._acknowledged


RATES = [1.0, 3.0, 49.9, 1000.0, 20_000.0]


@pytest.mark.parametrize("rate", RATES)
def test_every_window_holds_the_rate(clock: Clock, rate: float) -> None:
    the_plan = plan(rate=rate, duration_s=60)
    sink = Timing(clock, 0.0, 0.0)
    assert run_virtually(clock, Run(the_plan, RecordSource(the_plan), sink, 0.0).to_end()) == Outcome(State.COMPLETED)
    arrived = np.array(sink.arrived_s)
    assert len(arrived) == int(60 * rate)
    for start in np.arange(0.0, 60.0 - WINDOW_S, 0.7):
        count = int(np.sum((arrived >= start) & (arrived < start + WINDOW_S)))
        # Two records more or less are the edges of the window.
        assert abs(count - rate * WINDOW_S) <= max(0.02 * rate * WINDOW_S, 2), f"{count} from {start:.1f} s on"


@pytest.mark.parametrize("rate", RATES)
def test_an_interruption_is_made_up_for_and_then_the_rate_is_held(clock: Clock, rate: float) -> None:
    the_plan = plan(rate=rate, duration_s=60)
    sink = Timing(clock, fails_from_s=10.0, fails_until_s=25.0)
    outcome = run_virtually(clock, Run(the_plan, RecordSource(the_plan), sink, 100.0).to_end())
    assert outcome == Outcome(State.COMPLETED)
    arrived = np.array(sink.arrived_s)
    assert sink.failed > 0
    assert len(arrived) == int(60 * rate)
    assert arrived[-1] > 60 + 14  # the time that it was away for does not count
    for start in np.arange(40.0, arrived[-1] - WINDOW_S, 0.7):
        count = int(np.sum((arrived >= start) & (arrived < start + WINDOW_S)))
        assert abs(count - rate * WINDOW_S) <= max(0.02 * rate * WINDOW_S, 2), f"{count} from {start:.1f} s on"


@pytest.mark.parametrize("rate", [None, *RATES])
@pytest.mark.parametrize("interrupted", [False, True])
def test_max_records_is_exact(clock: Clock, rate: float | None, interrupted: bool) -> None:
    the_plan = plan(rate=rate, duration_s=100_000, max_records=2_345)
    sink = Timing(clock, fails_from_s=0.0, fails_until_s=20.0 if interrupted else 0.0)
    outcome = run_virtually(clock, Run(the_plan, RecordSource(the_plan), sink, 100.0).to_end())
    assert outcome == Outcome(State.COMPLETED)
    assert sink.accepted_records == len(sink.arrived_s) == 2_345
    assert (sink.failed > 0) == interrupted


@pytest.mark.parametrize("rate", RATES)
def test_event_times_are_as_far_apart_as_the_rate_says(rate: float) -> None:
    the_plan = plan(rate=rate, duration_s=60, started_us=1_795_000_000_000_000)
    source = RecordSource(the_plan)
    times: list[float] = []
    while len(times) < int(60 * rate):
        times += source.take(10_000).batch.column("timestamp").to_pylist()
    seconds = np.array(times[: int(60 * rate)]) - 1_795_000_000
    for start in np.arange(0.0, 60.0 - WINDOW_S, 0.7):
        count = int(np.sum((seconds >= start) & (seconds < start + WINDOW_S)))
        assert abs(count - rate * WINDOW_S) <= 1
