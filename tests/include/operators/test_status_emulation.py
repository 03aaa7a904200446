from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferred
from requests_mock.mocker import Mocker

from include.exceptions import (
    DataEmulatorConfigError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    EmulationCancelledError,
    EmulationFailedError,
    EmulationNotFoundError,
    EmulationTimeoutError,
)
from include.operators.status_emulation import StatusEmulationOperator
from include.triggers.emulation import EmulationTrigger
from include.wire.status import EmulationState, EmulationStatus
from tests.support.running_task import running_task

EMULATION = "http://emulator:8000/emulator/e1"
STATUS = f"{EMULATION}/status"


def state(name: str, **more: Any) -> dict[str, Any]:
    return {"json": {"status": {"global_status": name, "threads": {}}, **more}}


@pytest.fixture(autouse=True)
def _service(connect: Any) -> None:
    connect()


def looks(requests_mock: Mocker) -> int:
    return sum(request.url == STATUS for request in requests_mock.request_history)


def operator(**arguments: Any) -> StatusEmulationOperator:
    return StatusEmulationOperator(task_id="wait", **{"emulation_id": "e1", "cancel_on_kill": True, **arguments})


# What an emulation's end means, the same for all three ways of seeing it.

ENDS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        state("failed", error="bucket is gone"),
        EmulationFailedError,
        "my label (e1) failed: bucket is gone. To run it again, clear the task that starts it together with this task",
    ),
    (state("failed"), EmulationFailedError, "the service gave no reason"),
    (state("cancelled"), EmulationCancelledError, "clear the task that starts it together with this task"),
    (
        {"json": {"status": {"global_status": "completed", "threads": {"0": "finished", "1": "error"}}}},
        EmulationFailedError,
        "1 of 2 threads in error while the service reports 'completed'",
    ),
    (
        {"json": {"status": {"global_status": "processing", "threads": {"0": "error", "1": "error"}}}},
        EmulationFailedError,
        "2 of 2 threads in error while the service reports 'processing'",
    ),
    ({"status_code": 404, "json": {"detail": "e1 not found"}}, EmulationNotFoundError, "e1 not found (404, "),
]


def test_an_emulation_that_is_over_at_the_first_look(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **state("completed"))
    assert operator(deferrable=False).execute(make_context()) == "e1"
    assert looks(requests_mock) == 1


@pytest.mark.parametrize(("answer", "kind", "message"), ENDS)
def test_a_bad_end_at_the_first_look(
    answer: dict[str, Any], kind: type[Exception], message: str, make_context: Any, requests_mock: Mocker
) -> None:
    requests_mock.get(STATUS, **answer)
    with pytest.raises(kind) as caught:
        operator(deferrable=False, emulation_label="my label").execute(make_context())
    assert message in str(caught.value)
    assert isinstance(caught.value, AirflowFailException), "another try would only see the same end"


@pytest.mark.parametrize(("answer", "kind", "message"), ENDS)
def test_a_bad_end_while_polling(
    answer: dict[str, Any], kind: type[Exception], message: str, make_context: Any, requests_mock: Mocker
) -> None:
    requests_mock.get(STATUS, [state("queued"), state("processing"), answer])
    with pytest.raises(kind) as caught:
        operator(deferrable=False, poll_interval=0.01, wait_timeout=60, emulation_label="my label").execute(
            make_context()
        )
    assert message in str(caught.value)


def event(status_: EmulationStatus) -> dict[str, Any]:
    return {"emulation_id": "e1", "outcome": "ended", "status": json.loads(json.dumps(status_.as_dict()))}


def test_a_reason_that_is_cut_in_the_error_is_whole_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    reason = "S3 object e1/part-0: gone. That has been so since 2026-01-31T12:00:00Z: the service gave up after 301 s"
    failed = event(EmulationStatus("e1", EmulationState.FAILED, error=reason))
    with pytest.raises(EmulationFailedError, match="e1 failed: S3 object e1/part-0: gone") as caught:
        operator().execute_complete(running_task(), failed)
    assert "gave up" not in str(caught.value)
    assert f"The service's reason in full: {reason}" in capfd.readouterr().out


