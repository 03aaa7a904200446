"""A worker, in this process: the orders it gets and the reports it sends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.base import Domain
from data_emulator.domains.randomness import Index
from data_emulator.domains.transaction import Transaction
from data_emulator.engine import source, worker
from data_emulator.engine.messages import Report, Reports, Shutdown, Start, Stop
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome
from data_emulator.engine.worker import Worker
from data_emulator.model import State
from data_emulator.settings import Settings
from tests.support.engine_fakes import FakeSink, plan

CANCELLED = Outcome(State.CANCELLED, "as told")
LONG_S = 600
PATIENCE_S = 120


class Broken(Transaction):
    """A domain with a defect in its second block."""

    name: ClassVar[str] = "broken"

    def columns(self, index: Index, time_us: Index) -> list[Any]:
        if len(index) and index[0] > 0:
            raise ZeroDivisionError("a domain's defect")
        return super().columns(index, time_us)


class Service:
    """The service's end of the pipe."""

    def __init__(self, pipe: Connection, serving: asyncio.Task[None]) -> None:
        self.pipe = pipe
        self.serving = serving
        self.reports: dict[str, list[Report]] = {}

    def take(self) -> None:
        """Take in one message."""
        said = self.pipe.recv()
        assert isinstance(said, Reports)
        for report in said.reports:
            self.reports.setdefault(report.emulation_id, []).append(report)

    async def take_until(self, the_plan: Plan, true: Callable[[list[Report]], bool], what: str) -> list[Report]:
        """Take messages in until an emulation's reports are as wanted, and return these."""
        deadline = time.monotonic() + PATIENCE_S
        while not true(self.reports.get(the_plan.emulation_id, [])):
            assert time.monotonic() < deadline, what
            assert await asyncio.to_thread(self.pipe.poll, PATIENCE_S), "the worker is silent"
            self.take()
        return self.reports[the_plan.emulation_id]

    async def end_of(self, the_plan: Plan) -> Report:
        """Return the last report of an emulation."""

        def has_ended(reports: list[Report]) -> bool:
            return any(report.outcome for report in reports)

        return (await self.take_until(the_plan, has_ended, "the emulation does not end"))[-1]


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    domains: dict[str, type[Domain]] = {**all_domains(), "broken": Broken}
    for module in (source, worker):
        monkeypatch.setattr(module, "all_domains", lambda: domains)
    monkeypatch.setattr(Worker, "_sink", lambda *_: FakeSink())
    ours, theirs = Pipe()
    serving = asyncio.create_task(Worker(theirs, Settings(world_users=100), "worker-1", SimpleNamespace()).serve())
    yield Service(ours, serving)
    if not serving.done():
        ours.send([Shutdown()])
    await asyncio.wait_for(serving, PATIENCE_S)
    ours.close()
    theirs.close()


async def test_an_emulation_is_reported_while_it_runs(service: Service) -> None:
    paced = plan(duration_s=LONG_S, rate=100.0)
    service.pipe.send([Start(paced)])
    reports = await service.take_until(
        paced, lambda reports: len({each.records for each in reports}) > 2, "no progress"
    )
    records = [report.records for report in reports]
    assert records == sorted(records)
    assert all(report.outcome is None and report.outage is None for report in reports)
    service.pipe.send([Stop(paced.emulation_id, CANCELLED)])
    last = await service.end_of(paced)
    assert last.outcome == CANCELLED
    assert last.records >= records[-1]


async def test_the_last_report_has_all_that_was_written(service: Service) -> None:
    short = plan(rate=None, max_records=200)
    service.pipe.send([Start(short)])
    last = await service.end_of(short)
    assert last.outcome == Outcome(State.COMPLETED)
    assert last.records == last.written.objects[0].records == 200
    assert last.bytes == last.written.objects[0].bytes


async def test_emulations_take_turns(service: Service) -> None:
    plans = [plan(rate=None, duration_s=1) for _ in range(3)]
    for each in plans:
        service.pipe.send([Start(each)])
    for each in plans:
        assert (await service.end_of(each)).records > 0


async def test_a_defect_of_a_domain_fails_its_emulation_and_no_other(service: Service) -> None:
    broken, sound = plan(domain="broken", rate=None, duration_s=LONG_S), plan(duration_s=2)
    service.pipe.send([Start(broken)])
    service.pipe.send([Start(sound)])
    last = await service.end_of(broken)
    assert last.outcome == Outcome(State.FAILED, "internal error: ZeroDivisionError: a domain's defect")
    assert last.records == last.written.objects[0].records > 0  # what was written is accounted for
    assert (await service.end_of(sound)).outcome == Outcome(State.COMPLETED)


async def test_an_emulation_that_cannot_begin_fails(service: Service) -> None:
    unknown = plan(domain="unknown")
    service.pipe.send([Start(unknown)])
    outcome = (await service.end_of(unknown)).outcome
    assert outcome is not None
    assert outcome.state is State.FAILED


async def test_a_stop_ends_the_emulation_that_it_names(service: Service) -> None:
    stopped, other = plan(duration_s=LONG_S), plan(duration_s=2)
    service.pipe.send([Start(stopped)])
    service.pipe.send([Start(other)])
    await asyncio.sleep(0.5)
    service.pipe.send([Stop(stopped.emulation_id, CANCELLED)])
    assert (await service.end_of(stopped)).outcome == CANCELLED
    assert (await service.end_of(other)).outcome == Outcome(State.COMPLETED)


async def test_a_stop_right_behind_the_start_is_obeyed(service: Service) -> None:
    stopped = plan(duration_s=LONG_S)
    service.pipe.send([Start(stopped)])
    service.pipe.send([Stop(stopped.emulation_id, CANCELLED)])
    assert (await service.end_of(stopped)).outcome == CANCELLED


@pytest.mark.parametrize("running", [False, True])
async def test_a_shutdown_leaves_emulations_to_be_gone_on_with(service: Service, running: bool) -> None:
    left = plan(duration_s=LONG_S)
    if running:
        service.pipe.send([Start(left)])
        await service.take_until(left, lambda reports: any(each.records for each in reports), "nothing is written")
        service.pipe.send([Shutdown()])
    else:
        service.pipe.send([Start(left), Shutdown()])
    await asyncio.wait_for(service.serving, PATIENCE_S)
    while service.pipe.poll():
        service.take()
    last = service.reports[left.emulation_id][-1]
    assert last.outcome is None
    assert (last.records > 0) == running
    objects = [each for report in service.reports[left.emulation_id] for each in report.written.objects]
    assert sum(each.records for each in objects) == last.records  # told to the last record


async def test_a_stop_for_what_has_ended_does_nothing(service: Service) -> None:
    short, later = plan(max_records=1), plan(max_records=1)
    service.pipe.send([Start(short)])
    await service.end_of(short)
    service.pipe.send([Stop(short.emulation_id, CANCELLED)])
    service.pipe.send([Start(later)])
    assert (await service.end_of(later)).outcome == Outcome(State.COMPLETED)
    assert len([report for report in service.reports[short.emulation_id] if report.outcome]) == 1
