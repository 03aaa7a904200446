"""A worker process: an event loop in which emulations take turns, a block at a time."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

from data_emulator.domains import all_domains
from data_emulator.domains.people import name_pools
from data_emulator.domains.world import world
from data_emulator.engine.layout import layout
from data_emulator.engine.messages import Opened, Prepared, Proceed, Report, Reports, Shutdown, Start, Stop
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.model import Commit, State, Written
from data_emulator.settings import Settings
from data_emulator.sinks.base import Channel, Sink
from data_emulator.sinks.catalog import SINKS

REPORT_INTERVAL_S: Final = 0.5
_NICENESS: Final = 15
"""Workers yield to the process that answers requests: it is theirs to be busy, its to be quick."""


def main(pipe: Connection, settings: Settings, writer_id: str, at_work: Any) -> None:
    """Run emulations until told to shut down, or until the service is gone. The body of a worker process.

    :param writer_id: what its commits are known by; no other process has it.
    :param at_work: memory shared with the service, for the id of the emulation whose turn it is.
    """
    # The terminal's ctrl-C reaches the whole process group: it is the service that ends its workers, in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    asyncio.run(Worker(pipe, settings, writer_id, at_work).serve())


class Worker:
    """The emulations of one process, and its end of the pipe."""

    def __init__(self, pipe: Connection, settings: Settings, writer_id: str, at_work: Any) -> None:
        self._pipe = pipe
        self._at_work = at_work
        self._settings = settings
        self._writer_id = writer_id
        self._runs: dict[str, Run] = {}
        self._ended: list[tuple[str, Run | None, Outcome | None]] = []
        self._in_doubt: dict[str, Run] = {}
        """Those that have ended while their sink could not tell what is final."""
        self._to_report = asyncio.Event()
        self._proceed = asyncio.Event()
        self._shutdown = False
        self._settled = False
        self._channels: dict[str, Channel] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take orders and send reports until told to shut down and all emulations have ended."""
        warm_up(self._settings)
        gc.freeze()  # a full collection would hold every emulation up, and find nothing in what is there by now
        self._send_reports()  # from here on, silence means that we hang
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._take_orders)
        while not (self._shutdown and not self._tasks):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._to_report.wait(), REPORT_INTERVAL_S)
            self._to_report.clear()
            self._send_reports()
        self._send_reports()
        for task in self._serving:
            task.cancel()

    def _take_orders(self) -> None:
        try:
            while self._pipe.poll():
                for order in self._pipe.recv():
                    self._obey(order)
        except (EOFError, OSError):
            # The service is gone. It finds in its store what had been reported; nobody is left to report to.
            os._exit(1)

    def _obey(self, order: Start | Stop | Proceed | Shutdown) -> None:
        match order:
            case Start(plan):
                self._start(plan)
            case Stop(emulation_id, outcome):
                if emulation_id in self._runs:
                    self._runs[emulation_id].stop(outcome)
            case Proceed():
                self._proceed.set()
            case Shutdown():
                self._shutdown = True
                for run in self._runs.values():
                    run.stop(None)
                self._to_report.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._to_report.set()

    def _start(self, plan: Plan) -> None:
        try:
            source = RecordSource(plan)
            sink = self._sink(plan, source)
            run = Run(plan, source, sink, self._settings.sink_outage_s, partial(self._note_turn, plan.emulation_id))
        except Exception as error:
            self._ended.append((plan.emulation_id, None, _defect(error)))
            self._to_report.set()
            return
        self._runs[plan.emulation_id] = run
        task = asyncio.create_task(self._run_to_end(run))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _note_turn(self, emulation_id: str) -> None:
        """Record whose turn it is, so that the service knows which emulation to suspect if the process dies."""
        self._at_work.value = emulation_id.encode()

    async def _run_to_end(self, run: Run) -> None:
        outcome: Outcome | None
        try:
            outcome = await run.to_end()
        except Exception as error:
            outcome = _defect(error)
        del self._runs[run.plan.emulation_id]
        self._ended.append((run.plan.emulation_id, run, outcome))

    def _sink(self, plan: Plan, source: RecordSource) -> Sink:
        destination = all_domains()[plan.domain].destination
        channel = self._channel(plan.sink)
        return channel.open(
            destination, plan.emulation_id, plan.checkpoint, lambda: layout(plan, source), plan.part_bytes
        )

    def _channel(self, sink: str) -> Channel:
        """Return what this worker's emulations share on their way there, made for the first of them."""
        if sink not in self._channels:
            channel = SINKS[sink].channel(self._settings, _Commits(self, self._writer_id, sink))
            task = asyncio.create_task(channel.serve())
            task.add_done_callback(_die_if_failed)
            self._serving.add(task)
            self._channels[sink] = channel
        return self._channels[sink]

    def announce_commits(self, sink: str) -> None:
        """Tell the service that commits of this kind of sink will be made."""
        self._pipe.send(Opened(sink))

    def report_settled(self) -> None:
        """Report soon, and that it is known what became of the last commit."""
        self._settled = True
        self._to_report.set()

    async def prepare(self, commit: Commit) -> None:
        """Return once the service has stored what is about to be committed."""
        self._proceed.clear()
        self._send_reports()
        self._pipe.send(Prepared(commit))
        await self._proceed.wait()

    def _send_reports(self) -> None:
        """Report the progress of all emulations in one message, so that the service stores it in one transaction."""
        running = [_report(emulation_id, run, None) for emulation_id, run in self._runs.items()]
        decided = [emulation_id for emulation_id, run in self._in_doubt.items() if not run.sink.is_in_doubt]
        late = [replace(_report(each, self._in_doubt.pop(each), None), is_late=True) for each in decided]
        ended = [_report(emulation_id, run, outcome) for emulation_id, run, outcome in self._ended]
        self._in_doubt |= {key: run for key, run, _ in self._ended if run is not None and run.sink.is_in_doubt}
        self._ended = []
        settled, self._settled = self._settled, False
        self._pipe.send(Reports(running + ended + late, settled))  # also if there is nothing: it shows that we live


