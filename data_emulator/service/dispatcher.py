"""Decide which emulations run and which are queued, and run each to its end, whatever dies meanwhile."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import structlog

from data_emulator.domains import generator_version
from data_emulator.engine.messages import Report
from data_emulator.engine.object_size import object_bytes
from data_emulator.engine.plan import Plan
from data_emulator.engine.pool import WorkerPool
from data_emulator.engine.run import Outcome
from data_emulator.errors import ObjectTooLarge, TooManyEmulations
from data_emulator.formats.catalog import FORMATS
from data_emulator.model import Checkpoint, Commit, State
from data_emulator.service.arrivals import Arrival
from data_emulator.service.deaths import Deaths
from data_emulator.service.obstacles import misfit, obstacle
from data_emulator.service.outages import Outages
from data_emulator.service.settlement import Settlement
from data_emulator.service.store.emulation import Emulation
from data_emulator.service.store.store import Store, Writer
from data_emulator.settings import Settings
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.configured import SinkConfiguration, sink_configurations
from data_emulator.sinks.parts import part_bytes_for

log = structlog.get_logger(__name__)


class Dispatcher:
    """Assigns emulations to workers in order of arrival and within the limits, and resumes those of dead workers.

    :param on_accepted: called with emulations that are new, or left by an earlier process, before they can end.
    :param on_ended: called with the ids of emulations that have ended, from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        on_accepted: Callable[[Iterable[Emulation]], None],
        on_ended: Callable[[set[str]], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._on_accepted = on_accepted
        self._on_ended = on_ended
        self._pool = WorkerPool(settings, self)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._queued: deque[str] = deque()
        self._running: dict[str, int] = {}
        """The bytes of memory that each running emulation may take."""
        self._deaths = Deaths()
        self.outages = Outages()
        self._settlement = Settlement(settings, store, self.outages, self._closing)
        self._progress: dict[str, Report] = {}
        """The last report of each running emulation."""
        self._undecided: set[str] = set()
        """Those that no worker has, because it is not known yet what is committed of their last records."""

    def open(self) -> None:
        """Start the workers, and resume what an earlier process left running or queued."""
        self._pool.start()
        sinks = sink_configurations(self._settings)
        interrupted, queued = (self._without_obstacles(state, sinks) for state in (State.PROCESSING, State.QUEUED))
        self._on_accepted([*interrupted, *queued])
        with self._lock:
            for emulation in interrupted:
                self._running[emulation.id] = self._plan(emulation, Checkpoint()).memory_bytes
            self._queued.extend(emulation.id for emulation in queued)
            self._start_queued()
        # Apart, so that a broker that is away does not keep the service from starting.
        left = [each for each in self._store.writers() if each.sink in sinks and sinks[each.sink].is_configured]
        ids = [emulation.id for emulation in interrupted]
        threading.Thread(target=self._go_on, args=(left, ids), name="recovery", daemon=True).start()

    def _without_obstacles(self, state: State, sinks: Mapping[str, SinkConfiguration]) -> list[Emulation]:
        """Return the emulations in a state that can be gone on with; the others end as failed, each with the reason."""
        stored = self._store.in_state(state)
        obstacles = {each.id: found for each in stored if (found := obstacle(each, sinks))}
        for emulation_id, error in obstacles.items():
            log.error("emulation cannot be gone on with", emulation_id=emulation_id, error=error)
            self._store.end([emulation_id], State.FAILED, error)
        return [each for each in stored if each.id not in obstacles]

    def close(self) -> None:
        """Stop the workers. Running and queued emulations resume when the service starts again."""
        self._closing.set()
        with self._lock:
            self._queued.clear()
        self._pool.shutdown()

    def add(self, arrivals: Sequence[Arrival]) -> list[Emulation | Exception]:
        """Store new emulations with one commit, and run or queue them.

        An emulation for which there is room now is stored as processing already: the disk is waited for once.

        :return: for each its emulation, or the one that its key has started before, or `TooManyEmulations`.
        """
        with self._lock:
            known = self._store.by_keys([each.idempotency_key for each in arrivals if each.idempotency_key is not None])
            new = [each for each in arrivals if each.idempotency_key not in known]
            running, waiting = len(self._running), len(self._queued)
            room = max(self._settings.max_running + self._settings.max_queued - running - waiting, 0)
            added = self._stored(new[:room], time.time())
        refused = TooManyEmulations(f"{running} emulations run and {waiting} are queued, as many as are allowed")
        return [known.get(each.idempotency_key) or added.get(each.emulation.id) or refused for each in arrivals]

    def _stored(self, arrivals: Sequence[Arrival], started_at: float) -> dict[str, Emulation]:
        """Store arrivals, run or queue them, and return them by id. Call it with the lock held."""
        plans = {each.emulation.id: self._plan(each.emulation, Checkpoint(), started_at) for each in arrivals}
        running: dict[str, int] = {}
        added: dict[str, Emulation] = {}
        count, memory_bytes = len(self._running), sum(self._running.values())
        for each in arrivals:
            emulation = each.emulation
            plan = plans[emulation.id]
            # Those before it are first, whatever there is room for.
            is_first = not self._queued and len(running) == len(added)
            if is_first and self._has_room_for(plan, count, memory_bytes):
                running[emulation.id] = plan.memory_bytes
                count, memory_bytes = count + 1, memory_bytes + plan.memory_bytes
                emulation = replace(emulation, state=State.PROCESSING, started_at=started_at)
            added[emulation.id] = emulation
        self._on_accepted(added.values())
        self._store.add([(added[each.emulation.id], each.idempotency_key) for each in arrivals])
        self._running |= running
        for emulation_id in added:
            if emulation_id in running:
                self._pool.run(plans[emulation_id])
            else:
                self._queued.append(emulation_id)
        return added

    def cancel(self, errors: Mapping[str, str | None]) -> None:
        """End emulations as cancelled, each with this error: at once if it is queued, soon if it runs.

        One that is being cancelled already keeps the error that it was to have.
        """
        errors = self._store.request_cancel(errors)
        with self._lock:
            queued = errors.keys() & set(self._queued)
            for error in {errors[each] for each in queued}:
                self._store.end([each for each in queued if errors[each] == error], State.CANCELLED, error)
            self._queued = deque(each for each in self._queued if each not in queued)
            undecided = errors.keys() & self._undecided
        if queued:
            self._on_ended(queued)
        for each in errors.keys() - queued:
            if each in undecided:
                self._end(each, State.CANCELLED, errors[each])
            else:
                self._pool.stop(each, Outcome(State.CANCELLED, errors[each]))

    def on_opened(self, writer_id: str, sink: str) -> None:
        """Store that a worker may leave commits open."""
        self._store.add_writer(writer_id, sink)

    def on_prepared(self, writer_id: str, commit: Commit) -> None:
        """Store what is about to be committed."""
        self._store.prepare(writer_id, commit)

    def on_reports(self, writer_id: str, reports: list[Report], settled: bool) -> None:
        """Store progress reports, and start queued emulations where others have ended."""
        self._store.record(reports, writer_id if settled else None)
        for report in (each for each in reports if not each.is_late):
            self.outages.note(report.emulation_id, report.outage)
            self._log_if_behind(report)
            if report.outcome:
                state, error = report.outcome.state.value, report.outcome.error
                log.info("emulation ended", emulation_id=report.emulation_id, state=state, error=error)
        self._ended({report.emulation_id for report in reports if report.outcome})

    def _log_if_behind(self, report: Report) -> None:
        """Log an emulation's progress where it is less than was told before: what is made again, and why."""
        before = self._progress.get(report.emulation_id)
        self._progress[report.emulation_id] = report
        if before and (report.records < before.records or report.elapsed_s < before.elapsed_s):
            log.warning(
                "emulation falls back",
                emulation_id=report.emulation_id,
                records=report.records,
                was_at_records=before.records,
                elapsed_s=round(report.elapsed_s, 1),
                was_at_elapsed_s=round(before.elapsed_s, 1),
                reason=report.outage.reason if report.outage else report.outcome and report.outcome.error,
            )

    def on_lost(self, writer_id: str, emulation_ids: set[str], suspect: str, hung: bool) -> None:
        """Reassign what a dead worker was running."""
        left = [each for each in self._store.writers() if each.id == writer_id]
        self._go_on(left, sorted(emulation_ids), suspect, hung)

    def _start_queued(self) -> None:
        """Start queued emulations while there is room. Call it with the lock held."""
        while self._queued:
            emulation = self._store.get(self._queued[0])
            if emulation is None or emulation.state is not State.QUEUED:
                self._queued.popleft()
                continue
            started_at = time.time()
            plan = self._plan(emulation, Checkpoint(), started_at)
            if not self._has_room_for(plan, len(self._running), sum(self._running.values())):
                return
            self._queued.popleft()
            self._running[emulation.id] = plan.memory_bytes
            self._store.set_processing(emulation.id, started_at, generator_version(emulation.request.emulation_domain))
            self._pool.run(plan)

    def _has_room_for(self, plan: Plan, count: int, memory_bytes: int) -> bool:
        """Return whether an emulation fits within the limits on running emulations and memory."""
        within_memory = not count or memory_bytes + plan.memory_bytes <= self._settings.max_memory_mb * 2**20
        return within_memory and count < self._settings.max_running

    def _plan(self, emulation: Emulation, checkpoint: Checkpoint, started_at: float | None = None) -> Plan:
        request = emulation.request
        plan = Plan(
            emulation_id=emulation.id,
            domain=request.emulation_domain,
            sink=request.emulator_sync,
            format=cast(Literal["json", "csv", "parquet", "avro"], request.format_type),
            compression=request.compression or FORMATS[request.format_type].usual_compression,
            schema_id=emulation.schema_id,
            sync_type=request.sync_type,
            max_chunk_size=request.max_chunk_size,
            duration_s=request.timeout,
            rate=request.rate,
            max_records=request.max_records,
            least_records=request.records_asked if request.fail_if_short else None,
            world_seed=emulation.world_seed,
            world_users=emulation.world_users,
            seed=emulation.seed,
            started_us=int((started_at or emulation.started_at or time.time()) * 1e6),
            checkpoint=checkpoint,
            fraud_share=emulation.fraud_share,
            backfill_us=request.backfill_us,
        )
        if SINKS[plan.sink].max_object_bytes is None:
            return plan
        return replace(plan, part_bytes=part_bytes_for(object_bytes(plan)))

    def check_size(self, emulation: Emulation) -> None:
        """Make sure that the sink can keep each of the emulation's objects.

        :raises ObjectTooLarge: when the one object of a `grouped` emulation may become too large.
        """
        limit = SINKS[emulation.request.emulator_sync].max_object_bytes
        size = object_bytes(self._plan(emulation, Checkpoint()))
        if limit is not None and size > limit:
            raise ObjectTooLarge(
                f"sync_type 'grouped' is one object, of at most {limit / 2**40:g} TiB, and these records may be "
                f"{size / 2**40:.1f} TiB (timeout {emulation.request.timeout} s, rate {emulation.request.rate}, "
                f"max_records {emulation.request.max_records}); take sync_type 'chunked', or less of it"
            )

    def _go_on(
        self, writers: list[Writer], emulation_ids: list[str], suspect: str | None = None, hung: bool = False
    ) -> None:
        """Find out what dead workers have committed, and reassign their emulations."""
        blame: dict[str | None, Literal["died", "hung"]] = {suspect: "hung" if hung else "died"}
        undecided = {each for writer in writers for each in writer.emulation_ids}
        with self._lock:
            self._undecided |= undecided
        # What is known of these does not depend on the broker, so they need not wait until it is back.
        for emulation_id in emulation_ids:
            if emulation_id not in undecided:
                self._go_on_with(emulation_id, blame.get(emulation_id))
        gives_up_at = time.time() + self._settings.sink_outage_s
        late = [each for each in writers if not self._settlement.settle(each, gives_up_at)]
        unsettled = {each: writer.sink for writer in late for each in writer.emulation_ids}
        with self._lock:
            self._undecided -= undecided
        for emulation_id in emulation_ids:
            if emulation_id in unsettled and not self._closing.is_set():
                title = SINKS[unsettled[emulation_id]].title
                error = f"{title} did not come back to tell what was committed of the last records"
                outage = self.outages.of(emulation_id)
                self._end(emulation_id, State.FAILED, f"{error}: {outage.given_up(time.time())}" if outage else error)
            elif emulation_id in undecided:
                self._go_on_with(emulation_id, blame.get(emulation_id))
        # They have failed meanwhile, but what the broker holds of them must still get into their manifests.
        for writer in late:
            self._settlement.settle(writer, math.inf)

    def _go_on_with(self, emulation_id: str, blame: Literal["died", "hung"] | None) -> None:
        """Resume an emulation from its checkpoint, or end it if it should end.

        :param blame: what its worker did in its turn: `died` or `hung`; `None` if it was another's.
        """
        with self._lock:  # so that a cancellation comes either before the look, or once the worker has it
            emulation = self._store.get(emulation_id)
            if self._closing.is_set():
                return
            state, error = State.FAILED, None
            if emulation is not None and not emulation.state.is_terminal:
                checkpoint = self._store.checkpoint(emulation)
                error = self._deaths.given_up(emulation, checkpoint, blame) if blame else None
                if error is None and not emulation.cancel_requested:
                    error = misfit(emulation, checkpoint.records)
                if error is None:
                    self._resume(emulation, checkpoint)
                    return
                if emulation.cancel_requested:
                    state, error = State.CANCELLED, emulation.error
        self._end(emulation_id, state, error)

    def _resume(self, emulation: Emulation, checkpoint: Checkpoint) -> None:
        """Give an emulation to a worker again. Call it with the lock held."""
        log.info(
            "emulation goes on",
            emulation_id=emulation.id,
            records=checkpoint.records,
            owed_records=checkpoint.owed_records,
        )
        generator = generator_version(emulation.request.emulation_domain)
        if emulation.generator != generator and not emulation.cancel_requested:
            self._store.set_generator(emulation.id, generator)
        self._pool.run(self._plan(emulation, checkpoint))
        if emulation.cancel_requested:  # by a worker too: the dead one may have left objects behind
            self._pool.stop(emulation.id, Outcome(State.CANCELLED, emulation.error))

    def _end(self, emulation_id: str, state: State, error: str | None) -> None:
        self._store.end([emulation_id], state, error)
        log.info("emulation ended without its worker", emulation_id=emulation_id, state=state.value, error=error)
        self._ended({emulation_id})

    def _ended(self, emulation_ids: set[str]) -> None:
        if not emulation_ids:
            return
        with self._lock:
            for emulation_id in emulation_ids:
                self._running.pop(emulation_id, None)
                self.outages.note(emulation_id, None)
                self._deaths.forget(emulation_id)
                self._progress.pop(emulation_id, None)
            self._start_queued()
        self._on_ended(emulation_ids)
