"""Nobody asks for an emulation any more: it is cancelled, says so, and its manifest is true. Others go on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_emulator.api import bodies
from data_emulator.model import State
from data_emulator.service import attention
from data_emulator.service.emulations import Emulations
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.in_process import Clock, ended, start, wait_until, worker_pids
from tests.support.running_service import PATIENCE_S, Json, endless

pytestmark = pytest.mark.integration

ABANDONED = "nobody has asked for its status for 10 s (abandon_after)"


def test_in_real_time_over_http(serve: ServiceFactory, s3_store: SeaweedFS, kafka_broker: Tansu) -> None:
    service = serve(MAX_RUNNING=8)
    before = time.monotonic()
    kept_body = endless(abandon_after=10, rate=20)
    polled, of_many, held, careless = [*(service.post(kept_body) for _ in range(3)), service.post(endless(rate=20))]
    sync_types = ("single", "grouped", "chunked")
    in_s3 = [service.post(endless(abandon_after=10, sync_type=each)) for each in sync_types]
    in_kafka = service.post(endless(abandon_after=10, emulator_sync="kafka"))
    queued = service.post(endless(abandon_after=10))
    answers: list[str] = []

    def wait() -> None:
        answer = service.http.get(f"/emulator/{held}/status", headers={"Prefer": "wait=55"})
        answers.append(answer.json()["status"]["global_status"])

    poll = threading.Thread(target=wait)
    poll.start()

    def listed() -> dict[str, Json]:
        return {each["id"]: each for each in service.http.get("/emulator/").json()["emulations"]}

    assert listed()[queued]["status"]["global_status"] == "queued"
    abandoned = [*in_s3, in_kafka, queued]
    states: dict[str, str] = {}
    # Longer than the others may go unasked, and until a busy machine has ended all that are abandoned.
    while time.monotonic() - before < 14 or not all(states[each] == "cancelled" for each in abandoned):
        assert time.monotonic() - before < PATIENCE_S
        service.status(polled)
        prefer = {"Prefer": "return=minimal"}
        service.http.post("/emulator/status", json={"ids": [of_many, "unknown"]}, headers=prefer).raise_for_status()
        # Listing is no asking. None is abandoned before its time.
        states = {key: each["status"]["global_status"] for key, each in listed().items()}
        assert time.monotonic() - before > 10 or "cancelled" not in states.values()
        time.sleep(1)
    assert {key for key, state in states.items() if state == "cancelled"} == set(abandoned)
    for each in abandoned:
        status = service.status(each)
        assert status["status"] == {"global_status": "cancelled", "threads": {"0": "finished"}}
        assert status["error"] == ABANDONED
        manifest = service.manifest(each)
        assert manifest["state"] == "cancelled"
        assert manifest["totals"]["records"] == status["progress"]["records"]
        there = readback.objects(s3_store, "transactions", each + "/")
        assert {one["key"]: (one["bytes"], one["checksum"]) for one in manifest["objects"]} == {
            key: (len(content), readback.checksum(content)) for key, content in there.items()
        }
        lines = sum(content.count(b"\n") for content in there.values())
        assert (lines > 0) == (each in in_s3)
        assert lines == (manifest["totals"]["records"] if each in in_s3 else 0)
    ranges = [
        (one["partition"], one["first_offset"], one["next_offset"]) for one in service.manifest(in_kafka)["partitions"]
    ]
    messages = readback.messages(kafka_broker, "transactions", ranges)
    own = [message for message in messages if in_kafka.encode() in (message.value() or b"")]
    assert len(own) == service.status(in_kafka)["progress"]["records"] > 0

    assert [service.state(each) for each in (polled, of_many, held, careless)] == ["processing"] * 4
    for each in (polled, of_many, held, careless):
        service.http.delete(f"/emulator/{each}")
        assert service.ended(each)["error"] is None  # whoever cancels it knows why
    poll.join(30)
    assert answers == ["cancelled"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(attention, "_SWEEP_S", 0.05)
    return Clock()


Opener = Callable[[], Emulations]


@pytest.fixture
def opened(s3_settings: Settings, clock: Clock, tmp_path: Path) -> Iterator[Opener]:
    """Open a service on this test's clock and database. At the end it is closed."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    changes = {"database_url": url, "workers": 1, "world_users": 100, "max_running": 2}
    services: list[Emulations] = []

    def opened() -> Emulations:
        services.append(Emulations(s3_settings.model_copy(update=changes), clock))
        services[-1].open()
        return services[-1]

    yield opened
    services[-1].close()


