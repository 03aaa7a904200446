"""Each way a task can be disturbed, on a real scheduler and triggerer: what docs/airflow.md says happens, does.

In all of them: one emulation for each attempt that meant one, none left running that nobody waits for, and no wait for
the wrong one. `make test` runs a short form; `make test-disturbances` all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError
from data_emulator.stack.stack import Stack
from tests.integration.door import Door, door_to

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
whole = pytest.mark.disturbance

PATIENCE_S = 180
#: Airflow's `[scheduler] task_instance_heartbeat_timeout` is 300 s.
HEARTBEAT_MISSED_WITHIN_S = 420
CONNECTION = "data_emulator_default"


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        wait_until(lambda: all(api.has_dag(dag_id) for dag_id in ("two_tasks", "one_task", "races")))
        yield api


@pytest.fixture(scope="module")
def open_door(whole_stack: Stack, airflow: AirflowApi) -> Iterator[Door]:
    """What the connection leads to meanwhile."""
    with door_to(whole_stack.addresses.service_url) as door:
        airflow.set_connection_port(CONNECTION, door.server_port)
        airflow.set_connection_extra(CONNECTION, {"retry_attempts": 2, "backoff_base": 0.1})
        yield door
        airflow.set_connection_extra(CONNECTION, {})
        airflow.set_connection_port(CONNECTION, whole_stack.service.port)


@pytest.fixture
def door(open_door: Door) -> Iterator[Door]:
    """The door, behind which nothing runs any more once a test is over."""
    open_door.answered_with.clear()
    open_door.started.clear()
    yield open_door
    running = [each.emulation_id for each in open_door.started if not is_over(open_door, each.emulation_id)]
    for emulation_id in running:
        open_door.client.delete(f"/emulator/{emulation_id}")
    assert running == [], "left running, with nobody who waits"


def wait_until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)


class Run:
    """A run of a DAG, and what can be done to it."""

    def __init__(self, airflow: AirflowApi, door: Door, dag_id: str, **params: Any) -> None:
        self.airflow, self.door, self.dag_id = airflow, door, dag_id
        body = {"logical_date": None, "conf": params}
        self.run_id = str(airflow.request("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])
        self.path = f"/dags/{dag_id}/dagRuns/{self.run_id}"

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.airflow.request("GET", f"{self.path}/taskInstances/{task_id}")
        return found

    def state(self) -> str:
        return self.airflow.run_state(self.dag_id, self.run_id)

    def until(self, task_id: str, *states: str) -> None:
        wait_until(lambda: self.task(task_id)["state"] in states)

    def is_waited_for(self, task_id: str) -> None:
        """Return when the task is deferred and the triggerer has taken its trigger up."""
        self.until(task_id, "deferred")
        wait_until(lambda: self.ids[-1] in self.door.followed)

    def ends(self, state: str) -> None:
        wait_until(lambda: self.state() in ("success", "failed"))
        assert self.state() == state, self.log_of_failed()

    def log_of_failed(self) -> str:
        failed = [task for task in self.airflow.task_instances(self.dag_id, self.run_id) if task.state != "success"]
        return "\n".join(line for task in failed for line in self.airflow.task_log(self.dag_id, self.run_id, task))

    def returned(self, task_id: str) -> Any:
        return self.airflow.return_value(self.dag_id, self.run_id, task_id, -1)

    def mark(self, task_id: str, state: str) -> None:
        self.airflow.request("PATCH", f"{self.path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, *task_ids: str) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.airflow.request("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    @property
    def ids(self) -> list[str]:
        return self.door.ids_of(self.run_id)


def emulation_state(door: Door, emulation_id: str) -> str:
    # From the list: to ask for its status would be to take an interest in it (abandon_after).
    listed = door.client.get("/emulator/", params={"limit": 1000}).json()["emulations"]
    return next(str(each["status"]["global_status"]) for each in listed if each["id"] == emulation_id)


def is_over(door: Door, emulation_id: str) -> bool:
    return emulation_state(door, emulation_id) in ("completed", "failed", "cancelled")


def ends_as(door: Door, emulation_id: str, state: str) -> None:
    wait_until(lambda: is_over(door, emulation_id))
    assert emulation_state(door, emulation_id) == state


@pytest.fixture
def start_run(airflow: AirflowApi, door: Door) -> Callable[..., Run]:
    return lambda dag_id="two_tasks", **params: Run(airflow, door, dag_id, **params)


StartRun = Callable[..., Run]


# The start.


@pytest.mark.parametrize(("dag_id", "task_id"), [("two_tasks", "start"), pytest.param("one_task", "run", marks=whole)])
def test_the_worker_dies_after_the_start_was_sent(dag_id: str, task_id: str, start_run: StartRun, door: Door) -> None:
    with door.holding_starts():
        run = start_run(dag_id, timeout=20)
        wait_until(door.holds.is_set)
        os.kill(run.task(task_id)["pid"], signal.SIGKILL)
        wait_until(lambda: run.task(task_id)["try_number"] == 2)
    run.ends("success")
    assert len(run.ids) == 1
    ends_as(door, run.ids[0], "completed")


@whole
def test_the_worker_dies_with_its_supervisor_after_the_start_was_sent(start_run: StartRun, door: Door) -> None:
    with door.holding_starts():
        run = start_run(timeout=20)
        wait_until(door.holds.is_set)
        task = psutil.Process(run.task("start")["pid"])
        supervisor = task.parent()
        assert supervisor is not None
        supervisor.kill()
        task.kill()
    wait_until(lambda: run.task("start")["try_number"] == 2, HEARTBEAT_MISSED_WITHIN_S)
    run.ends("success")
    assert len(run.ids) == 1
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
def test_the_answer_to_the_start_is_lost_and_the_task_is_tried_again(start_run: StartRun, door: Door) -> None:
    door.answered_with["POST "] = [503, 503]
    run = start_run(timeout=5)
    run.ends("success")
    assert run.task("start")["try_number"] == 2
    assert len(door.started) == 3
    assert run.ids == [run.returned("wait")]


@whole
@pytest.mark.parametrize("dag_id", ["two_tasks", "one_task"])
def test_the_task_is_marked_failed_while_it_sends(dag_id: str, start_run: StartRun, door: Door) -> None:
    task_id = "start" if dag_id == "two_tasks" else "run"
    with door.holding_starts():
        run = start_run(dag_id)
        wait_until(door.holds.is_set)
        run.mark(task_id, "failed")
        wait_until(lambda: any(each.replayed for each in door.started))  # it asks for the id, to cancel it
    run.ends("failed")
    assert len(run.ids) == 1
    ends_as(door, run.ids[0], "cancelled")


@whole
def test_the_task_is_cleared_while_it_sends(start_run: StartRun, door: Door) -> None:
    with door.holding_starts():
        run = start_run(timeout=20)
        wait_until(door.holds.is_set)
        run.clear("start")
        wait_until(lambda: any(each.replayed for each in door.started))
    run.ends("success")
    first, second = run.ids
    ends_as(door, first, "cancelled")
    assert run.returned("wait") == second
    ends_as(door, second, "completed")


# The wait.


@whole
def test_the_wait_is_tried_again(start_run: StartRun, door: Door) -> None:
    door.answered_with["GET status"] = [503, 503]
    run = start_run("polling", timeout=5)
    run.ends("success")
    assert run.task("wait")["try_number"] == 2
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
def test_the_worker_dies_while_it_polls(start_run: StartRun, door: Door) -> None:
    run = start_run("polling", timeout=20)
    run.until("wait", "running")
    wait_until(lambda: run.task("wait")["pid"])
    os.kill(run.task("wait")["pid"], signal.SIGKILL)
    run.ends("success")
    assert run.task("wait")["try_number"] == 2
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
def test_the_polling_wait_is_marked_failed(start_run: StartRun, door: Door) -> None:
    run = start_run("polling")
    run.until("wait", "running")
    run.mark("wait", "failed")
    run.ends("failed")
    ends_as(door, run.ids[0], "cancelled")


@whole
@pytest.mark.parametrize("state", ["failed", "success"])
@pytest.mark.parametrize(("dag_id", "task_id"), [("two_tasks", "wait"), ("one_task", "run")])
def test_the_wait_is_marked(dag_id: str, task_id: str, state: str, start_run: StartRun, door: Door) -> None:
    run = start_run(dag_id)
    run.is_waited_for(task_id)
    run.mark(task_id, state)
    run.ends(state)
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")


@whole
def test_the_wait_is_marked_before_a_triggerer_has_taken_it_up(
    start_run: StartRun, whole_stack: Stack, door: Door
) -> None:
    """Then no code of ours is asked to cancel; the service learns that nobody asks any more."""
    assert whole_stack.airflow is not None
    triggerer = whole_stack.airflow.components["triggerer"]
    triggerer.stop()
    try:
        run = start_run(abandon_after=10)
        run.until("wait", "deferred")
        run.mark("wait", "failed")
        run.ends("failed")
    finally:
        triggerer.start()
    ends_as(door, run.ids[0], "cancelled")


@whole
def test_nothing_is_cancelled_if_told_so(start_run: StartRun, door: Door) -> None:
    run = start_run("two_tasks_running_on", timeout=20)
    run.is_waited_for("wait")
    run.mark("wait", "failed")
    run.ends("failed")
    ends_as(door, run.ids[0], "completed")


def test_the_start_is_cleared_while_its_emulation_is_waited_for(start_run: StartRun, door: Door) -> None:
    run = start_run(timeout=15)
    run.is_waited_for("wait")
    run.clear("start")
    run.ends("success")
    first, second = run.ids
    ends_as(door, first, "cancelled")
    ends_as(door, second, "completed")
    assert run.returned("start") == run.returned("wait") == second


@whole
def test_the_wait_is_cleared(start_run: StartRun, door: Door) -> None:
    run = start_run()
    run.is_waited_for("wait")
    run.clear("wait")
    run.ends("failed")
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")
    assert "clear the task that starts it together with this one" in run.log_of_failed()


@whole
def test_the_wait_is_cleared_and_nothing_is_cancelled_if_told_so(start_run: StartRun, door: Door) -> None:
    run = start_run("two_tasks_running_on", timeout=25)
    run.is_waited_for("wait")
    run.clear("wait")
    run.ends("success")
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
def test_both_are_cleared(start_run: StartRun, door: Door) -> None:
    run = start_run(timeout=15)
    run.is_waited_for("wait")
    run.clear("start", "wait")
    run.ends("success")
    first, second = run.ids
    ends_as(door, first, "cancelled")
    ends_as(door, second, "completed")
    assert run.returned("wait") == second


@whole
def test_the_one_task_is_cleared(start_run: StartRun, door: Door) -> None:
    run = start_run("one_task", timeout=15)
    run.is_waited_for("run")
    run.clear("run")
    run.ends("success")
    first, second = run.ids
    ends_as(door, first, "cancelled")
    ends_as(door, second, "completed")
    assert run.returned("run")["id"] == second


@whole
def test_a_run_that_has_ended_is_cleared(start_run: StartRun, door: Door) -> None:
    run = start_run(timeout=3)
    run.ends("success")
    run.clear("start", "wait")
    wait_until(lambda: len(run.ids) == 2)
    run.ends("success")
    assert run.returned("wait") == run.ids[1]
    assert [emulation_state(door, each) for each in run.ids] == ["completed", "completed"]


# The run.


def test_the_run_is_marked_failed(start_run: StartRun, airflow: AirflowApi, door: Door) -> None:
    run = start_run()
    run.is_waited_for("wait")
    airflow.request("PATCH", run.path, {"state": "failed"})
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")


@whole
def test_the_run_is_deleted(start_run: StartRun, airflow: AirflowApi, door: Door) -> None:
    """Airflow deletes none that runs; one that was just marked failed leaves no trace, maybe before anybody is told."""
    run = start_run(abandon_after=10)
    run.is_waited_for("wait")
    (emulation_id,) = run.ids
    with pytest.raises(AirflowApiError, match="cannot be deleted in running state"):
        airflow.request("DELETE", run.path)
    airflow.request("PATCH", run.path, {"state": "failed"})
    airflow.request("DELETE", run.path)
    ends_as(door, emulation_id, "cancelled")
    with pytest.raises(AirflowApiError):
        run.state()


@whole
def test_the_run_is_marked_failed_between_start_and_wait(start_run: StartRun, airflow: AirflowApi, door: Door) -> None:
    with door.holding_starts():
        run = start_run(abandon_after=10)
        wait_until(door.holds.is_set)
        airflow.request("PATCH", f"/dags/{run.dag_id}", {"is_paused": True})
    try:
        run.until("start", "success")  # and the wait is not scheduled, since the DAG is paused
        airflow.request("PATCH", run.path, {"state": "failed"})
    finally:
        airflow.request("PATCH", f"/dags/{run.dag_id}", {"is_paused": False})
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")


@whole
def test_the_dag_is_paused_while_it_waits(start_run: StartRun, airflow: AirflowApi, door: Door) -> None:
    run = start_run(timeout=15)
    run.is_waited_for("wait")
    airflow.request("PATCH", f"/dags/{run.dag_id}", {"is_paused": True})
    try:
        ends_as(door, run.ids[0], "completed")
        time.sleep(5)
    finally:
        airflow.request("PATCH", f"/dags/{run.dag_id}", {"is_paused": False})
    run.ends("success")
    assert run.ids == [run.returned("wait")]


# What they run on.


@pytest.mark.parametrize("how", [pytest.param("stop", marks=whole), "kill"])
def test_the_triggerer_goes_and_comes_back(how: str, start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    assert whole_stack.airflow is not None
    triggerer = whole_stack.airflow.components["triggerer"]
    run = start_run(timeout=25)
    run.is_waited_for("wait")
    getattr(triggerer, how)()
    time.sleep(3)
    triggerer.start()
    run.ends("success")
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
def test_the_api_server_goes_and_comes_back(start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    assert whole_stack.airflow is not None
    api_server = whole_stack.airflow.components["api-server"]
    run = start_run(timeout=25)
    run.is_waited_for("wait")
    api_server.kill()
    time.sleep(5)
    api_server.start()
    run.ends("success")
    assert run.ids == [run.returned("wait")]


@whole
def test_the_service_is_killed_and_comes_back(start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    run = start_run(timeout=20)
    run.is_waited_for("wait")
    whole_stack.service.kill()
    time.sleep(5)
    whole_stack.service.start()
    run.ends("success")
    assert run.ids == [run.returned("wait")]
    assert run.task("wait")["try_number"] == 1, "it was ridden out by the trigger"


# The deadline.


@whole
@pytest.mark.parametrize("dag_id", ["two_tasks", "one_task"])
def test_the_wait_runs_out(dag_id: str, start_run: StartRun, door: Door) -> None:
    run = start_run(dag_id, wait_timeout=8)
    run.ends("failed")
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")
    assert "was not over after 8 s; last seen processing; it was cancelled" in run.log_of_failed()


@whole
def test_the_wait_runs_out_while_no_triggerer_runs(start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    assert whole_stack.airflow is not None
    triggerer = whole_stack.airflow.components["triggerer"]
    run = start_run(wait_timeout=12)
    run.is_waited_for("wait")
    triggerer.kill()
    time.sleep(15)
    triggerer.start()
    run.ends("failed")
    ends_as(door, run.ids[0], "cancelled")
    assert "was not over after 12 s" in run.log_of_failed()


# The race between a task's deferral and its trigger's event.


@pytest.mark.parametrize("number", [8, pytest.param(200, marks=[whole, pytest.mark.timeout(3600)])])
def test_an_emulation_that_is_over_at_once_never_fails_its_wait(
    number: int, start_run: StartRun, airflow: AirflowApi, door: Door
) -> None:
    run = start_run("races", number=number)
    wait_until(lambda: run.state() in ("success", "failed"), timeout_s=60 + 15 * number)
    failed = [task for task in airflow.task_instances("races", run.run_id) if task.state != "success"]
    assert failed == [], run.log_of_failed()
    assert len(run.ids) == number
