"""Each way a task can be disturbed, on a real scheduler and triggerer: what docs/airflow.md says happens, does.

In all of them: one emulation for each attempt that meant one, none left running that nobody waits for, and no wait for
the wrong one. `make test` runs a short form; `make test-disturbances` all.
"""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError
from data_emulator.stack.stack import Stack
from tests.support.disturbing import StartRun, emulation_state, ends_as, pause, wait_until
from tests.support.door import Door

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
whole = pytest.mark.disturbance

#: Airflow's `[scheduler] task_instance_heartbeat_timeout` is 300 s.
HEARTBEAT_MISSED_WITHIN_S = 420


# The start.


@pytest.mark.parametrize(("dag_id", "task_id"), [("two_tasks", "start"), pytest.param("one_task", "run", marks=whole)])
def test_the_worker_dies_after_the_start_was_sent(dag_id: str, task_id: str, start_run: StartRun, door: Door) -> None:
    with door.holding_starts():
        run = start_run(dag_id, timeout=5)
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
    assert "clear task 'start' together with this task" in run.log_of_failed()


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
        pause(airflow, run.dag_id, True)
    try:
        run.until("start", "success")  # and the wait is not scheduled, since the DAG is paused
        airflow.request("PATCH", run.path, {"state": "failed"})
    finally:
        pause(airflow, run.dag_id, False)
    (emulation_id,) = run.ids
    ends_as(door, emulation_id, "cancelled")


@whole
def test_the_dag_is_paused_while_it_waits(start_run: StartRun, airflow: AirflowApi, door: Door) -> None:
    run = start_run(timeout=15)
    run.is_waited_for("wait")
    pause(airflow, run.dag_id, True)
    try:
        ends_as(door, run.ids[0], "completed")
        time.sleep(5)
    finally:
        pause(airflow, run.dag_id, False)
    run.ends("success")
    assert run.ids == [run.returned("wait")]


# What they run on.


@pytest.mark.parametrize("how", [pytest.param("stop", marks=whole), "kill"])
def test_the_triggerer_goes_and_comes_back(how: str, start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    assert whole_stack.airflow is not None
    triggerer = whole_stack.airflow.components["triggerer"]
    run = start_run(timeout=15)
    run.is_waited_for("wait")
    getattr(triggerer, how)()
    time.sleep(3)
    triggerer.start()
    run.ends("success")
    assert run.ids == [run.returned("wait")]
    ends_as(door, run.ids[0], "completed")


@whole
@pytest.mark.parametrize("dag_id", ["two_tasks", "polling"])
def test_the_api_server_goes_and_comes_back(dag_id: str, start_run: StartRun, whole_stack: Stack, door: Door) -> None:
    assert whole_stack.airflow is not None
    api_server = whole_stack.airflow.components["api-server"]
    run = start_run(dag_id, timeout=25)
    run.is_waited_for("wait") if dag_id == "two_tasks" else run.is_polled_for("wait")
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
@pytest.mark.parametrize(("dag_id", "emulations"), [("two_tasks", 1), ("one_task", 3)])
def test_the_wait_runs_out(dag_id: str, emulations: int, start_run: StartRun, door: Door) -> None:
    """In one task with its start, it is run again as often as the task is tried."""
    run = start_run(dag_id, wait_timeout=8)
    run.ends("failed")
    assert len(run.ids) == emulations
    for emulation_id in run.ids:
        ends_as(door, emulation_id, "cancelled")
    assert "had not ended after 8 s (wait_timeout); last status: processing; it was cancelled" in run.log_of_failed()


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
    assert "had not ended after 12 s" in run.log_of_failed()


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
