"""What the service does, without HTTP: start, follow, cancel and account for emulations."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from typing import Final, Literal, cast

import structlog
from confluent_kafka import KafkaException
from sqlalchemy.exc import IntegrityError

from data_emulator.domains import all_domains
from data_emulator.engine.messages import Report
from data_emulator.engine.plan import Checkpoint, Plan
from data_emulator.engine.pool import WorkerPool
from data_emulator.engine.run import Outcome
from data_emulator.errors import (
    EmulationEnded,
    EmulationNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    SinkUnavailable,
    TooManyEmulations,
)
from data_emulator.settings import Settings
from data_emulator.sinks.base import ObjectWritten, PartitionWritten, Target
from data_emulator.sinks.kafka import KafkaTarget
from data_emulator.sinks.kafka_probe import end_transaction, was_committed
from data_emulator.sinks.kafka_writer import Transaction
from data_emulator.sinks.s3 import S3Target
from data_emulator.store import Emulation, Store
from data_emulator.wire import EmulationRequest, State

FORMATS: Final = ("json", "csv")
_MAX_DEATHS: Final = 5
"""An emulation whose workers die that often, without a record more in between, is given up: it is what kills them."""
_SETTLE_PAUSE_S: Final = 1.0
_END_TIMEOUT_S: Final = 10.0

log = structlog.get_logger(__name__)


class Emulations:
    """All emulations of this service. Its methods may be called from any thread, the coroutines from one event loop.

    :param settings: limits, defaults, and how the sinks are reached.
    :raises ConfigurationError: when the settings of a sink cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.database_url)
        self.targets: dict[str, Target] = {"minio": S3Target(settings)}
        if settings.kafka_bootstrap_servers:
            self.targets["kafka"] = KafkaTarget(settings)
        self._pool = WorkerPool(settings, self)
        self._admission = threading.Lock()
        self._closing = threading.Event()
        self._deaths: dict[str, tuple[int, int]] = {}
        self._running: set[str] = set()
        self._queued: deque[str] = deque()
        self._waiters = Waiters()

    def open(self) -> None:
        """Start the workers, and go on with what an earlier process left, running or queued."""
        self._pool.start()
        interrupted = [emulation.id for emulation in self.store.in_state(State.PROCESSING)]
        with self._admission:
            self._running.update(interrupted)
            self._queued.extend(emulation.id for emulation in self.store.in_state(State.QUEUED))
            self._start_queued()
        # Apart, so that a broker that is away does not keep the service from starting.
        left = self.store.transactional_ids()
        threading.Thread(target=self._go_on, args=(left, interrupted), name="recovery", daemon=True).start()

    def close(self) -> None:
        """Stop the workers. What runs and what is queued is gone on with when the service is started again."""
        self._closing.set()
        with self._admission:
            self._queued.clear()
        self._pool.shutdown()
        self.store.close()

    def start(self, request: EmulationRequest, idempotency_key: str | None) -> tuple[Emulation, bool]:
        """Start an emulation, or find the one that this key has started; tell which: `True` if it was there. Blocks.

        :raises InvalidRequest: when sink, format or domain are not known.
        :raises SinkUnavailable: when the sink is not configured, or its probe fails.
        :raises IdempotencyKeyReused: when the key has been used with another body.
        :raises TooManyEmulations: when the limits of running and queued ones are reached.
        """
        digest = _digest(request)
        if idempotency_key is not None and (known := self._replayed(idempotency_key, digest)):
            return known, True
        emulation = self._admitted(request, digest)
        self._prepare_sink(emulation.request)
        with self._admission:
            if len(self._running) >= self._settings.max_running and len(self._queued) >= self._settings.max_queued:
                raise TooManyEmulations(
                    f"{len(self._running)} emulations run and {len(self._queued)} are queued, as many as are allowed"
                )
            try:
                self.store.add(emulation, idempotency_key)
            except IntegrityError:
                # Two requests with one key met: the other was faster.
                if idempotency_key is not None and (known := self._replayed(idempotency_key, digest)):
                    return known, True
                raise
            self._queued.append(emulation.id)
            self._start_queued()
        log.info("emulation accepted", emulation_id=emulation.id, **emulation.request.model_dump(mode="json"))
        return emulation, False

    def get(self, emulation_id: str) -> Emulation:
        """Return an emulation.

        :raises EmulationNotFound: when there is none with this id.
        """
        emulation = self.store.get(emulation_id)
        if emulation is None:
            raise EmulationNotFound(emulation_id)
        return emulation

    def cancel(self, emulation_id: str) -> Emulation:
        """End an emulation as cancelled; what it has written stays. It may still be running when this returns.

        :raises EmulationNotFound: when there is none with this id.
        :raises EmulationEnded: when it has ended already.
        """
        emulation = self.get(emulation_id)
        if emulation.state.is_terminal:
            raise EmulationEnded(f"Emulation {emulation_id} has ended already: it is {emulation.state}.")
        with self._admission:
            if emulation_id in self._queued:
                self._queued.remove(emulation_id)
                self.store.end([emulation_id], State.CANCELLED, None)
        self._pool.stop(emulation_id, Outcome(State.CANCELLED))
        self._waiters.wake([emulation_id])
        return self.get(emulation_id)

    def manifest(self, emulation_id: str) -> tuple[Emulation, list[ObjectWritten], list[PartitionWritten]]:
        """Return an emulation and where its data lies.

        :raises EmulationNotFound: when there is none with this id.
        """
        emulation = self.get(emulation_id)
        return emulation, *self.store.manifest(emulation_id)

    async def wait_for_any(self, emulation_ids: list[str], wait_s: float) -> dict[str, Emulation]:
        """Return the emulations that exist, by id, as soon as one of them has ended, or after `wait_s` seconds."""
        woken = self._waiters.add(emulation_ids)
        try:
            emulations = await asyncio.to_thread(self.store.get_many, emulation_ids)
            if emulations and wait_s > 0 and not any(each.state.is_terminal for each in emulations.values()):
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), wait_s)
                emulations = await asyncio.to_thread(self.store.get_many, emulation_ids)
            return emulations
        finally:
            self._waiters.remove(emulation_ids, woken)

    def _replayed(self, idempotency_key: str, digest: str) -> Emulation | None:
        known = self.store.by_key(idempotency_key)
        if known and known.body_digest != digest:
            raise IdempotencyKeyReused(
                f"Idempotency-Key {idempotency_key!r} has started emulation {known.id} with another body: "
                "use a new key for a new request"
            )
        return known

    def _admitted(self, request: EmulationRequest, digest: str) -> Emulation:
        """Return the emulation that a request asks for, its defaults filled in, if its names are known."""
        if request.emulator_sync not in ("minio", "kafka"):
            raise InvalidRequest(f"Unsupported emulator sync type: {request.emulator_sync}")
        domain = request.emulation_domain.lower()
        if domain not in all_domains():
            raise InvalidRequest(f"Domain not supported: {request.emulation_domain}")
        if request.format_type not in FORMATS:
            raise InvalidRequest(f"Format not supported: {request.format_type}; it is one of {', '.join(FORMATS)}")
        emulation_id = str(uuid.uuid4())
        given = request.seed is not None
        seed = request.seed if request.seed is not None else uuid.UUID(emulation_id).int % 2**63
        rate = request.rate if "rate" in request.model_fields_set else self._settings.default_rate
        return Emulation(
            id=emulation_id,
            body_digest=digest,
            request=request.model_copy(update={"emulation_domain": domain, "rate": rate}),
            world_seed=seed if given else self._settings.world_seed,
            seed=seed,
            state=State.QUEUED,
            error=None,
            created_at=time.time(),
            started_at=None,
            ended_at=None,
            elapsed_s=0.0,
            records=0,
            bytes=0,
        )

    def _prepare_sink(self, request: EmulationRequest) -> None:
        target = self.targets.get(request.emulator_sync)
        if target is None:
            raise SinkUnavailable("Kafka is not configured in this service: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS")
        target.prepare(all_domains()[request.emulation_domain].destination)

    def _start_queued(self) -> None:
        """Give waiting emulations to workers while there is room. Call it with `_admission` held."""
        while self._queued and len(self._running) < self._settings.max_running:
            emulation_id = self._queued.popleft()
            emulation = self.store.get(emulation_id)
            if emulation is None or emulation.state is not State.QUEUED:
                continue
            self._running.add(emulation_id)
            started_at = time.time()
            self.store.set_processing(emulation_id, started_at)
            self._pool.run(self._plan(emulation, started_at, Checkpoint()))

    def _plan(self, emulation: Emulation, started_at: float, checkpoint: Checkpoint) -> Plan:
        request = emulation.request
        return Plan(
            emulation_id=emulation.id,
            domain=request.emulation_domain,
            sink=cast(Literal["minio", "kafka"], request.emulator_sync),
            format=cast(Literal["json", "csv"], request.format_type),
            sync_type=request.sync_type,
            max_chunk_size=request.max_chunk_size,
            duration_s=request.timeout,
            rate=request.rate,
            max_records=request.max_records,
            world_seed=emulation.world_seed,
            world_users=self._settings.world_users,
            seed=emulation.seed,
            started_us=int(started_at * 1e6),
            checkpoint=checkpoint,
            fraud_share=self._settings.fraud_share,
            backfill_us=request.backfill_us,
        )

    def on_opened(self, transactional_id: str) -> None:
        """Remember an id under which transactions may be left open."""
        self.store.add_transactional_id(transactional_id)

    def on_prepared(self, transactional_id: str, transaction: Transaction) -> None:
        """Remember what is about to be committed."""
        self.store.prepare(transactional_id, transaction)

    def on_reports(self, transactional_id: str, reports: list[Report], settled: bool) -> None:
        """Store how far emulations are, and wake those who wait for the ones that have ended."""
        self.store.record(reports, transactional_id if settled else None)
        for report in reports:
            if report.outcome:
                log.info(
                    "emulation ended",
                    emulation_id=report.emulation_id,
                    state=report.outcome.state.value,
                    error=report.outcome.error,
                )
        self._ended({report.emulation_id for report in reports if report.outcome})

    def on_lost(self, transactional_id: str, emulation_ids: set[str]) -> None:
        """Have others go on with what a dead worker ran."""
        left = [each for each in self.store.transactional_ids() if each == transactional_id]
        self._go_on(left, sorted(emulation_ids))

    def _go_on(self, transactional_ids: list[str], emulation_ids: list[str]) -> None:
        """Find out what dead workers have committed, then give their emulations to living ones."""
        unsettled: set[str] = set()
        for transactional_id in transactional_ids:
            unsettled |= self._settle(transactional_id)
        for emulation_id in emulation_ids:
            if self._closing.is_set():
                return
            emulation = self.store.get(emulation_id)
            if emulation is None or emulation.state.is_terminal:
                self._ended({emulation_id})
                continue
            checkpoint = self.store.checkpoint(emulation)
            if emulation_id in unsettled:
                self._give_up(emulation_id, "Kafka did not come back to tell what was committed of the last records")
            elif self._has_died_too_often(emulation_id, checkpoint.records):
                self._give_up(emulation_id, f"its worker process died {_MAX_DEATHS} times in a row")
            else:
                log.info("emulation goes on", emulation_id=emulation_id, records=checkpoint.records)
                self._pool.run(self._plan(emulation, emulation.started_at or time.time(), checkpoint))

    def _settle(self, transactional_id: str) -> set[str]:
        """Find out what became of the last transaction of a dead worker, waiting for the broker if need be.

        :return: the emulations of which it could not be found out in time.
        """
        prepared = self.store.prepared(transactional_id)
        gives_up_at = time.monotonic() + self._settings.sink_outage_s
        while not self._closing.is_set():
            try:
                end_transaction(self._settings, transactional_id, _END_TIMEOUT_S)
                committed = prepared is not None and was_committed(self._settings, prepared.place)
            except KafkaException as error:
                log.warning("kafka transaction not settled yet", error=error.args[0].str())
                if time.monotonic() > gives_up_at:
                    return set(prepared.partitions) if prepared else set()
                self._closing.wait(_SETTLE_PAUSE_S)
            else:
                self.store.settle(transactional_id, prepared if committed else None)
                return set()
        return set()

    def _has_died_too_often(self, emulation_id: str, records: int) -> bool:
        deaths, at_records = self._deaths.get(emulation_id, (0, -1))
        deaths = deaths + 1 if records == at_records else 1
        self._deaths[emulation_id] = (deaths, records)
        return deaths > _MAX_DEATHS

    def _give_up(self, emulation_id: str, error: str) -> None:
        self.store.end([emulation_id], State.FAILED, error)
        self._ended({emulation_id})

    def _ended(self, emulation_ids: set[str]) -> None:
        if not emulation_ids:
            return
        with self._admission:
            self._running -= emulation_ids
            for emulation_id in emulation_ids:
                self._deaths.pop(emulation_id, None)
            self._start_queued()
        self._waiters.wake(emulation_ids)


class Waiters:
    """Who waits for which emulation to end. Added and removed in the event loop, woken from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[str, set[asyncio.Event]] = {}

    def add(self, emulation_ids: list[str]) -> asyncio.Event:
        """Return an event that is set when any of these emulations ends."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        for emulation_id in emulation_ids:
            self._events.setdefault(emulation_id, set()).add(event)
        return event

    def remove(self, emulation_ids: list[str], event: asyncio.Event) -> None:
        """Forget an event."""
        for emulation_id in emulation_ids:
            waiting = self._events.get(emulation_id, set())
            waiting.discard(event)
            if not waiting:
                self._events.pop(emulation_id, None)

    def wake(self, emulation_ids: set[str] | list[str]) -> None:
        """Set the events of these emulations."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, list(emulation_ids))

    def _set(self, emulation_ids: list[str]) -> None:
        for emulation_id in emulation_ids:
            for event in self._events.get(emulation_id, ()):
                event.set()


def _digest(request: EmulationRequest) -> str:
    """Return a digest of the fields as they were sent: absent and null differ, their order does not matter."""
    body = json.dumps(request.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()
