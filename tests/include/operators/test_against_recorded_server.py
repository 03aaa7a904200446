"""The hook, both operators and the trigger against a server that answers as the original was recorded to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from include.exceptions import (
    DataEmulatorRequestError,
    EmulationFailedError,
    EmulationNotFoundError,
    TaskInterruptedError,
)
from include.hooks.data_emulator import DataEmulatorHook
from include.operators.run_emulation import RunEmulationOperator
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator
from include.triggers import emulation
from include.triggers.emulation import EmulationTrigger
from tests.support.recorded_server import BY_NAME, RecordedServer, recorded_server
from tests.support.running_task import until_killed

START = BY_NAME["POST minio user-profile json/grouped/1024"]["request"]["body"]
ID = "025215a5-8151-4eec-b6f0-61f19cbd08f4"
ALL_WRITES_DENIED = "6e892e26-849e-4009-99c3-7df992b51523"


@pytest.fixture
def server(connect: Any) -> Iterator[RecordedServer]:
    with recorded_server() as server:
        connect(server.url, token="ignored-by-the-original")
        yield server


def start(make_context: Any) -> str:
    return StartEmulatorOperator(task_id="start", **START).execute(make_context())


def test_start_and_poll_from_the_worker(server: RecordedServer, make_context: Any) -> None:
    emulation_id = start(make_context)
    assert emulation_id == ID
    wait = StatusEmulationOperator(task_id="wait", prev_task_id="start", deferrable=False, poll_interval=0.01)
    wait.wait_timeout = 60
    assert wait.execute(make_context(xcoms={("start", -1): emulation_id})) == ID
    # Before, during and after, as recorded; and nothing that the original does not know.
    assert [request[:2] for request in server.requests] == [
        ("POST", "/emulator/"),
        *[("GET", f"/emulator/{ID}/status")] * 3,
    ]


async def test_start_and_defer(server: RecordedServer, make_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "FIRST_EVENT_AFTER_S", 0.0)
    wait = StatusEmulationOperator(
        task_id="wait", emulation_id=start(make_context), poll_interval=0.01, wait_timeout=60
    )
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute(make_context())
    trigger = deferred.value.trigger
    assert isinstance(trigger, EmulationTrigger)
    (event,) = [event async for event in trigger.run()]
    context = make_context()
    assert wait.execute_complete(context, event.payload) == ID
    assert "receipt" not in context["ti"].pushed
    # Before, during and after, as recorded; and once it was asked for many, which the original cannot tell of.
    assert [request[:2] for request in server.requests] == [
        ("POST", "/emulator/"),
        ("POST", "/emulator/status"),
        *[("GET", f"/emulator/{ID}/status")] * 3,
    ]


async def test_in_one_task(server: RecordedServer, make_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "FIRST_EVENT_AFTER_S", 0.0)
    task = RunEmulationOperator(task_id="run", **START, poll_interval=0.01, wait_timeout=60)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(make_context())
    trigger = deferred.value.trigger
    assert isinstance(trigger, EmulationTrigger)
    (event,) = [event async for event in trigger.run()]
    assert task.execute_complete(make_context(), event.payload) == {"id": ID}


def test_a_task_that_is_ended_while_it_starts_one_does_not_start_another(
    server: RecordedServer, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original neither knows the key nor can it cancel."""
    task = StartEmulatorOperator(task_id="start", **START)
    find_or_start = DataEmulatorHook.find_or_start_emulation

    def ended(hook: DataEmulatorHook, *args: Any, **options: Any) -> Any:
        find_or_start(hook, *args, **options)
        task.on_kill()

    monkeypatch.setattr(DataEmulatorHook, "find_or_start_emulation", ended)
    with pytest.raises(TaskInterruptedError):
        task.execute(make_context(state="failed"))
    until_killed()
    assert [request[0] for request in server.requests] == ["POST", "DELETE"]


def test_every_write_denied_is_a_failure_at_once_though_the_original_processes_for_ever(
    server: RecordedServer, make_context: Any
) -> None:
    with pytest.raises(EmulationFailedError, match="5 of 5 threads in error while the service reports 'processing'"):
        StatusEmulationOperator(task_id="wait", emulation_id=ALL_WRITES_DENIED, deferrable=False).execute(
            make_context()
        )


def test_an_emulation_that_the_original_forgot(server: RecordedServer, make_context: Any) -> None:
    with pytest.raises(EmulationNotFoundError, match="Emulation ID gone not found"):
        StatusEmulationOperator(task_id="wait", emulation_id="gone", deferrable=False).execute(make_context())


def test_what_the_original_cannot_do(server: RecordedServer) -> None:
    hook = DataEmulatorHook()
    with pytest.raises(DataEmulatorRequestError) as cancel:
        hook.cancel(ID)
    assert cancel.value.http_status == 405
    with pytest.raises(DataEmulatorRequestError):
        hook.get_manifest(ID)
    assert not hook.get_status(ID, wait_s=30).waited


def test_the_connections_test_button(server: RecordedServer) -> None:
    works, message = DataEmulatorHook().test_connection()
    assert works
    assert message.startswith(f"A Data Emulator Service answers at {server.url}")
