"""The service's operations, without HTTP: start, follow, cancel and list emulations."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from data_emulator.domains import all_domains
from data_emulator.engine.object_size import SMALL_IN_S
from data_emulator.engine.outage import Outage
from data_emulator.errors import (
    EmulationEnded,
    EmulationNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    SinkUnavailable,
)
from data_emulator.model import ObjectWritten, PartitionWritten, State
from data_emulator.service.arrivals import Arrivals
from data_emulator.service.attention import Attention
from data_emulator.service.dispatcher import Dispatcher
from data_emulator.service.format_rules import checked_avro_schema, checked_compression
from data_emulator.service.store.store import Emulation, Store
from data_emulator.service.tidying import Tidier
from data_emulator.service.waiters import Waiters
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.configured import sink_configurations
from data_emulator.sinks.kafka.schema_registry import SchemaRegistry
from data_emulator.suggestion import suggestion
from data_emulator.wire import EmulationRequest

_PROBE_HOLDS_S: Final = 2.0
"""How long a sink that was found ready counts as ready: many emulations that start together ask it once."""
_ASKING_THREADS: Final = 8

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Probe:
    """A check of whether a sink is ready."""

    def __init__(self, result: asyncio.Future[None]) -> None:
        self.result = result
        self._started_at = time.monotonic()

    def is_stale(self) -> bool:
        """Return whether the result is outdated or bad, so that the next caller must check again."""
        if not self.result.done():
            return False
        held = time.monotonic() - self._started_at < _PROBE_HOLDS_S
        return not held or self.result.cancelled() or self.result.exception() is not None


class Emulations:
    """All emulations of this service. Its methods may be called from any thread, its coroutines from one event loop.

    :param settings: limits, defaults, and how the sinks are reached.
    :param clock: what tells, in seconds, for how long nobody has asked for an emulation.
    :raises ConfigurationError: when the settings of the database, a sink or the schema registry cannot be used.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.store = Store(settings.database_url)
        self.sinks = sink_configurations(settings)
        self.targets: dict[str, Target] = {
            name: SINKS[name].target(settings) for name, sink in self.sinks.items() if sink.is_configured
        }
        self._schema_registry = (
            SchemaRegistry(settings.schema_registry_url, settings) if settings.schema_registry_url else None
        )
        self._waiters = Waiters()
        self._attention = Attention(self._abandon, clock)
        self._dispatcher = Dispatcher(settings, self.store, self._attention.expect, self._on_ended)
        self._tidier = Tidier(settings, self.store)
        self._arrivals = Arrivals(self._dispatcher.add)
        self._asking = ThreadPoolExecutor(_ASKING_THREADS, thread_name_prefix="asking-sinks")
        self._probes: dict[tuple[str, str], _Probe] = {}

    def open(self) -> None:
        """Start the workers, and resume what an earlier process left running or queued."""
        self._dispatcher.open()
        self._attention.open()
        self._tidier.open()

    def close(self, tidy_s: float = 0.0) -> None:
        """Stop the workers. Running and queued emulations resume when the service starts again.

        :param tidy_s: how long to delete what ended emulations have left behind; what is left then is for the next
            start.
        """
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._attention.close()
        self._arrivals.close()
        self._dispatcher.close()
        self._tidier.close()
        if tidy_s:
            self._tidier.tidy_up(tidy_s)
        self.store.close()

    async def start(self, request: EmulationRequest, idempotency_key: str | None) -> tuple[Emulation, bool]:
        """Start an emulation, or find the one that this key has started; `True` if it already existed.

        :raises InvalidRequest: when sink, format, compression or domain are not known, or do not go together.
        :raises ObjectTooLarge: when the one object of `grouped` may become larger than the sink can keep.
        :raises SinkUnavailable: when the sink is not configured, or its probe fails; or the schema registry's.
        :raises IdempotencyKeyReused: when the key has been used with another body.
        :raises TooManyEmulations: when the limits of running and queued ones are reached.
        """
        digest = _digest(request)
        emulation = self._admitted(request, digest)
        if request.timeout > SMALL_IN_S:
            await asyncio.to_thread(self._dispatcher.check_size, emulation)
        try:
            emulation = await self._with_sink(emulation)
        except SinkUnavailable:
            # What has been started already does not need the sink to be started.
            keys = [] if idempotency_key is None else [idempotency_key]
            known = await asyncio.to_thread(self.store.by_keys, keys)
            if not known:
                raise
            started = known[idempotency_key]
        else:
            started = await self._arrivals.add(emulation, idempotency_key)
        if started.id == emulation.id:
            log.info("emulation accepted", emulation_id=started.id, **started.request.model_dump(mode="json"))
            return started, False
        if started.body_digest != digest:
            raise IdempotencyKeyReused(
                f"Idempotency-Key {idempotency_key!r} has started emulation {started.id} with another body: "
                "use a new key for a new request"
            )
        return started, True

    def get(self, emulation_id: str) -> Emulation:
        """Return an emulation.

        :raises EmulationNotFound: when there is none with this id.
        """
        emulation = self.store.get(emulation_id)
        if emulation is None:
            raise EmulationNotFound(emulation_id)
        return emulation

    def outage_of(self, emulation_id: str) -> Outage | None:
        """Return the outage that an emulation waits for, or `None`."""
        return self._dispatcher.outages.of(emulation_id)

    def cancel(self, emulation_id: str) -> Emulation:
        """Cancel an emulation; what it has written stays. It may still be running when this returns.

        :raises EmulationNotFound: when there is none with this id.
        :raises EmulationEnded: when it has ended already.
        """
        emulation = self.get(emulation_id)
        if emulation.state.is_terminal:
            raise EmulationEnded(f"Emulation {emulation_id} has ended already: it is {emulation.state}.")
        self._dispatcher.cancel({emulation_id: None})
        return self.get(emulation_id)

    def manifest(self, emulation_id: str) -> tuple[Emulation, list[ObjectWritten], list[PartitionWritten]]:
        """Return an emulation and its manifest.

        :raises EmulationNotFound: when there is none with this id.
        """
        emulation = self.get(emulation_id)
        return emulation, *self.store.manifest(emulation_id)

    async def wait_for_any(self, emulation_ids: list[str], wait_s: float) -> dict[str, Emulation]:
        """Return the emulations that exist, by id, as soon as one of them has ended, or after `wait_s` seconds."""

        def look() -> tuple[dict[str, Emulation], bool]:
            found = self.store.get_many(emulation_ids)
            return found, not found or any(each.state.is_terminal for each in found.values())

        return await self._wait(emulation_ids, wait_s, look)

    async def wait_for_ended(self, emulation_ids: list[str], wait_s: float) -> tuple[dict[str, Emulation], set[str]]:
        """Return those that have ended, and the ids of all that exist, as soon as one has ended or is unknown."""

        def look() -> tuple[tuple[dict[str, Emulation], set[str]], bool]:
            ended, existing = self.store.get_ended(emulation_ids)
            return (ended, existing), bool(ended) or existing != set(emulation_ids)

        return await self._wait(emulation_ids, wait_s, look)

    async def _wait(self, emulation_ids: list[str], wait_s: float, look: Callable[[], tuple[T, bool]]) -> T:
        """Look, and unless that is an answer already, look again when one of them has ended, or the time is over."""
        woken = self._waiters.add(emulation_ids)
        try:
            with self._attention.held(emulation_ids):
                found, is_answer = await asyncio.to_thread(look)
                if wait_s > 0 and not is_answer:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), wait_s)
                    found, _ = await asyncio.to_thread(look)
                return found
        finally:
            self._waiters.remove(emulation_ids, woken)

    def stop_waiting(self) -> None:
        """Answer all long polls now, and at once from here on. May be called by a signal handler."""
        self._waiters.release()

    def _abandon(self, errors: Mapping[str, str]) -> None:
        self._dispatcher.cancel(errors)

    def _on_ended(self, emulation_ids: set[str]) -> None:
        self._attention.forget(emulation_ids)
        self._waiters.wake(emulation_ids)

    def _admitted(self, request: EmulationRequest, digest: str) -> Emulation:
        """Return the requested emulation with its defaults, if its names are known."""
        if request.emulator_sync not in self.sinks:
            hint = suggestion(request.emulator_sync, self.sinks)
            raise InvalidRequest(
                f"Unsupported emulator sync type: {request.emulator_sync or repr('')}; {hint} "
                "(minio is any S3 store, file a folder)"
            )
        domain = request.emulation_domain.lower()
        if domain not in all_domains():
            hint = suggestion(domain, all_domains())
            raise InvalidRequest(f"Domain not supported: {request.emulation_domain or repr('')}; {hint}")
        compression = checked_compression(request, has_schema_registry=self._schema_registry is not None)
        emulation_id = str(uuid.uuid4())
        seed = request.seed if request.seed is not None else uuid.UUID(emulation_id).int % 2**63
        rate = request.rate if "rate" in request.model_fields_set else self.settings.default_rate
        request = request.model_copy(update={"emulation_domain": domain, "compression": compression, "rate": rate})
        _check_attainable(request)
        return Emulation(
            id=emulation_id,
            body_digest=digest,
            request=request,
            world_seed=self._world_seed(request),
            world_users=self.settings.world_users,
            fraud_share=self.settings.fraud_share,
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

    def _world_seed(self, request: EmulationRequest) -> int:
        given = request.world_seed if "world_seed" in request.model_fields_set else request.seed
        return self.settings.world_seed if given is None else given

    async def _with_sink(self, emulation: Emulation) -> Emulation:
        """Return the emulation ready to be written: its sink is prepared, its schema known to the registry."""
        request = emulation.request
        schema = checked_avro_schema(request.emulation_domain) if request.format_type == "avro" else None
        destination = all_domains()[request.emulation_domain].destination
        await self._prepared(request.emulator_sync, destination)
        if schema is None or self._schema_registry is None or SINKS[request.emulator_sync].keeps_objects:
            return emulation
        return replace(emulation, schema_id=await self._ask(self._schema_registry.register, destination, schema))

    async def _prepared(self, sink: str, destination: str) -> None:
        """Wait until a sink has been probed: by the probe that is under way, or has been a moment ago, if there is one.

        :raises SinkUnavailable: when it is not configured, or the probe fails.
        """
        target = self.targets.get(sink)
        if target is None:
            raise SinkUnavailable(f"{self.sinks[sink]} in the service's environment")
        probe = self._probes.get((sink, destination))
        if probe is None or probe.is_stale():
            probe = _Probe(self._ask(target.prepare, destination))
            self._probes[sink, destination] = probe
        await asyncio.shield(probe.result)

    def _ask(self, question: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        """Ask a sink in a thread of its own kind: one that hangs must not take those that answer other requests."""
        return asyncio.get_running_loop().run_in_executor(self._asking, question, *arguments)


def _check_attainable(request: EmulationRequest) -> None:
    """Make sure that an emulation that must not fall short can make what is asked for.

    :param request: with its rate filled in.
    :raises InvalidRequest: when nothing tells how many records there must be, or there is no time for them.
    """
    if not request.fail_if_short:
        return
    asked = request.records_asked
    if asked is None:
        raise InvalidRequest("fail_if_short needs a number of records to fall short of: give max_records, or a rate")
    if request.rate is not None and request.rate * request.timeout < asked:
        raise InvalidRequest(
            f"fail_if_short cannot be met: max_records {asked} is more than rate {request.rate:g} gives in timeout "
            f"{request.timeout} s, which is {int(request.rate * request.timeout)}"
        )


def _digest(request: EmulationRequest) -> str:
    """Return a digest of the fields as they were sent: absent and null differ, their order does not matter."""
    return hashlib.sha256(request.model_dump_json(exclude_unset=True).encode()).hexdigest()
