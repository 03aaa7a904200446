"""The service's operations, without HTTP: start, follow, cancel and list emulations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from data_emulator.domains.people import pools_digest
from data_emulator.engine.object_size import SMALL_IN_S
from data_emulator.engine.outage import Outage
from data_emulator.errors import (
    EmulationEnded,
    EmulationNotFound,
    IdempotencyKeyReused,
    SinkUnavailable,
)
from data_emulator.model import ObjectWritten, PartitionWritten
from data_emulator.service.admission import Admission
from data_emulator.service.arrivals import Arrivals
from data_emulator.service.attention import Attention
from data_emulator.service.dispatcher import Dispatcher
from data_emulator.service.retention import Retention
from data_emulator.service.store.emulation import Emulation
from data_emulator.service.store.ownership import Ownership
from data_emulator.service.store.store import Store
from data_emulator.service.tidying import Tidier
from data_emulator.service.waiters import Waiters
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.configured import sink_configurations
from data_emulator.wire import EmulationRequest

_PAGE_OBJECTS: Final = 100
"""Objects of a manifest that are encoded at a time: with a thousand, the status of others came 100 ms later."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Emulations:
    """All emulations of this service. Its methods may be called from any thread, its coroutines from one event loop.

    :param settings: limits, defaults, and how the sinks are reached.
    :param clock: what tells, in seconds, for how long nobody has asked for an emulation.
    :raises ConfigurationError: when the settings of the database, a sink or the schema registry cannot be used.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._ownership = Ownership(settings.database_url)
        self.store = Store(settings.database_url)
        self.sinks = sink_configurations(settings)
        self.targets: dict[str, Target] = {
            name: SINKS[name].target(settings) for name, sink in self.sinks.items() if sink.is_configured
        }
        self._admission = Admission(settings, self.sinks, self.targets)
        self._waiters = Waiters()
        self._attention = Attention(self._abandon, clock)
        self._dispatcher = Dispatcher(settings, self.store, self._attention.expect, self._on_ended)
        self._tidier = Tidier(settings, self.store)
        self._retention = Retention(self.store, settings.retention_days)
        self._arrivals = Arrivals(self._dispatcher.add)

    def open(self) -> None:
        """Start the workers, and resume what an earlier process left running or queued."""
        pools_digest()  # takes a tenth of a second, once: better now than while requests wait
        self._dispatcher.open()
        self._attention.open()
        self._tidier.open()
        self._retention.open()

    def close(self, tidy_s: float = 0.0) -> None:
        """Stop the workers. Running and queued emulations resume when the service starts again.

        :param tidy_s: how long to delete what ended emulations have left behind; what is left then is for the next
            start.
        """
        self._admission.close()
        self._attention.close()
        self._arrivals.close()
        self._dispatcher.close()
        self._retention.close()
        self._tidier.close()
        if tidy_s:
            self._tidier.tidy_up(tidy_s)
        self.store.close()
        self._ownership.release()

    async def start(self, request: EmulationRequest, idempotency_key: str | None) -> tuple[Emulation, bool]:
        """Start an emulation, or find the one that this key has started; `True` if it already existed.

        :raises InvalidRequest: when sink, format, compression or domain are not known, or do not go together.
        :raises ObjectTooLarge: when the one object of `grouped` may become larger than the sink can keep.
        :raises SinkUnavailable: when the sink is not configured, or its probe fails; or the schema registry's.
        :raises IdempotencyKeyReused: when the key has been used with another body.
        :raises TooManyEmulations: when the limits of running and queued ones are reached.
        """
        emulation = self._admission.admit(request)
        if request.timeout > SMALL_IN_S:
            await asyncio.to_thread(self._dispatcher.check_size, emulation)
        try:
            emulation = await self._admission.prepare_sink(emulation)
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
        if started.body_digest != emulation.body_digest:
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
        """Return an emulation and its manifest, whole.

        :raises EmulationNotFound: when there is none with this id.
        """
        emulation = self.get(emulation_id)
        return emulation, *self.store.manifest(emulation_id)

    def manifest_head(self, emulation_id: str) -> tuple[Emulation, list[PartitionWritten]]:
        """Return an emulation and its manifest without the objects, which `object_pages` gives.

        :raises EmulationNotFound: when there is none with this id.
        """
        return self.get(emulation_id), self.store.partitions(emulation_id)

    def object_pages(self, emulation_id: str) -> Iterator[list[ObjectWritten]]:
        """Give the objects that hold an emulation's data, in order, some at a time."""
        after = ""
        while page := self.store.objects(emulation_id, after, _PAGE_OBJECTS):
            yield page
            after = page[-1].key

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
