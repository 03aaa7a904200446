"""The pool: real worker processes, killed and replaced."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from data_emulator.engine import pool
from data_emulator.engine.messages import Report
from data_emulator.engine.plan import Plan
from data_emulator.engine.pool import WorkerPool
from data_emulator.engine.run import Outcome
from data_emulator.model import Commit, State
from data_emulator.settings import Settings
from tests.support.engine_fakes import plan

pytestmark = pytest.mark.integration

LONG_S = 600


class Service:
    """What the pool tells the service, and what runs where."""

    def __init__(self, settings: Settings) -> None:
        self.reports: dict[str, Report] = {}
        self.lost: set[str] = set()
        self.hung = False
        self._lock = threading.Lock()
        self.pool = WorkerPool(settings, self)

    def on_opened(self, writer_id: str, sink: str) -> None:
        raise AssertionError

    def on_prepared(self, writer_id: str, commit: Commit) -> None:
        raise AssertionError

    def on_reports(self, writer_id: str, reports: list[Report], settled: bool) -> None:
        assert writer_id
        assert not settled
        with self._lock:
            self.reports |= {report.emulation_id: report for report in reports}

    def on_lost(self, writer_id: str, emulation_ids: set[str], suspect: str, hung: bool) -> None:
        with self._lock:
            self.lost |= emulation_ids
            self.hung = hung

    def pids(self) -> set[int]:
        return {each.process.pid for each in self.pool._workers if each.process.is_alive() and each.process.pid}

    def pid_of(self, the_plan: Plan) -> int:
        (pid,) = [each.process.pid for each in self.pool._workers if the_plan.emulation_id in each.emulation_ids]
        assert pid is not None
        return pid

    def ended(self, *plans: Plan) -> bool:
        return all(each.emulation_id in self.reports and self.reports[each.emulation_id].outcome for each in plans)

    def runs(self, *plans: Plan) -> bool:
        return all(each.emulation_id in self.reports and self.reports[each.emulation_id].records for each in plans)


@pytest.fixture
def service(s3_settings: Settings) -> Iterator[Service]:
    started = Service(s3_settings.model_copy(update={"workers": 2, "world_users": 100}))
    started.pool.start()
    yield started
    started.pool.shutdown()
    assert started.pids() == set()


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not true():
        assert time.monotonic() < deadline, f"not within 90 s: {what}"
        time.sleep(0.05)


def test_emulations_are_spread_and_a_killed_worker_is_replaced(service: Service) -> None:
    plans = [plan(duration_s=LONG_S, rate=50.0) for _ in range(4)]
    for each in plans:
        service.pool.run(each)
    wait_until(lambda: service.runs(*plans), "all run")
    before = service.pids()
    by_worker = {pid: {each.emulation_id for each in plans if service.pid_of(each) == pid} for pid in before}
    assert [len(ids) for ids in by_worker.values()] == [2, 2]

    killed = service.pid_of(plans[0])
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(service.lost) > 0, "the loss is noticed")
    assert service.lost == by_worker[killed]
    assert not service.hung

    wait_until(lambda: len(service.pids()) == 2, "a new worker has started")
    assert killed not in service.pids()
    new = [plan(max_records=10) for _ in range(4)]
    for each in new:
        service.pool.run(each)
    assert {service.pid_of(each) for each in new} == service.pids()  # the new one gets its share
    wait_until(lambda: service.ended(*new), "the new worker works")

    survivors = [each for each in plans if each.emulation_id not in service.lost]
    for each in survivors:
        service.pool.stop(each.emulation_id, Outcome(State.CANCELLED))
    wait_until(lambda: service.ended(*survivors), "the others are still there, and stop")
    assert {service.reports[each.emulation_id].outcome for each in survivors} == {Outcome(State.CANCELLED)}


def test_shutdown_leaves_all_where_they_are(service: Service) -> None:
    plans = [plan(duration_s=LONG_S, rate=50.0) for _ in range(3)]
    for each in plans:
        service.pool.run(each)
    wait_until(lambda: service.runs(*plans), "all run")
    service.pool.shutdown()
    assert {service.reports[each.emulation_id].outcome for each in plans} == {None}
    # What had been written is told of to the last record, so that nothing is written again.
    assert all(
        service.reports[each.emulation_id].records
        == sum(content.records for content in service.reports[each.emulation_id].written.objects)
        for each in plans
    )
    assert service.lost == set()
    assert service.pids() == set()


def test_who_starts_an_emulation_does_not_wait_for_a_worker_that_reads_no_orders(service: Service) -> None:
    # Far more than a pipe takes, while nobody reads it.
    for pid in service.pids():
        os.kill(pid, signal.SIGSTOP)
    plans = [plan(duration_s=0) for _ in range(1000)]
    starter = threading.Thread(target=lambda: [service.pool.run(each) for each in plans], daemon=True)
    starter.start()
    starter.join(60)
    for pid in service.pids():
        os.kill(pid, signal.SIGCONT)
    assert not starter.is_alive()
    wait_until(lambda: service.ended(*plans), "every one of them has ended")


def test_a_worker_that_hangs_is_killed_and_replaced(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SILENT_S", 3.0)
    hangs, works = plan(duration_s=LONG_S, rate=50.0), plan(duration_s=LONG_S, rate=50.0)
    for each in (hangs, works):
        service.pool.run(each)
    wait_until(lambda: service.runs(hangs, works), "both run")
    pid = service.pid_of(hangs)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: service.lost == {hangs.emulation_id}, "the hang is noticed")
    assert service.hung
    wait_until(lambda: len(service.pids() - {pid}) == 2, "a new worker has started")


def test_idle_workers_are_left_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SILENT_S", 3.0)
    wait_until(lambda: all(each.silent_s is not None for each in service.pool._workers), "all are there")
    before = service.pids()
    time.sleep(6)
    assert service.pids() == before
