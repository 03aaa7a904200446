"""Whether an emulation is taken, and as what: its sink, domain and format, with all defaults filled in."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

from data_emulator.domains import all_domains, broken_domains, generator_version
from data_emulator.errors import InvalidRequest, SinkUnavailable
from data_emulator.model import State
from data_emulator.service.format_rules import checked_avro_schema, checked_compression
from data_emulator.service.store.emulation import AcceptedRequest, Emulation
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.configured import SinkConfiguration
from data_emulator.sinks.kafka.schema_registry import SchemaRegistry
from data_emulator.suggestion import suggestion
from data_emulator.wire import EmulationRequest

_PROBE_HOLDS_S: Final = 2.0
"""How long a sink that was found ready counts as ready: many emulations that start together ask it once."""
_ASKING_THREADS: Final = 8

T = TypeVar("T")


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


class Admission:
    """Admits emulations. Its coroutines are called from one event loop.

    :param sinks: what the settings say of each sink, by name.
    :param targets: of those that are configured.
    """

    def __init__(
        self, settings: Settings, sinks: Mapping[str, SinkConfiguration], targets: Mapping[str, Target]
    ) -> None:
        self._settings = settings
        self._sinks = sinks
        self._targets = targets
        self._schema_registry = (
            SchemaRegistry(settings.schema_registry_url, settings) if settings.schema_registry_url else None
        )
        self._asking = ThreadPoolExecutor(_ASKING_THREADS, thread_name_prefix="asking-sinks")
        self._probes: dict[tuple[str, str], _Probe] = {}

    def close(self) -> None:
        """Ask no sink any more."""
        self._asking.shutdown(wait=False, cancel_futures=True)

    def admit(self, request: EmulationRequest) -> Emulation:
        """Return the requested emulation, defaults filled in, if its names are known and go together.

        :raises InvalidRequest: when they do not.
        """
        if request.emulator_sync not in self._sinks:
            hint = suggestion(request.emulator_sync, self._sinks)
            raise InvalidRequest(
                f"Unsupported emulator sync type: {request.emulator_sync or repr('')}; {hint} "
                "(minio is any S3 store, file a folder)"
            )
        domain = request.emulation_domain.lower()
        if domain in broken_domains():
            raise InvalidRequest(f"Domain not supported: {domain!r} cannot be loaded: {broken_domains()[domain]}")
        if domain not in all_domains():
            hint = suggestion(domain, all_domains())
            raise InvalidRequest(f"Domain not supported: {request.emulation_domain or repr('')}; {hint}")
        compression = checked_compression(request, has_schema_registry=self._schema_registry is not None)
        emulation_id = str(uuid.uuid4())
        seed = request.seed if request.seed is not None else uuid.UUID(emulation_id).int % 2**63
        rate = request.rate if "rate" in request.model_fields_set else self._settings.default_rate
        accepted = AcceptedRequest.model_validate(
            {**request.model_dump(), "emulation_domain": domain, "compression": compression, "rate": rate}
        )
        _check_attainable(accepted)
        return Emulation(
            id=emulation_id,
            body_digest=_digest(request),
            request=accepted,
            world_seed=self._world_seed(request),
            world_users=self._settings.world_users,
            fraud_share=self._settings.fraud_share,
            generator=generator_version(domain),
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
        return self._settings.world_seed if given is None else given

    async def prepare_sink(self, emulation: Emulation) -> Emulation:
        """Return the emulation ready to be written: its sink is prepared, its schema known to the registry.

        :raises InvalidRequest: when its domain has no Avro schema and needs one.
        :raises SinkUnavailable: when the sink is not configured, or its probe fails; or the schema registry's.
        """
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
        target = self._targets.get(sink)
        if target is None:
            raise SinkUnavailable(f"{self._sinks[sink]} in the service's environment")
        probe = self._probes.get((sink, destination))
        if probe is None or probe.is_stale():
            probe = _Probe(self._ask(target.prepare, destination))
            self._probes[sink, destination] = probe
        await asyncio.shield(probe.result)

    def _ask(self, question: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        """Ask a sink in a thread of its own kind: one that hangs must not take those that answer other requests."""
        return asyncio.get_running_loop().run_in_executor(self._asking, question, *arguments)


def _check_attainable(request: AcceptedRequest) -> None:
    """Make sure that an emulation that must not fall short can make what is asked for.

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
