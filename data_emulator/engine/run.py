"""Run one emulation to its end inside a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from data_emulator.engine.outage import Outage
from data_emulator.engine.plan import BLOCK_RECORDS, Plan
from data_emulator.engine.sink_outages import SinkOutages
from data_emulator.engine.source import RecordSource
from data_emulator.engine.stopwatch import Stopwatch
from data_emulator.errors import SinkError
from data_emulator.model import State
from data_emulator.sinks.base import Sink

_TICK_S: Final = 0.2
"""How often records that are due are written. A slow emulation then writes one record at a time."""
_OVERTIME_S: Final = 1.0
"""How long what is due at the end may take: after that the emulation ends with what it has."""
_STOP_GRACE_S: Final = 1.1
"""How long what is under way may take after `stop`. With the next, it keeps a cancellation within two seconds."""
_TIDY_GRACE_S: Final = 0.5
"""How long it may take to tidy up when that was not enough."""
_TIDY_FAILED_GRACE_S: Final = 5.0
"""The same for an emulation that has failed, whose end nobody hurries."""


@dataclass(frozen=True)
class Outcome:
    """How an emulation ended."""

    state: State
    error: str | None = None


class Run:
    """An emulation being run.

    :param outage_s: how long its sink may be away before the emulation fails.
    :param on_turn: called each time before it makes records.
    """

    def __init__(
        self,
        plan: Plan,
        source: RecordSource,
        sink: Sink,
        outage_s: float,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self.sink = sink
        self.clock = Stopwatch(plan.checkpoint.elapsed_s)
        self.elapsed_s = plan.checkpoint.elapsed_s
        """What the clock showed when the sink last took what it was given: where the clock resumes after an outage."""
        self.owed_records = plan.checkpoint.owed_records
        """The most records that it has ever accepted, and owes if some of them are lost."""
        self._source = source
        self._on_turn = on_turn
        self._stop = asyncio.Event()
        self._stop_as: Outcome | None = None
        self.acknowledged = (plan.checkpoint.records, plan.checkpoint.bytes)
        """Records and bytes that were final when the sink failed last."""
        self._outages = SinkOutages(outage_s, plan.checkpoint.bytes)

    @property
    def outage(self) -> Outage | None:
        """The outage being waited for; `None` if there is none, or the sink has acknowledged something again."""
        return self._outages.current(self.sink.acknowledged_bytes)

    def stop(self, outcome: Outcome | None) -> None:
        """Stop soon, keeping what has been written.

        :param outcome: how it has ended then; `None`: it has not, another worker will go on.
        """
        self._stop_as = outcome
        self._stop.set()

    async def to_end(self) -> Outcome | None:
        """Emulate until the time is up, the records are out, the sink is gone for too long or `stop` is called.

        A defect of the domain is raised as it is.

        :return: how it ended; `None` if it was stopped to be gone on with.
        """
        while True:
            try:
                await self._unless_stopped(self._emulate())
            except SinkError as error:
                if not await self._sink_is_back(error):
                    outcome = (
                        self._stop_as if self._stop.is_set() else Outcome(State.FAILED, self._outages.error(error))
                    )
                    await self._tidy_up(_TIDY_GRACE_S if self._stop.is_set() else _TIDY_FAILED_GRACE_S)
                    return outcome
            except Exception:
                with suppress(SinkError):  # a defect of the domain's: what was accepted before it is kept
                    await self.sink.finish()
                raise
            else:
                return self._stop_as if self._stop.is_set() else self._completed()

    def _completed(self) -> Outcome:
        made, least = self.sink.accepted_records, self.plan.least_records
        if least is None or made >= least:
            return Outcome(State.COMPLETED)
        error = f"its time was up after {made:,} of the {least:,} records asked for, which is a failure (fail_if_short)"
        return Outcome(State.FAILED, error)

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, but do not wait for it long after `stop`: a sink that hangs must not hold a cancellation up."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            _, late = await asyncio.wait({task}, timeout=_STOP_GRACE_S if self._stop.is_set() else None)
            if late:
                task.cancel()
                await asyncio.wait({task})
                await self._tidy_up(_TIDY_GRACE_S)
            else:
                task.result()
        finally:
            stopped.cancel()

    async def _tidy_up(self, grace_s: float) -> None:
        """Give up what is not acknowledged, and let the sink delete what it has left behind, if it can in this time."""
        with suppress(SinkError, TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.sink.roll_back()
                await self.sink.finish()

    async def _emulate(self) -> None:
        plan = self.plan
        await self._make_owed()
        self.clock.go_on()
        is_over = False
        while not self._stop.is_set():
            elapsed_s = self.clock.elapsed_s
            is_over = elapsed_s >= plan.duration_s
            due = plan.records_due(elapsed_s)
            # What is late at the end gets its second from when that is noticed: a write may have taken very long.
            overtime_ends_s = elapsed_s + _OVERTIME_S if is_over and plan.rate else plan.duration_s
            await self._write_due(due, overtime_ends_s)
            if is_over or self.sink.accepted_records == plan.max_records:
                break
            until_end_s = plan.duration_s - self.clock.elapsed_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, min(_TICK_S, until_end_s)))
        if self._stop.is_set() and self._stop_as is None:
            await self.sink.suspend()
        else:
            await self.sink.finish()

    async def _make_owed(self) -> None:
        """Make again what had been accepted before an interruption. The clock stands still, as it has counted that."""
        missing = self.owed_records - self.sink.accepted_records
        if missing <= 0:
            return
        self.clock.pause_at(self.elapsed_s)
        while not self._stop.is_set() and missing > 0:
            await self._write(missing)
            missing = self.owed_records - self.sink.accepted_records

    async def _write_due(self, due: int | None, ends_at_s: float) -> None:
        """Write until all due records are written, or until the time is up; `None` means that any number is due."""
        while not self._stop.is_set() and self.clock.elapsed_s < ends_at_s:
            missing = BLOCK_RECORDS if due is None else due - self.sink.accepted_records
            if missing <= 0:
                break
            await self._write(missing)
        self._note_taken()

    async def _write(self, at_most: int) -> None:
        """Write records, as many as make a block, and let others have their turn."""
        self._on_turn()
        await self.sink.write(self._source.take(at_most))
        self._note_taken()
        await asyncio.sleep(0)

    def _note_taken(self) -> None:
        """Note that the sink has taken all that it was given by now."""
        self.elapsed_s = self.clock.elapsed_s
        self.owed_records = max(self.owed_records, self.sink.accepted_records)

    async def _sink_is_back(self, error: SinkError) -> bool:
        """After a failed write, go back to the last acknowledged record, and wait before it is tried again.

        The clock goes back to when the sink last took records, and stands still. Returns `False` when it is to be given
        up: the error is there to stay, the sink has been away for too long, or the emulation is to stop.
        """
        self.clock.pause_at(self.elapsed_s)
        if error.permanent:
            return False
        self._outages.note_failure(error, self.sink.acknowledged_bytes)
        if not await self._rolled_back():
            return False
        self.acknowledged = (self.sink.accepted_records, self.sink.accepted_bytes)
        self._outages.note_roll_back(error, self.sink.accepted_bytes)
        if self._outages.gives_up_in_s < 0:
            return False
        self._source.seek(self.sink.accepted_records)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._outages.next_pause_s())
        return not self._stop.is_set()

    async def _rolled_back(self) -> bool:
        """Roll the sink back, and return whether it could in time: a broker that is away does not tell what it has."""
        rolling_back = asyncio.create_task(self.sink.roll_back())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            patience_s = max(_TIDY_GRACE_S, self._outages.gives_up_in_s)
            await asyncio.wait({rolling_back, stopped}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({rolling_back}, timeout=_TIDY_GRACE_S)
            if rolling_back.done():
                rolling_back.result()
                return True
            return False
        finally:
            for task in (rolling_back, stopped):
                task.cancel()
