"""A worker process: an event loop in which emulations take turns, a block at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

from confluent_kafka import Producer

from data_emulator.domains import all_domains
from data_emulator.domains.people import name_pools
from data_emulator.domains.world import world
from data_emulator.engine.messages import Report, Shutdown, Start, Stop
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome, Run
from data_emulator.engine.source import RecordSource
from data_emulator.settings import Settings
from data_emulator.sinks import kafka, s3
from data_emulator.sinks.base import Sink, Written
from data_emulator.wire import State

REPORT_INTERVAL_S: Final = 0.5


def main(pipe: Connection, settings: Settings) -> None:
    """Run emulations until told to shut down, or until the service is gone. The body of a worker process."""
    # The terminal's ctrl-C reaches the whole process group: it is the service that ends its workers, in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(Worker(pipe, settings).serve())


class Worker:
    """The emulations of one process, and its end of the pipe."""

    def __init__(self, pipe: Connection, settings: Settings) -> None:
        self._pipe = pipe
        self._settings = settings
        self._runs: dict[str, tuple[Run, float]] = {}
        self._starting: dict[str, Outcome | None] = {}
        """Ordered and not yet in `_runs`: `None`, or how to end at once, if an order to stop came so soon."""
        self._ended: list[Report] = []
        self._to_report = asyncio.Event()
        self._shutdown = False
        self._producer: Producer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take orders and send reports until told to shut down and all emulations have ended."""
        warm_up(self._settings)
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._take_orders)
        while not (self._shutdown and not self._tasks):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._to_report.wait(), REPORT_INTERVAL_S)
            self._to_report.clear()
            self._send_reports()
        self._send_reports()

    def _take_orders(self) -> None:
        try:
            while self._pipe.poll():
                self._obey(self._pipe.recv())
        except (EOFError, OSError):
            # The service is gone. It finds in its store what had been reported; nobody is left to report to.
            os._exit(1)

    def _obey(self, order: Start | Stop | Shutdown) -> None:
        match order:
            case Start(plan):
                self._starting[plan.emulation_id] = None
                task = asyncio.create_task(self._run(plan))
                self._tasks.add(task)
                task.add_done_callback(self._done)
            case Stop(emulation_id, outcome):
                if emulation_id in self._runs:
                    self._runs[emulation_id][0].stop(outcome)
                elif emulation_id in self._starting:
                    self._starting[emulation_id] = outcome
            case Shutdown(outcome):
                self._shutdown = True
                for run, _ in self._runs.values():
                    run.stop(outcome)
                self._starting = dict.fromkeys(self._starting, outcome)
                self._to_report.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._to_report.set()

    async def _run(self, plan: Plan) -> None:
        started_at = time.time()
        sink: Sink | None = None
        try:
            source = RecordSource(plan, int(started_at * 1e6))
            sink = self._sink(plan, source)
            run = Run(plan, source, sink)
            self._runs[plan.emulation_id] = (run, started_at)
            if stop_as := self._starting[plan.emulation_id]:
                run.stop(stop_as)
            outcome = await run.to_end()
        except Exception as error:  # a defect of ours, or of a domain's, ends this emulation as failed, and no other
            outcome = Outcome(State.FAILED, f"internal error: {type(error).__name__}: {error}")
        self._starting.pop(plan.emulation_id)
        self._runs.pop(plan.emulation_id, None)
        self._ended.append(_report(plan.emulation_id, started_at, sink, outcome))

    def _sink(self, plan: Plan, source: RecordSource) -> Sink:
        destination = all_domains()[plan.domain].destination
        if plan.sink == "kafka":
            self._producer = self._producer or kafka.producer(self._settings)
            return kafka.KafkaSink(self._producer, destination)
        return s3.S3Sink(
            s3.open_bucket(self._settings, destination, s3.write_timeout(self._settings)),
            prefix=plan.emulation_id,
            extension=plan.format,
            header=source.header(),
            max_object_bytes=plan.max_chunk_size if plan.sync_type == "chunked" else None,
            max_object_records=None if plan.sync_type in ("grouped", "chunked") else 1,
        )

    def _send_reports(self) -> None:
        """Send how far every emulation is: one message for all, so that the service stores it in one transaction."""
        ended, self._ended = self._ended, []
        running = [_report(emulation_id, at, run.sink, None) for emulation_id, (run, at) in self._runs.items()]
        if running or ended:
            self._pipe.send(running + ended)


def warm_up(settings: Settings) -> None:
    """Make what all emulations share, so that the first one does not start late."""
    name_pools()
    world(settings.world_seed, settings.world_users)


def _report(emulation_id: str, started_at: float, sink: Sink | None, outcome: Outcome | None) -> Report:
    if sink is None:
        return Report(emulation_id, started_at, 0, 0, Written(), outcome)
    return Report(emulation_id, started_at, sink.accepted_records, sink.accepted_bytes, sink.take_written(), outcome)
