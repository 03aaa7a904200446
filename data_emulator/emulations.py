"""What the service does, without HTTP: start, follow, cancel and account for emulations."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError

from data_emulator.dispatcher import Dispatcher
from data_emulator.domains import all_domains
from data_emulator.errors import (
    EmulationEnded,
    EmulationNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    SinkUnavailable,
    TooManyEmulations,
)
from data_emulator.format_rules import checked_avro_schema, checked_compression
from data_emulator.settings import Settings
from data_emulator.sinks.base import ObjectWritten, PartitionWritten, Target
from data_emulator.sinks.kafka import KafkaTarget
from data_emulator.sinks.s3 import S3Target
from data_emulator.sinks.schema_registry import SchemaRegistry
from data_emulator.store import Emulation, Store
from data_emulator.waiters import Waiters
from data_emulator.wire import EmulationRequest, State

_PROBE_HOLDS_S: Final = 2.0
"""How long a sink that was found ready counts as ready: many emulations that start together ask it once."""

log = structlog.get_logger(__name__)


class Emulations:
    """All emulations of this service. Its methods may be called from any thread, the coroutines from one event loop.

    :param settings: limits, defaults, and how the sinks are reached.
    :raises ConfigurationError: when the settings of the database, a sink or the schema registry cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.database_url)
        self.targets: dict[str, Target] = {"minio": S3Target(settings)}
        if settings.kafka_bootstrap_servers:
            self.targets["kafka"] = KafkaTarget(settings)
        self._schema_registry = (
            SchemaRegistry(settings.schema_registry_url, settings) if settings.schema_registry_url else None
        )
        self._waiters = Waiters()
        self._dispatcher = Dispatcher(settings, self.store, self._waiters.wake)
        self._probing = threading.Lock()
        self._ready_at: dict[tuple[str, str], float] = {}

    def open(self) -> None:
        """Start the workers, and go on with what an earlier process left, running or queued."""
        self._dispatcher.open()

    def close(self) -> None:
        """Stop the workers. What runs and what is queued is gone on with when the service is started again."""
        self._dispatcher.close()
        self.store.close()

    def start(self, request: EmulationRequest, idempotency_key: str | None) -> tuple[Emulation, bool]:
        """Start an emulation, or find the one that this key has started; tell which: `True` if it was there. Blocks.

        :raises InvalidRequest: when sink, format, compression or domain are not known, or do not go together.
        :raises SinkUnavailable: when the sink is not configured, or its probe fails; or the schema registry's.
        :raises IdempotencyKeyReused: when the key has been used with another body.
        :raises TooManyEmulations: when the limits of running and queued ones are reached.
        """
        digest = _digest(request)
        if idempotency_key is not None and (known := self._replayed(idempotency_key, digest)):
            return known, True
        emulation = self._admitted(request, digest)
        emulation = self._with_sink(emulation)
        try:
            self._dispatcher.add(emulation, idempotency_key)
        except (IntegrityError, TooManyEmulations):
            # Another request was faster with this key: a replay is no emulation more.
            if idempotency_key is not None and (known := self._replayed(idempotency_key, digest)):
                return known, True
            raise
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
        self._dispatcher.cancel(emulation_id)
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

    def stop_waiting(self) -> None:
        """Answer all who wait for an end now, and at once from here on. May be called by a signal handler."""
        self._waiters.release()

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
        compression = checked_compression(request, has_schema_registry=self._schema_registry is not None)
        emulation_id = str(uuid.uuid4())
        given = request.seed is not None
        seed = request.seed if request.seed is not None else uuid.UUID(emulation_id).int % 2**63
        rate = request.rate if "rate" in request.model_fields_set else self._settings.default_rate
        return Emulation(
            id=emulation_id,
            body_digest=digest,
            request=request.model_copy(update={"emulation_domain": domain, "compression": compression, "rate": rate}),
            world_seed=seed if given else self._settings.world_seed,
            world_users=self._settings.world_users,
            fraud_share=self._settings.fraud_share,
            seed=seed,
            state=State.QUEUED,
            error=None,
            created_at=time.time(),
            started_at=None,
            ended_at=None,
            elapsed_s=0.0,
            cancel_requested=False,
            records=0,
            bytes=0,
        )

    def _with_sink(self, emulation: Emulation) -> Emulation:
        """Return the emulation ready to be written: its sink is prepared, its schema known to the registry."""
        request = emulation.request
        schema = checked_avro_schema(request.emulation_domain) if request.format_type == "avro" else None
        target = self.targets.get(request.emulator_sync)
        if target is None:
            raise SinkUnavailable("Kafka is not configured in this service: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS")
        destination = all_domains()[request.emulation_domain].destination
        with self._probing:
            if (
                time.monotonic() - self._ready_at.get((request.emulator_sync, destination), -_PROBE_HOLDS_S)
                >= _PROBE_HOLDS_S
            ):
                target.prepare(destination)
                self._ready_at[request.emulator_sync, destination] = time.monotonic()
        if schema is None or self._schema_registry is None or request.emulator_sync != "kafka":
            return emulation
        return replace(emulation, schema_id=self._schema_registry.register(destination, schema))


def _digest(request: EmulationRequest) -> str:
    """Return a digest of the fields as they were sent: absent and null differ, their order does not matter."""
    body = json.dumps(request.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()