def states(service: Emulations, ids: list[str]) -> list[State]:
    return [service.get(each).state for each in ids]


@contextmanager
def long_poll(service: Emulations, emulation_ids: list[str]) -> Iterator[None]:
    """Have somebody wait for these until the context is left."""

    async def wait() -> None:
        polls.append((asyncio.get_running_loop(), asyncio.current_task()))
        await service.wait_for_ended(emulation_ids, 100)

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(wait())

    polls: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = []
    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: all(service._attention._watches[each].held for each in emulation_ids), "the poll is held")
    yield
    ((loop, task),) = polls
    assert task is not None
    loop.call_soon_threadsafe(task.cancel)
    thread.join()


def test_a_long_poll_for_many_keeps_them_until_it_is_let_go(opened: Opener, clock: Clock) -> None:
    service = opened()
    ids = [start(service, rate=100, abandon_after=10) for _ in range(3)]
    with long_poll(service, ids):
        clock.forward(1000)
    clock.forward(9)
    assert states(service, ids) == [State.PROCESSING, State.PROCESSING, State.QUEUED]
    clock.forward(1)
    for each in ids:
        assert (ended(service, each).state, service.get(each).error) == (State.CANCELLED, ABANDONED)
    assert not service._attention._watches


def test_one_that_ends_by_itself_is_not_abandoned(opened: Opener, clock: Clock) -> None:
    service = opened()
    done = start(service, max_records=10, abandon_after=10)
    assert ended(service, done).state is State.COMPLETED
    wait_until(lambda: not service._attention._watches, "it is forgotten")
    clock.forward(100)
    assert (service.get(done).state, service.get(done).error) == (State.COMPLETED, None)


def test_after_a_restart_the_time_starts_anew(opened: Opener, clock: Clock) -> None:
    service = opened()
    ids = [start(service, rate=100, **changes) for changes in ({}, {"abandon_after": 10}, {"abandon_after": 10})]
    careless, running, queued = ids
    clock.forward(9)
    service.close()
    clock.now_s += 1000
    service = opened()
    clock.forward(9)
    assert states(service, ids) == [State.PROCESSING, State.PROCESSING, State.QUEUED]
    clock.forward(1)
    for each in (running, queued):
        assert (ended(service, each).state, service.get(each).error) == (State.CANCELLED, ABANDONED)
    clock.forward(1000)
    assert states(service, [careless]) == [State.PROCESSING]


def test_why_it_is_cancelled_survives_its_worker(opened: Opener, clock: Clock, s3_store: SeaweedFS) -> None:
    service = opened()
    abandoned = start(service, rate=100, sync_type="single", abandon_after=10)
    wait_until(lambda: len(service.manifest(abandoned)[1]) > 0, "objects are written")
    (pid,) = worker_pids(service)
    os.kill(pid, signal.SIGSTOP)  # so that it does not end it
    clock.forward(10)
    going = service.get(abandoned)
    assert (going.state, going.cancel_requested) == (State.PROCESSING, True)
    assert bodies.status(going, service.settings).error is None  # it has not ended
    service.cancel(abandoned)  # who comes late does not change why
    os.kill(pid, signal.SIGKILL)
    assert (ended(service, abandoned).state, service.get(abandoned).error) == (State.CANCELLED, ABANDONED)
    there = readback.objects(s3_store, "transactions", abandoned + "/")
    assert {one.key: one.checksum for one in service.manifest(abandoned)[1]} == {
        key: readback.checksum(content) for key, content in there.items()
    }