def test_a_good_end_while_deferred() -> None:
    assert operator().execute_complete(running_task(), event(EmulationStatus("e1", EmulationState.COMPLETED))) == "e1"


@pytest.mark.parametrize(
    ("payload", "kind", "message"),
    [
        (event(EmulationStatus("e1", EmulationState.FAILED, error="gone")), EmulationFailedError, "e1 failed: gone"),
        (event(EmulationStatus("e1", EmulationState.CANCELLED)), EmulationCancelledError, "was cancelled"),
        (
            {"emulation_id": "e1", "outcome": "refused", "http_status": 404, "detail": "e1 not found"},
            EmulationNotFoundError,
            "e1 not found (404, ",
        ),
        (
            {"emulation_id": "e1", "outcome": "refused", "http_status": 401, "detail": "no token"},
            DataEmulatorRequestError,
            "no token; set the Token of the Airflow connection (401, ",
        ),
    ],
)
def test_a_bad_end_while_deferred(payload: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        operator().execute_complete(running_task(), payload)
    assert message in str(caught.value)


# Deferring.


def defer(make_context: Any, **arguments: Any) -> tuple[TaskDeferred, EmulationTrigger]:
    with pytest.raises(TaskDeferred) as caught:
        operator(**arguments).execute(make_context())
    trigger = caught.value.trigger
    assert isinstance(trigger, EmulationTrigger)
    return caught.value, trigger


@pytest.mark.parametrize(
    ("arguments", "wait_s"),
    [
        ({}, 300.0),
        ({"poll_interval": 5, "max_retries": 4}, 20.0),
        ({"poll_interval": 5, "max_retries": 4, "wait_timeout": 1000}, 1000.0),
        ({"wait_timeout": "90"}, 90.0),
    ],
)
def test_it_defers_with_an_absolute_deadline_and_a_later_backstop(
    arguments: dict[str, Any], wait_s: float, make_context: Any, requests_mock: Mocker
) -> None:
    requests_mock.get(STATUS, **state("processing"))
    before = time.time()
    deferred, trigger = defer(make_context, emulation_label="my label", **arguments)
    assert before + wait_s <= trigger.deadline <= time.time() + wait_s
    assert deferred.timeout.total_seconds() > wait_s + 3600  # type: ignore[union-attr]
    assert deferred.method_name == "execute_complete"
    assert trigger.serialize()[1] == {
        "emulation_id": "e1",
        "emulation_label": "my label",
        "poll_interval": float(arguments.get("poll_interval", 10)),
        "deadline": trigger.deadline,
        "latest_deadline": trigger.deadline + 3600,
        "cancel_on_kill": True,
        "data_emulator_conn_id": "data_emulator_default",
    }


def test_to_defer_asks_the_service_nothing(make_context: Any, requests_mock: Mocker) -> None:
    defer(make_context)
    assert requests_mock.call_count == 0


def test_cancel_on_kill_reaches_the_trigger(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **state("queued"))
    assert not defer(make_context, cancel_on_kill=False)[1].cancel_on_kill


def test_a_service_that_is_away_at_the_first_look_uses_airflows_retries(
    make_context: Any, requests_mock: Mocker
) -> None:
    requests_mock.get(STATUS, status_code=503)
    with pytest.raises(DataEmulatorUnavailableError) as caught:
        operator(deferrable=False).execute(make_context())
    assert not isinstance(caught.value, AirflowFailException)


# The deadline.

DEADLINE = {"emulation_id": "e1", "outcome": "deadline", "state": "processing", "last_error": "GET x got no answer"}


def test_at_the_deadline_the_emulation_is_cancelled_and_the_task_fails(requests_mock: Mocker) -> None:
    requests_mock.delete(EMULATION, status_code=202)
    with pytest.raises(EmulationTimeoutError) as caught:
        operator(wait_timeout=90, emulation_label="my label").execute_complete(running_task(), DEADLINE)
    assert str(caught.value) == (
        "Emulation my label (e1) had not ended after 90 s (wait_timeout); last status: processing, last error: GET x "
        "got no answer; it was cancelled. To run it again, clear the task that starts it together with this task"
    )
    assert requests_mock.call_count == 1


def test_at_the_deadline_an_emulation_that_has_just_completed_counts(requests_mock: Mocker) -> None:
    requests_mock.delete(EMULATION, status_code=409)
    requests_mock.get(STATUS, **state("completed"))
    assert operator().execute_complete(running_task(), DEADLINE) == "e1"


def test_at_the_deadline_a_service_that_cannot_cancel_does_not_hide_the_timeout(requests_mock: Mocker) -> None:
    requests_mock.delete(EMULATION, status_code=405)
    with pytest.raises(EmulationTimeoutError, match="it could not be cancelled"):
        operator().execute_complete(running_task(), DEADLINE)


def test_at_the_deadline_nothing_is_cancelled_if_told_so(requests_mock: Mocker) -> None:
    with pytest.raises(EmulationTimeoutError, match="it keeps running because cancel_on_kill is False"):
        operator(cancel_on_kill=False).execute_complete(running_task(), DEADLINE)
    assert requests_mock.call_count == 0


def test_polling_ends_at_the_deadline_too(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **state("processing"))
    requests_mock.delete(EMULATION, status_code=202)
    text = r"after 0\.1 s \(poll_interval \* max_retries\); last status: processing; it was cancelled"
    with pytest.raises(EmulationTimeoutError, match=text):
        operator(deferrable=False, poll_interval=0.01, max_retries=10).execute(make_context())


START = datetime(2026, 1, 1, tzinfo=UTC)


def test_execution_timeout_ends_a_deferred_wait_counted_from_the_start_of_the_try(requests_mock: Mocker) -> None:
    task = operator(wait_timeout=600, execution_timeout=timedelta(seconds=90))
    start_date = datetime.now(UTC) - timedelta(seconds=60)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(running_task(start_date=start_date))
    trigger = deferred.value.trigger
    assert isinstance(trigger, EmulationTrigger)
    assert trigger.deadline == trigger.latest_deadline == (start_date + timedelta(seconds=90)).timestamp()

    requests_mock.delete(EMULATION, status_code=202)
    event = {**DEADLINE, "ended_at": trigger.deadline + 0.1}
    with pytest.raises(EmulationTimeoutError, match=r"not ended after 90 s \(execution_timeout\).*it was cancelled"):
        task.execute_complete(running_task(start_date=start_date), event)


def test_the_shorter_wait_timeout_is_named_beside_an_execution_timeout(requests_mock: Mocker) -> None:
    requests_mock.delete(EMULATION, status_code=202)
    task = operator(wait_timeout=20, execution_timeout=timedelta(seconds=90))
    event = {**DEADLINE, "ended_at": START.timestamp() + 21}
    with pytest.raises(EmulationTimeoutError, match=r"not ended after 20 s \(wait_timeout\)"):
        task.execute_complete(running_task(start_date=START), event)


def test_airflows_own_execution_timeout_while_polling_cancels_too(
    make_context: Any, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests_mock.get(STATUS, **state("processing"))
    requests_mock.delete(EMULATION, status_code=202)
    monkeypatch.setattr(time, "sleep", raise_timeout)
    task = operator(deferrable=False, execution_timeout=timedelta(seconds=90))
    with pytest.raises(EmulationTimeoutError, match="it was cancelled"):
        task.execute(make_context())


def raise_timeout(seconds: float) -> None:
    raise AirflowTaskTimeout


def test_time_in_the_queue_does_not_count_while_polling(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, [*[state("queued")] * 20, state("processing"), state("completed")])
    assert operator(deferrable=False, poll_interval=0.02, wait_timeout=0.1).execute(make_context()) == "e1"


# Polling from the worker.


@pytest.mark.parametrize(
    ("configured", "given", "deferrable"),
    [("True", None, True), ("False", None, False), (None, None, False), ("False", True, True), ("True", False, False)],
)
def test_it_is_deferrable_as_airflow_is_configured_unless_told_otherwise(
    configured: str | None, given: bool | None, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE")
    if configured is not None:
        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", configured)
    assert operator(deferrable=given).deferrable is deferrable


def test_it_polls_until_the_emulation_completes(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, [state("queued"), state("processing"), state("completed")])
    assert operator(deferrable=False, poll_interval=0.01, wait_timeout=60).execute(make_context()) == "e1"
    assert looks(requests_mock) == 3


def test_killing_a_task_that_is_not_waiting_does_nothing(requests_mock: Mocker) -> None:
    operator().on_kill()
    assert requests_mock.call_count == 0


# Which emulation.


def test_only_an_emulation_of_its_own_run_is_cancelled_by_default() -> None:
    with DAG("d"):
        start = StatusEmulationOperator(task_id="start", emulation_id="x")
        by_task = StatusEmulationOperator(task_id="by_task", prev_task_id="start")
        by_output = StatusEmulationOperator(task_id="by_output", emulation_id=start.output)
    assert by_task.cancel_on_kill
    assert by_output.cancel_on_kill
    assert not start.cancel_on_kill
    assert StatusEmulationOperator(task_id="t", emulation_id="x", cancel_on_kill=True).cancel_on_kill
    assert not StatusEmulationOperator(task_id="t", prev_task_id="start", cancel_on_kill=False).cancel_on_kill


def test_the_articles_usage(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **state("completed"))
    task = StatusEmulationOperator(task_id="wait", prev_task_id="start_it", poll_interval=10, max_retries=30)
    task.deferrable = False
    with DAG("d") as dag:
        dag.add_task(task)
    assert task.execute(make_context(xcoms={("start_it", -1): {"value": "e1"}})) == "e1"


def test_in_a_mapped_group_the_start_is_the_sibling_of_the_same_map_index(
    make_context: Any, requests_mock: Mocker
) -> None:
    requests_mock.get(STATUS, **state("completed"))
    with DAG("d") as dag:
        operator_of(dag, "start")
        with TaskGroup("outer"):
            operator_of(dag, "early")
            with TaskGroup("inner"):
                operator_of(dag, "start")
                task = StatusEmulationOperator(task_id="wait", prev_task_id="start", deferrable=False)
                elsewhere = StatusEmulationOperator(task_id="wait_early", prev_task_id="early", deferrable=False)
                by_full_id = StatusEmulationOperator(
                    task_id="wait_full", prev_task_id="outer.inner.start", deferrable=False
                )
    xcoms = {("start", 1): "wrong", ("outer.inner.start", 0): "wrong", ("outer.inner.start", 1): "e1"}
    xcoms |= {("outer.early", 1): "e1"}
    for one in (task, elsewhere, by_full_id):
        assert one.execute(make_context(xcoms=xcoms, map_index=1)) == "e1"


def operator_of(dag: DAG, task_id: str) -> None:
    StatusEmulationOperator(task_id=task_id, emulation_id="x")


def test_a_mapped_wait_for_a_start_that_is_not_mapped(make_context: Any, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **state("completed"))
    task = operator(emulation_id=None, prev_task_id="start", deferrable=False)
    assert task.execute(make_context(xcoms={("start", -1): "e1"}, map_index=4)) == "e1"


@pytest.mark.parametrize("value", [None, "", 7, {"other": "e1"}])
def test_no_usable_id(value: Any, make_context: Any, requests_mock: Mocker) -> None:
    task = operator(emulation_id=None, prev_task_id="start")
    with pytest.raises(DataEmulatorConfigError, match=r"XCom of task 'start' \(map index 2\)"):
        task.execute(make_context(xcoms={("start", 2): value}, map_index=2))
    assert requests_mock.call_count == 0


# Arguments.


@pytest.mark.parametrize("arguments", [{}, {"emulation_id": "e1", "prev_task_id": "start"}])
def test_it_waits_for_exactly_one_emulation(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Task wait: give either emulation_id or prev_task_id"):
        StatusEmulationOperator(task_id="wait", **arguments)


@pytest.mark.parametrize("arguments", [{"poll_interval": 0}, {"max_retries": 0}, {"poll_interval": -1}])
def test_a_wait_of_no_length(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        operator(**arguments)


@pytest.mark.parametrize("wait_timeout", [0, -1, "soon", "inf", "nan"])
def test_a_wait_timeout_that_is_no_number_of_seconds(wait_timeout: Any, make_context: Any) -> None:
    with pytest.raises(DataEmulatorConfigError, match="wait_timeout must be a number of seconds above 0"):
        operator(wait_timeout=wait_timeout).execute(make_context())
