from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from include.hooks.data_emulator_async import DataEmulatorAsyncHook
from include.triggers import emulation, shared_wait
from include.triggers.emulation import EmulationTrigger
from include.wire.status import EmulationState, EmulationStatus
from tests.support.fake_service import Answer, cut_off, error, fake_service, hang, reset, status, text

PROJECT = Path(__file__).parents[3]
SOON_S = 0.3
LATER_S = 60.0


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "FIRST_EVENT_AFTER_S", 0.0)
    monkeypatch.setattr(shared_wait, "MIN_PAUSE_S", 0.01)


def make_trigger(
    wait_s: float = LATER_S, *, poll_interval: float = 0.01, cancel_on_kill: bool = True
) -> EmulationTrigger:
    deadline = time.time() + wait_s
    return EmulationTrigger(
        emulation_id="e1", poll_interval=poll_interval, deadline=deadline, cancel_on_kill=cancel_on_kill
    )


async def fire(trigger: EmulationTrigger) -> dict[str, Any]:
    """The payload of the one event."""
    events = [event async for event in trigger.run()]
    assert len(events) == 1
    json.dumps(events[0].payload)  # Airflow stores it
    return events[0].payload


def state_of(payload: dict[str, Any]) -> EmulationState:
    assert payload["outcome"] == "ended"
    assert payload["emulation_id"] == "e1"
    return EmulationStatus.from_dict(payload["status"]).state


def test_a_triggerer_can_build_it_anew() -> None:
    trigger = make_trigger()
    path, arguments = trigger.serialize()
    assert path == "include.triggers.emulation.EmulationTrigger"
    assert EmulationTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


