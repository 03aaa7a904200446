"""What a completed emulation leaves behind: the receipt, links, the asset's event, the lineage; and replaced ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from requests_mock.mocker import Mocker

from include.assets import EMULATIONS_BY_DOMAIN
from include.exceptions import (
    DataEmulatorConfigError,
    EmulationReplacedError,
)
from include.operators.emulation_wait import EmulationWaitOperator
from include.operators.run_emulation import RunEmulationOperator
from include.operators.status_emulation import StatusEmulationOperator
from include.triggers.emulation import EmulationTrigger
from include.wire.answer import Answer
from include.wire.call import status_call
from include.wire.status import EmulationState, EmulationStatus, parse_status
from tests.support.running_task import FakeStore, running_task

URL = "http://emulator:8000/emulator/"
REQUEST: dict[str, Any] = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}
RECEIPT = {
    "id": "e1",
    "domain": "user-profile",
    "sink": "s3",
    "place": "s3://user-profiles/e1/",
    "records": 300,
    "bytes": 9000,
    "duration_s": 30.1,
    "manifest": "/emulator/e1/manifest",
    "label": "user-profile",
}


def status(state: str, *, sink: str = "s3") -> dict[str, Any]:
    return {
        "id": "e1",
        "status": state,
        "emulation_domain": "user-profile",
        "emulator_sync": "minio" if sink == "s3" else "kafka",
        "place": "s3://user-profiles/e1/" if sink == "s3" else "kafka://user-profiles",
        "manifest": "/emulator/e1/manifest",
        "progress": {"records": 300, "bytes": 9000, "elapsed_s": 30.1},
    }


@pytest.fixture(autouse=True)
def _service(connect: Any, requests_mock: Mocker) -> None:
    connect(
        retry_attempts=1,
        service_url="https://emulator.example.com",
        s3_console_url="https://s3.example.com/browser/{bucket}/{prefix}",
        kafka_console_url="https://kafka.example.com/topics/{topic}",
    )
    requests_mock.get(f"{URL}e1/status", json=status("completed"))


def wait(**arguments: Any) -> StatusEmulationOperator:
    return StatusEmulationOperator(task_id="wait", prev_task_id="start", **arguments)


def answer(body: dict[str, Any], emulation_id: str = "e1") -> EmulationStatus:
    return parse_status(emulation_id, Answer(status_call(emulation_id), "http://e", 200, {}, json.dumps(body)))


def started(emulation_id: str | None = "e1", **fields: Any) -> dict[str, Any]:
    return running_task(FakeStore(), xcoms={("start", -1): emulation_id}, **fields)


def ended(state: str = "completed", *, sink: str = "s3", **changed: Any) -> dict[str, Any]:
    """The trigger's event."""
    status_ = answer({**status(state, sink=sink), **changed})
    return {"emulation_id": "e1", "outcome": "ended", "status": json.loads(json.dumps(status_.as_dict()))}


# The receipt, and what carries it.


@pytest.mark.parametrize("deferred", [False, True])
def test_the_receipt_is_in_xcom_beside_the_id(deferred: bool) -> None:
    context = started()
    task = wait(outlets=[EMULATIONS_BY_DOMAIN], deferrable=deferred)
    assert (task.execute_complete(context, ended()) if deferred else task.execute(context)) == "e1"
    assert context["ti"].pushed["receipt"] == RECEIPT
    event = context["outlet_events"][EMULATIONS_BY_DOMAIN]
    assert event.extra == RECEIPT
    assert event.partition_keys == {"user-profile"}


def test_the_task_that_resumes_asks_the_service_nothing(requests_mock: Mocker) -> None:
    wait(outlets=[EMULATIONS_BY_DOMAIN]).execute_complete(started(), ended())
    assert requests_mock.call_count == 0


def test_a_task_without_the_asset_among_its_outlets_emits_none() -> None:
    context = started()
    wait().execute_complete(context, ended())
    assert context["ti"].pushed["receipt"] == RECEIPT
    assert len(context["outlet_events"]) == 0


@pytest.mark.parametrize("untold", ["emulation_domain", "emulator_sync", "place"])
def test_a_service_that_tells_too_little_gives_no_receipt_and_no_event(untold: str) -> None:
    context = started()
    assert wait(outlets=[EMULATIONS_BY_DOMAIN]).execute_complete(context, ended(**{untold: None})) == "e1"
    assert "receipt" not in context["ti"].pushed
    assert len(context["outlet_events"]) == 0


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_did_not_complete_gives_no_receipt_and_no_event(state: str) -> None:
    context = started()
    with pytest.raises(AirflowFailException):
        wait(outlets=[EMULATIONS_BY_DOMAIN]).execute_complete(context, ended(state))
    assert "receipt" not in context["ti"].pushed
    assert len(context["outlet_events"]) == 0


# Links.

EMULATION_URL = "https://emulator.example.com/emulator/e1/status"


