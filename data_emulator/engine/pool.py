"""The worker processes, seen from the service: who runs what, and what they report."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

import structlog

from data_emulator.engine import worker
from data_emulator.engine.messages import Report, Shutdown, Start, Stop
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome
from data_emulator.settings import Settings

_SHUTDOWN_GRACE_S: Final = 10.0

log = structlog.get_logger(__name__)


class _Worker:
    """A process, its pipe, and the emulations that it was given and has not reported the end of."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.emulation_ids: set[str] = set()


class WorkerPool:
    """Spreads emulations over worker processes, and replaces a process that dies.

    :param on_reports: called with each batch of reports, from a thread of the pool.
    :param on_lost: called with the ids of emulations whose worker died, from a thread of the pool.
    """

    def __init__(
        self, settings: Settings, on_reports: Callable[[list[Report]], None], on_lost: Callable[[set[str]], None]
    ) -> None:
        self._settings = settings
        self._on_reports = on_reports
        self._on_lost = on_lost
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._readers: list[threading.Thread] = []
        self._closing = False

    def start(self) -> None:
        """Start the worker processes."""
        with self._lock:
            for _ in range(self._settings.workers):
                self._spawn()

    def run(self, plan: Plan) -> None:
        """Give an emulation to the worker that has the fewest."""
        with self._lock:
            chosen = min(self._workers, key=lambda worker: len(worker.emulation_ids))
            chosen.emulation_ids.add(plan.emulation_id)
            self._send(chosen, Start(plan))

    def stop(self, emulation_id: str, outcome: Outcome) -> None:
        """End an emulation soon, with this outcome, if it is still running."""
        with self._lock:
            for each in self._workers:
                if emulation_id in each.emulation_ids:
                    self._send(each, Stop(emulation_id, outcome))

    def shutdown(self, outcome: Outcome) -> None:
        """End all emulations with this outcome, then the processes; wait for both."""
        with self._lock:
            self._closing = True
            workers = list(self._workers)
            for each in workers:
                self._send(each, Shutdown(outcome))
        for each in workers:
            each.process.join(_SHUTDOWN_GRACE_S)
            if each.process.is_alive():
                each.process.kill()
        for reader in self._readers:
            reader.join(_SHUTDOWN_GRACE_S)

    def _spawn(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=worker.main, args=(theirs, self._settings), name="data-emulator-worker", daemon=True
        )
        process.start()
        theirs.close()  # so that the pipe ends when the worker does
        added = _Worker(process, ours)
        self._workers.append(added)
        reader = threading.Thread(target=self._read, args=(added,), name="worker-reports", daemon=True)
        self._readers.append(reader)
        reader.start()

    def _send(self, to: _Worker, order: Start | Stop | Shutdown) -> None:
        # If the worker has died, its reader finds out, and reports its emulations as lost.
        with suppress(OSError):
            to.pipe.send(order)

    def _read(self, of: _Worker) -> None:
        """Pass reports on until the worker's end of the pipe is closed."""
        while True:
            try:
                reports: list[Report] = of.pipe.recv()
            except (EOFError, OSError):
                break
            with self._lock:
                of.emulation_ids -= {report.emulation_id for report in reports if report.outcome}
            self._on_reports(reports)
        of.process.join()
        with self._lock:
            self._workers.remove(of)
            self._readers.remove(threading.current_thread())
            lost = set(of.emulation_ids)
            if not self._closing:
                log.error("worker died", exit_code=of.process.exitcode, emulations=len(lost))
                self._spawn()
        if lost:
            self._on_lost(lost)