def test_a_worker_that_defers_imports_nothing_that_speaks_http() -> None:
    program = (
        "import sys, include.triggers.emulation; "
        "print({'aiohttp', 'requests', 'airflow.providers.http.hooks.http'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(("interval_s", "expected"), [(None, 7.0), (30, 32.0)])
def test_no_event_comes_before_the_workers_next_heartbeat(interval_s: int | None, expected: float) -> None:
    given = {} if interval_s is None else {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": str(interval_s)}
    program = "from include.triggers.emulation import FIRST_EVENT_AFTER_S; print(FIRST_EVENT_AFTER_S)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=os.environ | given, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.splitlines()[-1]) == expected


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_it_polls_a_service_that_answers_at_once(end: str, connect: Any) -> None:
    async with fake_service(status("queued"), status("processing"), status("processing"), status(end)) as service:
        connect(service.url)
        assert state_of(await fire(make_trigger())) == end
    assert service.asked == ["GET /emulator/e1/status"] * 4
    assert len(service.connections) == 1, "one session for the whole wait"


@pytest.mark.parametrize(
    "failure",
    [
        *(reset, cut_off, error(429), error(500), error(503), text("<html>"), status("paused")),
        *(error(404, "Not Found"), error(302, Location="https://sso.example.com/login"), error(401)),
    ],
)
async def test_it_rides_out_a_transient_failure_and_says_so_once(
    failure: Answer, connect: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    script = [status("processing"), *[failure] * 6, status("processing"), status("completed")]
    async with fake_service(*script) as service:
        connect(service.url, retry_attempts=2)
        assert state_of(await fire(make_trigger())) is EmulationState.COMPLETED
    log = capfd.readouterr().out
    assert log.count("Still waiting for emulation e1, but its status cannot be read") == 1
    assert log.count("answers again") == 1


async def test_it_outlasts_a_service_that_is_not_there(connect: Any) -> None:
    async with fake_service(status("completed")) as service:
        connect(service.url)
    payload = await fire(make_trigger(SOON_S))
    assert (payload["outcome"], payload["state"]) == ("deadline", None)
    assert "refuses connections" in payload["last_error"]


async def test_it_says_what_the_emulation_waits_for_and_that_it_is_over(
    connect: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    away = {"for": "S3 object e1/part-0: gone", "since": "2026-01-31T12:00:00Z", "until": "2026-01-31T12:05:00Z"}
    held_up = status("processing", waiting=away)
    async with fake_service(held_up, held_up, status("processing"), status("completed")) as service:
        connect(service.url)
        assert state_of(await fire(make_trigger())) is EmulationState.COMPLETED
    log = capfd.readouterr().out
    text = "S3 object e1/part-0: gone (since 2026-01-31T12:00:00Z; the service gives up at 2026-01-31T12:05:00Z)"
    assert log.count(f"Emulation e1 is waiting: {text}") == 1
    assert log.count("Emulation e1 continues") == 1


async def test_what_the_emulation_waits_for_is_told_at_the_deadline(connect: Any) -> None:
    async with fake_service(status("processing", waiting={"for": "S3 object e1/part-0: gone"})) as service:
        connect(service.url)
        payload = await fire(make_trigger(SOON_S))
    assert (payload["state"], payload["last_error"]) == ("processing", "S3 object e1/part-0: gone")


async def test_it_gives_up_at_the_deadline(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        payload = await fire(make_trigger(SOON_S))
    assert payload.pop("ended_at") == pytest.approx(time.time(), abs=5)
    assert payload == {"emulation_id": "e1", "outcome": "deadline", "state": "processing", "last_error": None}


async def test_time_in_the_queue_moves_the_deadline_up_to_the_latest(connect: Any) -> None:
    async with fake_service(*[status("queued")] * 20, status("processing"), status("completed")) as service:
        connect(service.url)
        trigger = make_trigger(SOON_S, poll_interval=SOON_S / 10)
        trigger.latest_deadline += LATER_S
        assert state_of(await fire(trigger)) is EmulationState.COMPLETED
    async with fake_service(status("queued")) as service:
        connect(service.url)
        assert (await fire(make_trigger(SOON_S)))["state"] == "queued"


async def test_the_log_calls_the_emulation_by_its_label(connect: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async with fake_service(status("processing"), status("completed")) as service:
        connect(service.url)
        trigger = make_trigger()
        trigger.emulation_label = "payments, slow"
        await fire(trigger)
    assert "Emulation payments, slow (e1) is processing" in capfd.readouterr().out


def test_a_trigger_that_an_earlier_version_has_made_still_waits() -> None:
    arguments = {"emulation_id": "e1", "poll_interval": 1.0, "deadline": 5.0, "cancel_on_kill": True}
    assert EmulationTrigger(**arguments).latest_deadline == 5.0


async def test_a_service_that_hangs_does_not_hold_it_beyond_the_deadline(connect: Any) -> None:
    async with fake_service(hang) as service:
        connect(service.url, read_timeout=3600)
        assert (await fire(make_trigger(SOON_S)))["outcome"] == "deadline"


async def test_a_deadline_that_passed_while_no_triggerer_ran(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        assert (await fire(make_trigger(-1)))["outcome"] == "deadline"
    assert service.asked == []


@pytest.mark.parametrize(("status_code", "detail"), [(401, "no such thing"), (404, "Emulation ID e1 not found.")])
async def test_a_refusal_ends_the_wait(
    status_code: int, detail: str, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_wait, "REFUSED_AFTER_S", SOON_S)
    async with fake_service(status("processing"), error(status_code, detail)) as service:
        connect(service.url)
        payload = await fire(make_trigger())
    assert payload == {"emulation_id": "e1", "outcome": "refused", "http_status": status_code, "detail": detail}


async def test_a_connection_that_cannot_be_used_ends_the_wait(connect: Any) -> None:
    connect(retry_attempts="many")
    payload = await fire(make_trigger())
    assert payload["outcome"] == "misconfigured"
    assert "retry_attempts must be a number" in payload["problem"]


async def test_a_thread_in_error_ends_the_wait(connect: Any) -> None:
    broken = {"status": {"global_status": "processing", "threads": {"0": "error"}}}
    async with fake_service(lambda request: web.json_response(broken)) as service:
        connect(service.url)
        assert state_of(await fire(make_trigger())) is EmulationState.FAILED


async def test_it_does_not_fire_in_its_first_seconds(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "FIRST_EVENT_AFTER_S", SOON_S)
    async with fake_service(status("completed")) as service:
        connect(service.url)
        began = time.monotonic()
        await fire(make_trigger())
    assert time.monotonic() - began >= SOON_S


async def test_killing_cancels_the_emulation(connect: Any) -> None:
    async with fake_service(status("processing"), delete=lambda request: web.Response(status=202)) as service:
        connect(service.url)
        await make_trigger().on_kill()
    assert service.asked == ["DELETE /emulator/e1"]


async def test_killing_cancels_nothing_if_told_so(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        await make_trigger(cancel_on_kill=False).on_kill()
    assert service.asked == []


async def test_killing_where_nothing_can_be_cancelled_says_so(connect: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        await make_trigger().on_kill()
    assert "Could not cancel" in capfd.readouterr().out


async def test_no_secret_is_in_what_airflow_stores_or_shows(connect: Any) -> None:
    connect(token="hunter2")
    trigger = make_trigger()
    assert "hunter2" not in f"{trigger!r} {trigger.serialize()} {DataEmulatorAsyncHook()!r}"


@pytest.mark.parametrize("steps_between", range(4))
async def test_a_cancellation_is_not_lost_when_news_comes_at_the_same_moment(steps_between: int, connect: Any) -> None:
    """By its message Airflow knows that the task was marked or cleared, and calls `on_kill`."""
    async with fake_service(status("processing")) as service:
        connect(service.url)
        trigger = make_trigger()
        task = asyncio.ensure_future(anext(trigger.run()))
        shared = shared_wait.shared_wait("data_emulator_default")
        async with asyncio.timeout(LATER_S):
            while "e1" not in shared._followed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (queue,) = shared._followed["e1"].listeners
        queue.put_nowait(EmulationStatus("e1", EmulationState.PROCESSING))
        for _ in range(steps_between):  # of the event loop
            await asyncio.sleep(0)
        task.cancel("marked")
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, "it goes on"
        with pytest.raises(asyncio.CancelledError, match="marked"):
            await task