def store_links(task: BaseOperator, stored: dict[str, str]) -> None:
    """What Airflow does whenever a task's process ends, be it that the task defers."""
    for link in task.operator_extra_links:
        stored[str(link.xcom_key)] = link.get_link(task, ti_key=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sink", "data_url"),
    [
        ("s3", "https://s3.example.com/browser/user-profiles/e1/"),
        ("kafka", "https://kafka.example.com/topics/user-profiles"),
    ],
)
def test_links_lead_to_the_emulation_and_to_its_data(sink: str, data_url: str, requests_mock: Mocker) -> None:
    requests_mock.get(f"{URL}e1/status", json=status("completed", sink=sink))
    stored: dict[str, str] = {}
    task = wait()
    with pytest.raises(TaskDeferred):
        task.execute(started())
    store_links(task, stored)
    assert stored == {"emulation_link": EMULATION_URL, "data_link": ""}, "while it is waited for"

    resumed = wait()
    resumed.execute_complete(started(), ended(sink=sink))
    store_links(resumed, stored)
    assert stored == {"emulation_link": EMULATION_URL, "data_link": data_url}

    context, polled = started(), wait(deferrable=False)
    polled.execute(context)
    assert context["ti"].pushed["emulation_link"] == EMULATION_URL, "while it is polled"
    store_links(polled, at_once := {})
    assert at_once == stored


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_the_emulations_link_is_there_when_it_has_not_completed(state: str) -> None:
    stored: dict[str, str] = {}
    task = wait()
    with pytest.raises(AirflowFailException):
        task.execute_complete(started(), ended(state))
    store_links(task, stored)
    assert stored == {"emulation_link": EMULATION_URL, "data_link": ""}


# An emulation that was replaced while it was waited for: its start was cleared.


@pytest.mark.parametrize("state", list(EmulationState))
def test_who_hears_of_the_old_emulation_waits_for_the_new_one(state: EmulationState, requests_mock: Mocker) -> None:
    requests_mock.get(f"{URL}e2/status", json=status("processing"))
    with pytest.raises(TaskDeferred) as deferred:
        wait().execute_complete(started("e2"), ended(state))
    trigger = deferred.value.trigger
    assert isinstance(trigger, EmulationTrigger)
    assert trigger.emulation_id == "e2"


def test_the_old_ones_deadline_does_not_end_the_new_one(requests_mock: Mocker) -> None:
    requests_mock.get(f"{URL}e2/status", json=status("processing"))
    event = {"emulation_id": "e1", "outcome": "deadline", "state": "processing", "last_error": None}
    with pytest.raises(TaskDeferred):
        wait().execute_complete(started("e2"), event)
    assert not any(request.method == "DELETE" for request in requests_mock.request_history)


def test_a_start_that_is_being_run_again_is_waited_for_by_a_retry() -> None:
    with pytest.raises(EmulationReplacedError, match="that task is being run again") as caught:
        wait().execute_complete(started(None), ended())
    assert not isinstance(caught.value, AirflowFailException)


# In one task.


def run(**arguments: Any) -> RunEmulationOperator:
    return RunEmulationOperator(task_id="run", **{**REQUEST, **arguments})


def test_one_task_starts_waits_and_returns_the_receipt(requests_mock: Mocker) -> None:
    requests_mock.post(URL, status_code=201, json={"id": "e1"})
    requests_mock.get(f"{URL}e1/status", json=status("processing"))
    context = running_task(FakeStore())
    task = run(outlets=[EMULATIONS_BY_DOMAIN])
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert isinstance(deferred.value.trigger, EmulationTrigger)
    assert deferred.value.trigger.emulation_id == "e1"
    result = run(outlets=[EMULATIONS_BY_DOMAIN]).execute_complete(context, ended())
    assert result == RECEIPT
    assert context["ti"].pushed["receipt"] == result
    assert context["outlet_events"][EMULATIONS_BY_DOMAIN].partition_keys == {"user-profile"}


def test_a_retry_of_the_one_task_goes_on_with_the_same_emulation(requests_mock: Mocker) -> None:
    requests_mock.post(URL, status_code=201, json={"id": "e1"}, headers={"Idempotency-Replayed": "true"})
    assert run(deferrable=False).execute(running_task(FakeStore(), try_number=2)) == RECEIPT


def test_the_one_task_has_every_parameter_of_the_two() -> None:
    both = {*StatusEmulationOperator.template_fields, "timeout"} - {"emulation_id", "prev_task_id"}
    assert set(RunEmulationOperator.template_fields) >= both
    task = run(deferrable=False, poll_interval=3, wait_timeout=5, cancel_on_kill=False, rate=2, emulation_label="x")
    assert (task.deferrable, task.poll_interval, task.wait_timeout) == (False, 3, 5)
    assert (task.cancel_on_kill, task.rate, task.emulation_label) == (False, 2, "x")
    with pytest.raises(ValueError, match="Task run: timeout must be given, directly or in arguments"):
        RunEmulationOperator(task_id="run", **{name: value for name, value in REQUEST.items() if name != "timeout"})


# Parameters.


@pytest.mark.parametrize("name", ["poll_interval", "wait_timeout"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_template_that_gives_no_number_of_seconds(name: str, value: str) -> None:
    with pytest.raises(DataEmulatorConfigError, match=f"{name} must be a number of seconds above 0, got '{value}'"):
        wait(**{name: value}).execute(started())


# Lineage, as the OpenLineage provider asks for it.


@pytest.mark.parametrize(
    ("sink", "dataset"), [("s3", ("s3://user-profiles", "e1")), ("kafka", ("kafka", "user-profiles"))]
)
@pytest.mark.parametrize("task", [wait(), run()])
def test_the_data_is_the_tasks_output_for_openlineage(
    task: EmulationWaitOperator, sink: str, dataset: tuple[str, str]
) -> None:
    from airflow.providers.openlineage.extractors.base import DefaultExtractor

    task.execute_complete(started(), ended(sink=sink))
    lineage = DefaultExtractor(task).extract_on_complete(None)
    assert lineage is not None
    assert [(each.namespace, each.name) for each in lineage.outputs] == [dataset]
