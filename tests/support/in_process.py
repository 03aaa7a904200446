"""The service in this process, without HTTP: its workers are real processes, its state can be looked at."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from data_emulator.service.emulations import Emulations
from data_emulator.service.store.emulation import Emulation
from data_emulator.settings import Settings
from data_emulator.wire import EmulationRequest

PATIENCE_S = 120


class Clock:
    """A clock that stands still until it is put forward: what abandonment is timed by, in tests."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._reads = 0

    def __call__(self) -> float:
        self._reads += 1
        return self.now_s

    def forward(self, by_s: float) -> None:
        """Put it forward, and wait until a sweep that began later is over."""
        self.now_s += by_s
        before = self._reads
        wait_until(lambda: self._reads >= before + 3, "it is looked who is abandoned")


@contextmanager
def opened(settings: Settings) -> Iterator[Emulations]:
    """Give a service that is open."""
    service = Emulations(settings)
    service.open()
    try:
        yield service
    finally:
        service.close()


def start(service: Emulations, **changes: Any) -> str:
    """Start an emulation, transactions to S3 unless told otherwise, and return its id."""
    fields: dict[str, Any] = {
        "emulator_sync": "minio",
        "emulation_domain": "transaction",
        "format_type": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "timeout": 600,
        "rate": None,
    }
    emulation, _ = asyncio.run(service.start(EmulationRequest(**{**fields, **changes}), None))
    return emulation.id


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait, with patience: how long it takes is not what is tested."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.02)


def ended(service: Emulations, emulation_id: str) -> Emulation:
    """Wait for an emulation's end and return it."""
    wait_until(lambda: service.get(emulation_id).state.is_terminal, "the emulation ends")
    return service.get(emulation_id)


def worker_pids(service: Emulations) -> set[int]:
    """Return the pids of the workers that live."""
    workers = list(service._dispatcher._pool._workers)
    return {each.process.pid for each in workers if each.process.is_alive() and each.process.pid is not None}


def kill_workers(service: Emulations) -> None:
    """Kill every worker, and wait until others have taken their place."""
    killed = worker_pids(service)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(worker_pids(service) - killed) == len(killed), "there are new workers")
