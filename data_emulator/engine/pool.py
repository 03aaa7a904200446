"""The pool of worker processes: assignments, and messages from workers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import threading
import uuid
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Protocol

import structlog

from data_emulator.engine import worker
from data_emulator.engine.messages import Opened, Prepared, Proceed, Report, Reports, Shutdown, Start, Stop
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome
from data_emulator.model import Commit
from data_emulator.settings import Settings

_SHUTDOWN_GRACE_S: Final = 10.0
_ID_LENGTH: Final = 36
_WATCH_S: Final = 1.0
SILENT_S: Final = 60.0
"""A worker that has said nothing for so long is killed. It reports twice a second, but not while it makes a block of
records: a domain has this long for one."""

log = structlog.get_logger(__name__)


Order = Start | Stop | Proceed | Shutdown


class Listener(Protocol):
    """Callbacks for worker messages. Each method is called from a thread of the pool."""

    def on_opened(self, writer_id: str, sink: str) -> None:
        """Handle the announcement that a worker will make commits of this kind of sink."""

    def on_prepared(self, writer_id: str, commit: Commit) -> None:
        """Store what is about to be committed; the commit proceeds when this returns."""

    def on_reports(self, writer_id: str, reports: list[Report], settled: bool) -> None:
        """Handle progress reports."""

    def on_lost(self, writer_id: str, emulation_ids: set[str], suspect: str, hung: bool) -> None:
        """Handle the loss of a worker and its emulations: in the turn of `suspect` it died, or hung and was killed."""


class _Worker:
    """A worker process, its pipe, and its unfinished emulations."""

    def __init__(self, process: SpawnProcess, pipe: Connection, writer_id: str, at_work: Any) -> None:
        self.process = process
        self.pipe = pipe
        self.writer_id = writer_id
        self.at_work = at_work
        self.emulation_ids: set[str] = set()
        self.orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self.silent_s: float | None = None
        """For how long it has been waited for a message; `None` before the first, and while one is handled."""
        self.hung = False


class WorkerPool:
    """Spreads emulations over worker processes, and replaces a process that dies."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._readers: list[threading.Thread] = []
        self._closing = threading.Event()

    def start(self) -> None:
        """Start the worker processes."""
        with self._lock:
            for _ in range(self._settings.workers):
                self._spawn()
        threading.Thread(target=self._watch, name="worker-watch", daemon=True).start()

    def run(self, plan: Plan) -> None:
        """Assign an emulation to the least loaded worker."""
        with self._lock:
            chosen = min(self._workers, key=lambda worker: len(worker.emulation_ids))
            chosen.emulation_ids.add(plan.emulation_id)
            chosen.orders.put(Start(plan))

    def stop(self, emulation_id: str, outcome: Outcome) -> None:
        """End an emulation soon, with this outcome, if it is still running."""
        with self._lock:
            for each in self._workers:
                if emulation_id in each.emulation_ids:
                    each.orders.put(Stop(emulation_id, outcome))

    def shutdown(self) -> None:
        """End the processes and wait for them. Their emulations can be resumed."""
        with self._lock:
            self._closing.set()
            workers, readers = list(self._workers), list(self._readers)
            for each in workers:
                each.orders.put(Shutdown())
        for each in workers:
            each.process.join(_SHUTDOWN_GRACE_S)
            if each.process.is_alive():
                each.process.kill()
        for reader in readers:
            reader.join(_SHUTDOWN_GRACE_S)

    def _spawn(self) -> None:
        ours, theirs = self._context.Pipe()
        # A new one for every process: nobody but the service itself, when it settles what the process left, reuses it.
        writer_id = f"data-emulator-{uuid.uuid4()}"
        at_work = self._context.RawArray(ctypes.c_char, _ID_LENGTH)
        process = self._context.Process(
            target=worker.main,
            args=(theirs, self._settings, writer_id, at_work),
            name="data-emulator-worker",
            daemon=True,
        )
        process.start()
        theirs.close()  # so that the pipe ends when the worker does
        added = _Worker(process, ours, writer_id, at_work)
        self._workers.append(added)
        reader = threading.Thread(target=self._read, args=(added,), name="worker-reports", daemon=True)
        self._readers.append(reader)
        reader.start()
        threading.Thread(target=self._write, args=(added,), name="worker-orders", daemon=True).start()

    def _write(self, to: _Worker) -> None:
        """Send a worker its orders, in a thread apart: a worker that is busy leaves the pipe full for a while."""
        while orders := _all_of(to.orders):
            # If the worker has died, its reader finds out, and reports its emulations as lost.
            with suppress(OSError):
                to.pipe.send(orders)

    def _read(self, of: _Worker) -> None:
        """Pass on a worker's messages until its end of the pipe is closed."""
        while True:
            try:
                said = of.pipe.recv()
            except (EOFError, OSError):
                break
            of.silent_s = None
            try:
                self._hear(of, said)
            except Exception:
                # What a worker has done can no longer be stored. To go on would lose it; a new process settles it.
                log.exception("cannot store what a worker reports; the service ends")
                os._exit(1)
            of.silent_s = 0.0
        of.orders.put(None)
        of.process.join()
        with self._lock:
            self._workers.remove(of)
            self._readers.remove(threading.current_thread())
            lost = set(of.emulation_ids)
            closing = self._closing.is_set()
            if not closing:
                log.error("worker died", exit_code=of.process.exitcode, emulations=len(lost))
                self._spawn()
        if not closing:
            self._listener.on_lost(of.writer_id, lost, of.at_work.value.decode(), of.hung)

    def _watch(self) -> None:
        """Kill workers that hang. Time in which this process does not run itself is not counted."""
        while not self._closing.wait(_WATCH_S):
            with self._lock:
                for each in self._workers:
                    if each.silent_s is None:
                        continue
                    each.silent_s += _WATCH_S
                    if each.silent_s > SILENT_S and not each.hung:
                        log.error("worker hangs", silent_s=each.silent_s, emulations=len(each.emulation_ids))
                        each.hung = True
                        each.process.kill()

    def _hear(self, of: _Worker, said: Opened | Prepared | Reports) -> None:
        match said:
            case Opened(sink):
                self._listener.on_opened(of.writer_id, sink)
            case Prepared(commit):
                self._listener.on_prepared(of.writer_id, commit)
                of.orders.put(Proceed())
            case Reports([], False):
                pass  # it is alive
            case Reports(reports, settled):
                with self._lock:
                    of.emulation_ids -= {report.emulation_id for report in reports if report.outcome}
                self._listener.on_reports(of.writer_id, reports, settled)


def _all_of(orders: queue.SimpleQueue[Order | None]) -> list[Order]:
    """Wait for an order, and return all that are there by then, up to the `None` that ends them."""
    taken: list[Order] = []
    order = orders.get()
    while order is not None:
        taken.append(order)
        try:
            order = orders.get_nowait()
        except queue.Empty:
            return taken
    if taken:
        orders.put(None)  # the end is still to be told
    return taken
