"""One emulation, run to its end inside a worker."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from data_emulator.engine.plan import Plan
from data_emulator.engine.source import BLOCK_RECORDS, RecordSource
from data_emulator.errors import SinkError
from data_emulator.sinks.base import Sink
from data_emulator.wire import State

_TICK_S: Final = 0.2
"""How often records that are due are written. A slow emulation then writes one record at a time."""
_OVERTIME_S: Final = 1.0
"""How long what is due at the end may take: after that the emulation ends with what it has."""


@dataclass(frozen=True)
class Outcome:
    """How an emulation ended."""

    state: State
    error: str | None = None


class Run:
    """An emulation being run.

    :param sink: where its records go; it is finished here, whatever happens.
    """

    def __init__(self, plan: Plan, source: RecordSource, sink: Sink) -> None:
        self.plan = plan
        self.sink = sink
        self._source = source
        self._stop = asyncio.Event()
        self._stop_as = Outcome(State.CANCELLED)
        self._started = time.monotonic()

    def stop(self, outcome: Outcome) -> None:
        """End the emulation soon, keeping what has been written."""
        self._stop_as = outcome
        self._stop.set()

    async def to_end(self) -> Outcome:
        """Emulate until the time is up, the records are out, a sink fails or `stop` is called.

        A defect of the domain is raised as it is, once the sink has finished with what it had accepted.
        """
        try:
            try:
                await self._emulate()
            except Exception:
                with suppress(SinkError):  # the first failure tells more than those that follow from it
                    await self.sink.finish()
                raise
            await self.sink.finish()
        except SinkError as error:
            return Outcome(State.FAILED, str(error))
        return self._stop_as if self._stop.is_set() else Outcome(State.COMPLETED)

    async def _emulate(self) -> None:
        plan = self.plan
        while not self._stop.is_set():
            elapsed_s = time.monotonic() - self._started
            await self._write_due(plan.records_due(elapsed_s))
            if elapsed_s >= plan.duration_s or self.sink.accepted_records == plan.max_records:
                return
            until_end_s = plan.duration_s - (time.monotonic() - self._started)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, min(_TICK_S, until_end_s)))

    async def _write_due(self, due: int | None) -> None:
        """Write until as many records are out as are due; `None`: until the time is up."""
        ends = self._started + self.plan.duration_s + (0 if due is None else _OVERTIME_S)
        while not self._stop.is_set() and time.monotonic() < ends:
            missing = BLOCK_RECORDS if due is None else due - self.sink.accepted_records
            if missing <= 0:
                return
            await self.sink.write(self._source.take(missing))
            await asyncio.sleep(0)
