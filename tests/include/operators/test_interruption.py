"""What a task does when its process is told to end: by somebody who ends the task, or with its worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from requests_mock.mocker import Mocker

from include.exceptions import TaskInterruptedError
from include.operators.interruption import Interruption
from include.operators.run_emulation import RunEmulationOperator
from include.operators.status_emulation import StatusEmulationOperator
from tests.support.running_task import FakeTaskInstance, running_task, until_killed

EMULATION = "http://emulator:8000/emulator/e1"


class Log:
    """Says nothing."""

    def info(self, *args: Any) -> None: ...

    warning = info


def polling(**arguments: Any) -> StatusEmulationOperator:
    options = {"prev_task_id": "start", "deferrable": False, "poll_interval": 60, "wait_timeout": 600, **arguments}
    return StatusEmulationOperator(task_id="wait", **options)


@pytest.fixture
def send_signal() -> Iterator[Any]:
    """Sends SIGTERM to this process, whose handler calls the operator's `on_kill` as Airflow's does; from any thread.

    A request is sent in a thread, while the main one, which handles signals, waits for its answer.
    """
    before = signal.getsignal(signal.SIGTERM)
    killed: list[Any] = []
    signal.signal(signal.SIGTERM, lambda number, frame: killed[0].on_kill())

    def send(operator: Any) -> None:
        killed.append(operator)
        os.kill(os.getpid(), signal.SIGTERM)

    yield send
    signal.signal(signal.SIGTERM, before)
    until_killed()


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mocked service answers one request after the other, also while a signal interrupts it."""
    monkeypatch.setattr("include.operators.interruption._CANCELLED_WITHIN_S", 0.1)


@pytest.mark.parametrize(
    ("state", "cancel_on_kill", "cancels"),
    [("running", True, False), ("failed", True, True), (None, True, True), ("failed", False, False)],
)
def test_a_signal_ends_the_try_while_it_sleeps_between_two_looks(
    state: str | None,
    cancel_on_kill: bool,
    cancels: bool,
    connect: Any,
    requests_mock: Mocker,
    send_signal: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect()
    task = polling(cancel_on_kill=cancel_on_kill)
    requests_mock.get(f"{EMULATION}/status", json={"status": "processing"})
    requests_mock.delete(EMULATION, status_code=202)
    context = running_task(xcoms={("start", -1): "e1"}, state=state)
    monkeypatch.setattr(time, "sleep", lambda seconds: send_signal(task))
    with pytest.raises(TaskInterruptedError) as caught:
        task.execute(context)
    assert not isinstance(caught.value, AirflowFailException), "the next try goes on"
    until_killed()
    assert [each.method for each in requests_mock.request_history if each.method == "DELETE"] == ["DELETE"] * cancels


def test_a_signal_ends_the_try_while_it_waits_for_an_answer(
    connect: Any, requests_mock: Mocker, send_signal: Any
) -> None:
    connect()
    task = polling()

    def answer(request: Any, answer: Any) -> dict[str, Any]:
        send_signal(task)
        return {"status": "completed"}

    requests_mock.get(f"{EMULATION}/status", json=answer)
    with pytest.raises(TaskInterruptedError):
        task.execute(running_task(xcoms={("start", -1): "e1"}))


def test_the_one_task_cancels_what_it_polls(connect: Any, requests_mock: Mocker, send_signal: Any) -> None:
    connect()
    task = RunEmulationOperator(
        task_id="run",
        arguments={
            "emulator_sync": "minio",
            "emulation_domain": "user-profile",
            "format_type": "json",
            "sync_type": "grouped",
            "max_chunk_size": 1024,
            "timeout": 30,
        },
        deferrable=False,
    )

    def answer(request: Any, answer: Any) -> dict[str, Any]:
        send_signal(task)
        return {}

    requests_mock.post("http://emulator:8000/emulator/", status_code=201, json={"id": "e1"})
    requests_mock.get(f"{EMULATION}/status", json=answer)
    requests_mock.delete(EMULATION, status_code=202)
    with pytest.raises(TaskInterruptedError):
        task.execute(running_task(state="failed"))
    until_killed()
    assert ("DELETE", "/emulator/e1") in [(each.method, each.path) for each in requests_mock.request_history]


def test_a_task_that_is_told_before_it_waits_ends_where_it_would_begin_to() -> None:
    interruption = Interruption(FakeTaskInstance(), None, Log())
    interruption.on_signal()
    with pytest.raises(TaskInterruptedError), interruption.interruptible():
        raise AssertionError("it began")


def test_a_second_signal_changes_nothing() -> None:
    cancelled: list[int] = []
    interruption = Interruption(FakeTaskInstance(state="failed"), lambda: cancelled.append(1), Log())
    interruption.on_signal()
    interruption.on_signal()
    until_killed()
    assert cancelled == [1]


def test_airflow_is_asked_only_once_the_interrupted_code_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes while the task waits for Airflow's answer, and holds the lock that every question needs."""
    monkeypatch.setattr("include.operators.interruption._HANDLER_WAITS_S", 0.1)
    lock, cancelled = threading.Lock(), threading.Event()
    ti = FakeTaskInstance(state="failed")
    ask = ti.get_task_states

    def asking_airflow(**arguments: Any) -> Any:
        with lock:
            return ask(**arguments)

    ti.get_task_states = asking_airflow
    interruption = Interruption(ti, cancelled.set, Log())
    with lock:
        interruption.on_signal()
        assert not cancelled.is_set()
    until_killed()
    assert cancelled.is_set()


def test_a_mapped_task_asks_for_its_own_state() -> None:
    cancelled = threading.Event()
    interruption = Interruption(FakeTaskInstance(state="running", map_index=3), cancelled.set, Log())
    interruption.on_signal()
    until_killed()
    assert not cancelled.is_set()
