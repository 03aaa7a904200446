"""Those who wait cost nothing while they wait: no thread each, and no query a second each."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from data_emulator.api.app import create_app
from data_emulator.engine.messages import Report
from data_emulator.engine.run import Outcome
from data_emulator.model import State, Written
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from tests.support.new_emulation import emulation

WAITERS = 500


class Service:
    """The application on a database, without workers: what they would report is told to it directly."""

    def __init__(self, path: Path) -> None:
        self.app = create_app(Settings(database_url=f"sqlite:///{path}", max_wait_s=60))
        self.emulations: Emulations = self.app.state.emulations
        self.statements = 0
        sa.event.listen(self.emulations.store._engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.statements += 1

    def processing(self) -> str:
        new = emulation()
        self.emulations.store.add([(new, None)])
        self.emulations.store.set_processing(new.id, time.time())
        return new.id

    def report(self, emulation_id: str, outcome: Outcome | None) -> None:
        report = Report(emulation_id, 1.0, 0, 0, Written(), outcome)
        self.emulations._dispatcher.on_reports("worker", [report], False)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "state.db")
    yield made
    made.emulations.store.close()


async def settled(service: Service) -> None:
    """Wait until requests have been taken in: no statement for a second."""
    seen = -1
    while seen != service.statements:
        seen = service.statements
        await asyncio.sleep(1)


@pytest.mark.parametrize("many", [False, True])
async def test_waiters_cost_neither_threads_nor_queries(service: Service, many: bool) -> None:
    ids = [service.processing() for _ in range(10)]
    threads = threading.active_count()
    transport = httpx.ASGITransport(service.app)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60, limits=limits) as http:
        prefer = {"Prefer": "wait=50"}

        async def wait(number: int) -> str:
            if many:
                answer = await http.post("/emulator/status", json={"ids": ids}, headers=prefer)
                return max(each["status"]["global_status"] for each in answer.json()["emulations"])
            answer = await http.get(f"/emulator/{ids[number % 10]}/status", headers=prefer)
            return str(answer.json()["status"]["global_status"])

        waiting = [asyncio.create_task(wait(number)) for number in range(WAITERS)]
        await settled(service)
        assert service.statements < 5 * WAITERS + 100  # a look each, when they came
        before = service.statements
        await asyncio.sleep(3)
        assert service.statements == before
        assert threading.active_count() - threads < WAITERS / 5
        assert not any(each.done() for each in waiting)

        # Progress wakes nobody: it costs what the report does, whoever waits.
        for each in ids:
            await asyncio.to_thread(service.report, each, None)
        await asyncio.sleep(0.5)
        assert service.statements - before < 50
        assert not any(each.done() for each in waiting)

        for each in ids if not many else ids[3:4]:
            await asyncio.to_thread(service.report, each, Outcome(State.CANCELLED))
        answers = await asyncio.wait_for(asyncio.gather(*waiting), 50)
    assert set(answers) == ({"processing"} if many else {"cancelled"})
    assert not service.emulations._waiters._events  # none is remembered


async def test_a_waiter_that_leaves_is_forgotten(service: Service) -> None:
    emulation_id = service.processing()
    task = asyncio.create_task(service.emulations.wait_for_any([emulation_id], 50))
    await asyncio.sleep(0.5)
    assert service.emulations._waiters._events
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not service.emulations._waiters._events
