"""Run one emulation to its end inside a worker."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from data_emulator.engine.outage import Outage, one_line
from data_emulator.engine.plan import BLOCK_RECORDS, Plan
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
_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 5.0


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
        self._source = source
        self._outage_s = outage_s
        self._on_turn = on_turn
        self._stop = asyncio.Event()
        self._stop_as: Outcome | None = None
        self.acknowledged = (plan.checkpoint.records, plan.checkpoint.bytes)
        """Records and bytes that were final when the sink failed last."""
        self._outage: Outage | None = None
        self._gives_up_at = 0.0
        self._back_beyond_bytes: float = math.inf
        self._failures = 0

    @property
    def outage(self) -> Outage | None:
        """The outage being waited for; `None` if there is none, or the sink has acknowledged something again."""
        return self._outage if self._outage and self.sink.acknowledged_bytes <= self._back_beyond_bytes else None

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
        interrupted = False
        while True:
            try:
                await self._unless_stopped(self._emulate(may_take_longer=interrupted))
            except SinkError as error:
                interrupted = True
                if not await self._sink_is_back(error):
                    outcome = self._stop_as if self._stop.is_set() else Outcome(State.FAILED, self._failure(error))
                    await self._tidy_up(_TIDY_GRACE_S if self._stop.is_set() else _TIDY_FAILED_GRACE_S)
                    return outcome
            except Exception:
                with suppress(SinkError):  # a defect of the domain's: what was accepted before it is kept
                    await self.sink.finish()
                raise
            else:
                return self._stop_as if self._stop.is_set() else Outcome(State.COMPLETED)

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
        await self.sink.roll_back()
        with suppress(SinkError, TimeoutError):
            await asyncio.wait_for(self.sink.finish(), grace_s)

    async def _emulate(self, may_take_longer: bool) -> None:
        plan = self.plan
        self.clock.go_on()
        ends_at_s = plan.duration_s + _OVERTIME_S
        if may_take_longer or plan.checkpoint.elapsed_s:
            ends_at_s = float("inf")  # what was lost is made again, however late it has become
        while not self._stop.is_set():
            elapsed_s = self.clock.elapsed_s
            await self._write_due(plan.records_due(elapsed_s), ends_at_s)
            if elapsed_s >= plan.duration_s or self.sink.accepted_records == plan.max_records:
                break
            until_end_s = plan.duration_s - self.clock.elapsed_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, min(_TICK_S, until_end_s)))
        await self.sink.finish()

    async def _write_due(self, due: int | None, ends_at_s: float) -> None:
        """Write until all due records are written; `None` means until the time is up."""
        if due is None:
            ends_at_s = self.plan.duration_s
        while not self._stop.is_set() and self.clock.elapsed_s < ends_at_s:
            missing = BLOCK_RECORDS if due is None else due - self.sink.accepted_records
            if missing <= 0:
                return
            self._on_turn()
            await self.sink.write(self._source.take(missing))
            await asyncio.sleep(0)

    async def _sink_is_back(self, error: SinkError) -> bool:
        """After a failed write, go back to the last acknowledged record, and wait before it is tried again.

        The clock stands still meanwhile. Returns `False` when it is to be given up: the error is there to stay, the
        sink has been away for too long, or the emulation is to stop.
        """
        self.clock.pause()
        if error.permanent:
            return False
        was_at, _ = self.acknowledged
        self._note_outage(error, is_new=self._outage is None)
        self._back_beyond_bytes = math.inf  # what arrives during the roll-back does not show that it is back
        records = await self.sink.roll_back()
        self.acknowledged = (records, self.sink.accepted_bytes)
        self._back_beyond_bytes = self.sink.acknowledged_bytes
        if records > was_at:
            self._note_outage(error, is_new=True)
        if time.monotonic() > self._gives_up_at:
            return False
        self._source.seek(records)
        pause_s = min(_FIRST_RETRY_S * 2**self._failures, _LONGEST_RETRY_S) * random.uniform(0.5, 1.0)
        self._failures += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), pause_s)
        return not self._stop.is_set()

    def _note_outage(self, error: SinkError, *, is_new: bool) -> None:
        now = time.time()
        if is_new or self._outage is None:
            self._gives_up_at, self._failures = time.monotonic() + self._outage_s, 0
            self._outage = Outage(one_line(str(error)), now, now + self._outage_s)
        else:
            self._outage = replace(self._outage, reason=one_line(str(error)))

    def _failure(self, error: SinkError) -> str:
        """Return the error of a run that its sink ends."""
        return str(error) if error.permanent or self._outage is None else self._outage.given_up(time.time())
