"""Which tries of a task start an emulation and which find one: the table of ADR 11, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowFailException
from requests_mock.mocker import Mocker

from include.exceptions import DataEmulatorUnavailableError, EmulationEndError, EmulationFailedError
from include.operators.run_emulation import RunEmulationOperator
from include.operators.start_emulator import StartEmulatorOperator
from tests.support.running_task import TaskLife

URL = "http://emulator:8000/emulator/"
REQUEST: dict[str, Any] = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}


class Service:
    """Starts one emulation a key; ``states`` says what became of each.

    ``loses_answers`` says of how many starts; one that it does not cancel at once runs on for a while.
    """

    def __init__(self, mock: Mocker) -> None:
        self.by_key: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.first_state = "processing"
        self.loses_answers = 0
        self.cancels_at_once = True
        mock.post(URL, json=self._start)
        mock.delete(re.compile(URL + "e[0-9]+"), json=self._cancel)
        mock.get(re.compile(URL + "e[0-9]+/status"), json=self._status)

    @property
    def running(self) -> list[str]:
        return [each for each, state in self.states.items() if state == "processing"]

    def _start(self, request: Any, answer: Any) -> dict[str, Any]:
        key = request.headers["Idempotency-Key"]
        if key in self.by_key:
            answer.headers["Idempotency-Replayed"] = "true"
        else:
            self.by_key[key] = f"e{len(self.by_key) + 1}"
            self.states[self.by_key[key]] = self.first_state
        if self.loses_answers:
            self.loses_answers -= 1
            raise requests.ConnectionError("the answer is lost")
        answer.status_code = 201
        return {"id": self.by_key[key]}

    def _cancel(self, request: Any, answer: Any) -> dict[str, Any]:
        emulation_id = request.path.rsplit("/", 1)[1]
        answer.status_code = 202 if self.states[emulation_id] == "processing" else 409
        if answer.status_code == 202 and self.cancels_at_once:
            self.states[emulation_id] = "cancelled"
        return {"detail": "over"}

    def _status(self, request: Any, answer: Any) -> dict[str, Any]:
        state = self.states[request.path.split("/")[-2]]
        return {"status": state, "error": "No such bucket. And much more." if state == "failed" else None}


@pytest.fixture
def service(connect: Any, requests_mock: Mocker) -> Service:
    connect(retry_attempts=1)
    return Service(requests_mock)


def start(life: TaskLife, **arguments: Any) -> str:
    return str(StartEmulatorOperator(task_id="t", **{**REQUEST, **arguments}).execute(life.context()))


def start_in_vain(life: TaskLife, service: Service) -> None:
    """A try that dies with the answer to its start."""
    service.loses_answers = 1
    with pytest.raises(DataEmulatorUnavailableError):
        start(life)


Sequence = Callable[[TaskLife, Service], Any]


def died_before_the_start(life: TaskLife, service: Service) -> None:
    life.retry()


def answer_lost(life: TaskLife, service: Service) -> None:
    start_in_vain(life, service)
    life.retry()


def answer_lost_and_another_task_cleared(life: TaskLife, service: Service) -> None:
    start_in_vain(life, service)
    life.clear_another()
    life.retry()


def answer_lost_and_completed_meanwhile(life: TaskLife, service: Service) -> None:
    start_in_vain(life, service)
    service.states["e1"] = "completed"
    life.retry()


def died_before_airflow_knew_of_the_success(life: TaskLife, service: Service) -> None:
    start(life)
    life.retry()


@pytest.mark.parametrize(
    "before",
    [
        died_before_the_start,
        answer_lost,
        answer_lost_and_another_task_cleared,
        answer_lost_and_completed_meanwhile,
        died_before_airflow_knew_of_the_success,
    ],
)
def test_a_retry_means_the_same_emulation(before: Sequence, service: Service) -> None:
    life = TaskLife()
    before(life, service)
    assert start(life) == "e1"
    assert list(service.states) == ["e1"]


def cleared_after_success(life: TaskLife, service: Service) -> None:
    start(life)
    life.clear()


def cleared_after_success_with_fewer_retries(life: TaskLife, service: Service) -> None:
    """So that `max_tries` is what it was."""
    start(life)
    life.clear(retries=life.retries - 1)
    assert life.max_tries == TaskLife().max_tries


def cleared_with_the_store_cleared_too(life: TaskLife, service: Service) -> None:
    start(life)
    service.states["e1"] = "completed"  # one that runs is the service's to end: abandon_after
    life.clear()
    life.lose_store()


def cleared_while_sending(life: TaskLife, service: Service) -> None:
    start_in_vain(life, service)
    service.states["e1"] = "cancelled"  # as the kill did
    life.clear(while_running=True)


def answer_lost_and_failed_meanwhile(life: TaskLife, service: Service) -> None:
    start_in_vain(life, service)
    service.states["e1"] = "failed"
    life.retry()


def cleared_twice(life: TaskLife, service: Service) -> None:
    start(life)
    life.clear()
    life.clear()


@pytest.mark.parametrize(
    "before",
    [
        cleared_after_success,
        cleared_after_success_with_fewer_retries,
        cleared_with_the_store_cleared_too,
        cleared_while_sending,
        cleared_twice,
        answer_lost_and_failed_meanwhile,
    ],
)
@pytest.mark.parametrize("counts_clears", [True, False])
def test_a_clear_or_a_bad_end_means_another_emulation(before: Sequence, counts_clears: bool, service: Service) -> None:
    life = TaskLife(counts_clears=counts_clears)
    before(life, service)
    assert start(life) == "e2"
    assert service.running == ["e2"]
    life.retry()
    assert start(life) == ("e2" if counts_clears else "e3")  # a success that Airflow did not learn of, see ADR 11
    assert len(service.running) == 1


def test_a_clear_that_leaves_max_tries_as_it_was_is_not_given_the_old_data(service: Service) -> None:
    life = TaskLife()
    start_in_vain(life, service)
    service.states["e1"] = "completed"
    life.clear(retries=life.retries - 1)
    assert start(life) == "e2"


def test_a_run_that_is_deleted_and_made_again_means_another_emulation(service: Service) -> None:
    life = TaskLife()
    start(life)
    life.retry()
    life.try_number, life.max_tries = 1, life.retries  # and what was kept is still there
    assert start(life) == "e2"


def test_two_airflows_at_one_service_mean_two_emulations(service: Service) -> None:
    assert {start(TaskLife()), start(TaskLife())} == {"e1", "e2"}


def test_an_emulation_is_over_before_its_lost_answer_is_asked_for_again(service: Service, connect: Any) -> None:
    connect(retry_attempts=2)
    service.first_state, service.loses_answers = "completed", 1
    assert start(TaskLife()) == "e1"


# Where there is no task state store.


@pytest.mark.parametrize(
    ("before", "emulation_id"),
    [
        (answer_lost, "e1"),
        (answer_lost_and_another_task_cleared, "e1"),
        (answer_lost_and_completed_meanwhile, "e1"),
        (answer_lost_and_failed_meanwhile, "e2"),
        (cleared_after_success, "e2"),
        (cleared_while_sending, "e2"),
    ],
)
def test_without_a_store_the_key_is_made_of_what_airflow_counts(
    before: Sequence, emulation_id: str, service: Service
) -> None:
    life = TaskLife(store=False)
    before(life, service)
    assert start(life) == emulation_id


# Retries of an emulation, in one task.


def run(life: TaskLife, **arguments: Any) -> Any:
    task = RunEmulationOperator(
        task_id="t", **{**REQUEST, "deferrable": False, "poll_interval": 0.01, "wait_timeout": 60, **arguments}
    )
    return task.execute(life.context())


@pytest.mark.parametrize("store", [True, False])
def test_a_failed_emulation_is_run_as_often_as_airflow_tries_the_task(store: bool, service: Service) -> None:
    life = TaskLife(retries=3, store=store)
    service.first_state = "failed"
    text = r"^Emulation user-profile \(e\d\) failed: No such bucket$"
    for _ in range(4):
        with pytest.raises(EmulationFailedError, match=text) as end:
            run(life)
        assert not isinstance(end.value, AirflowFailException)
        life.retry()
    assert list(service.states) == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_retry_after_a_bad_end_runs_another_one(end: str, service: Service) -> None:
    life = TaskLife()
    service.first_state = end
    with pytest.raises(EmulationEndError):
        run(life)
    service.first_state = "completed"
    life.retry()
    assert run(life) == {"id": "e2"}


def test_a_retry_after_the_wait_ran_out_runs_another_one(service: Service) -> None:
    life = TaskLife()
    with pytest.raises(EmulationEndError, match=r"had not ended after 0\.05 s"):
        run(life, wait_timeout=0.05)
    assert service.states == {"e1": "cancelled"}
    service.first_state = "completed"
    life.retry()
    assert run(life) == {"id": "e2"}


def test_a_retry_does_not_go_on_with_an_emulation_that_is_being_cancelled(service: Service) -> None:
    life = TaskLife()
    service.cancels_at_once = False
    with pytest.raises(EmulationEndError, match="it was cancelled"):
        run(life, wait_timeout=0.05)
    service.first_state = "completed"
    life.retry()
    assert run(life) == {"id": "e2"}


def test_a_retry_waits_for_the_emulation_that_was_left_running(service: Service) -> None:
    life = TaskLife()
    with pytest.raises(EmulationEndError, match="it keeps running"):
        run(life, wait_timeout=0.05, cancel_on_kill=False)
    life.retry()
    service.states["e1"] = "completed"
    assert run(life, cancel_on_kill=False) == {"id": "e1"}


def test_a_clear_after_a_completed_emulation_runs_another_one(service: Service) -> None:
    life = TaskLife()
    service.first_state = "completed"
    assert run(life) == {"id": "e1"}
    life.clear(retries=life.retries - 1)
    assert run(life) == {"id": "e2"}