class _Commits:
    """Has the service store the commits of a kind of sink before they are made."""

    def __init__(self, of: Worker, writer_id: str, sink: str) -> None:
        self.writer_id = writer_id
        self._worker = of
        self._sink = sink

    def begin(self) -> None:
        self._worker.announce_commits(self._sink)

    async def prepare(self, commit: Commit) -> None:
        await self._worker.prepare(commit)

    def settled(self) -> None:
        self._worker.report_settled()


def _die_if_failed(task: asyncio.Task[None]) -> None:
    """End the process if a channel has a defect: the service notices, and lets another worker go on."""
    if not task.cancelled() and task.exception() is not None:
        traceback.print_exception(task.exception())
        os._exit(1)


def warm_up(settings: Settings) -> None:
    """Create what all emulations share, so that the first one does not start late."""
    name_pools()
    world(settings.world_seed, settings.world_users, settings.fraud_share)


def _defect(error: Exception) -> Outcome:
    """Return how an emulation ends by a defect of ours, or of its domain's: as failed, and no other with it."""
    return Outcome(State.FAILED, f"internal error: {type(error).__name__}: {error}")


def _report(emulation_id: str, run: Run | None, outcome: Outcome | None) -> Report:
    if run is None:
        return Report(emulation_id, 0.0, 0, 0, Written(), outcome, may_have_strays=True)  # of the worker before it
    outage = None if outcome else run.outage
    records, size = run.acknowledged if outage else (run.sink.accepted_records, run.sink.accepted_bytes)
    elapsed_s = run.clock.elapsed_s if outcome else run.elapsed_s
    written, may_have_strays = run.sink.take_written(), run.sink.may_have_strays
    return Report(emulation_id, elapsed_s, records, size, written, outcome, outage, run.owed_records, may_have_strays)
