"""Tries of a task that end before their emulation does, and emulations that end before their task's tries are used up.

On a real scheduler and triggerer, like test_disturbances.py.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import httpx
import pytest

from data_emulator.stack.airflow_api import AirflowApi
from tests.support.disturbing import StartRun, ends_as, wait_until
from tests.support.door import Door

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
whole = pytest.mark.disturbance

# SIGTERM: a pod is evicted, or a worker is stopped, and nobody means to end the task.

TO_EACH = pytest.mark.parametrize(
    "to_supervisor", [pytest.param(False, id="to the task", marks=whole), pytest.param(True, id="to its supervisor")]
)


@TO_EACH
@pytest.mark.parametrize(
    ("dag_id", "task_id"), [("two_tasks", "start"), pytest.param("one_task", "run", marks=whole)], ids=str
)
def test_a_start_whose_worker_stops_is_tried_again_and_finds_its_emulation(
    dag_id: str, task_id: str, to_supervisor: bool, start_run: StartRun, door: Door
) -> None:
    with door.holding_starts():
        run = start_run(dag_id, timeout=5)
        wait_until(door.holds.is_set)
        run.send_signal(task_id, signal.SIGTERM, to_supervisor=to_supervisor)
        wait_until(lambda: run.task(task_id)["try_number"] == 2)
    run.ends("success")
    assert run.task(task_id)["try_number"] == 2
    assert len(run.ids) == 1
    ends_as(door, run.ids[0], "completed")


@TO_EACH
@pytest.mark.parametrize(
    ("dag_id", "task_id"), [("polling", "wait"), pytest.param("one_task_polling", "run", marks=whole)], ids=str
)
def test_a_polling_wait_whose_worker_stops_is_tried_again_and_goes_on(
    dag_id: str, task_id: str, to_supervisor: bool, start_run: StartRun, door: Door
) -> None:
    run = start_run(dag_id, timeout=20)
    run.is_polled_for(task_id)
    run.send_signal(task_id, signal.SIGTERM, to_supervisor=to_supervisor)
    run.ends("success")
    assert run.task(task_id)["try_number"] == 2
    assert len(run.ids) == 1
    ends_as(door, run.ids[0], "completed")


@whole
@pytest.mark.parametrize("state", ["failed", "success"])
def test_the_polling_wait_is_marked(state: str, start_run: StartRun, door: Door) -> None:
    run = start_run("polling")
    run.is_polled_for("wait")
    run.mark("wait", state)
    run.ends(state)
    ends_as(door, run.ids[0], "cancelled")


@whole
def test_the_polling_wait_is_cleared(start_run: StartRun, door: Door) -> None:
    run = start_run("polling")
    run.is_polled_for("wait")
    run.clear("wait")
    run.ends("failed")
    ends_as(door, run.ids[0], "cancelled")
    assert "clear task 'start' together with this task" in run.log_of_failed()


@whole
def test_the_one_task_is_cleared_while_it_polls(start_run: StartRun, door: Door) -> None:
    run = start_run("one_task_polling", timeout=30)
    run.is_polled_for("run")
    run.clear("run")
    run.ends("success")
    assert len(run.ids) >= 2
    ends_as(door, run.ids[0], "cancelled")
    ends_as(door, run.ids[-1], "completed")
    assert run.returned("run")["id"] == run.ids[-1]


# Retries of an emulation.


@pytest.mark.parametrize(("failures", "end"), [(4, "failed"), pytest.param(3, "success", marks=whole)])
def test_a_failed_emulation_is_run_as_often_as_its_task_is_tried(
    failures: int, end: str, start_run: StartRun, door: Door
) -> None:
    door.next_ends = ["failed"] * failures
    run = start_run("one_task_tried_four_times", timeout=5)
    run.ends(end)
    assert len(run.ids) == run.task("run")["try_number"] == 4
    if end == "failed":
        assert "failed: The disk is full" in run.log_of_failed()
    else:
        assert run.returned("run")["id"] == run.ids[-1]


@whole
def test_a_refusal_fails_the_start_at_once_and_its_reason_is_not_hidden_by_a_traceback(
    start_run: StartRun, door: Door
) -> None:
    door.astray = httpx.Response(400, json={"detail": "disturbed"})
    run = start_run()
    run.ends("failed")
    assert run.task("start")["try_number"] == 1
    assert "DataEmulatorRequestError: disturbed (400, " in run.log_of_failed()
    frames = [f"{frame['filename'].rsplit('/', 1)[-1]}: {frame['name']}" for frame in run.traceback_of("start")]
    assert [each for each in frames if "task_runner" not in each] == [
        "operator.py: wrapper",
        "emulation.py: execute",
        "emulation.py: _run_step",
    ], frames


@whole
@pytest.mark.parametrize("dag_id", ["two_tasks", "polling"])
def test_a_failed_emulation_of_another_task_fails_its_wait_at_once(
    dag_id: str, start_run: StartRun, door: Door
) -> None:
    door.next_ends = ["failed"]
    run = start_run(dag_id, timeout=5)
    run.ends("failed")
    assert len(run.ids) == run.task("wait")["try_number"] == 1
    assert "The disk is full. To run it again, clear task 'start' together with this task" in run.log_of_failed()
    run.clear("start", "wait")
    run.ends("success")
    assert run.returned("wait") == run.ids[1]


@pytest.fixture
def set_retries(airflow: AirflowApi) -> Callable[[int], None]:
    """Changes the `retries` of the DAG `changed` as somebody does who edits its file."""

    def change(number: int) -> None:
        airflow.set_variable("changed_retries", str(number))
        wait_until(lambda: airflow.request("GET", "/dags/changed/tasks/start")["retries"] == number)

    return change


@whole
def test_a_clear_starts_another_emulation_whatever_the_retries_are_by_then(
    start_run: StartRun, door: Door, set_retries: Callable[[int], None]
) -> None:
    """So that `max_tries` is after the clear what it was before."""
    set_retries(2)
    run = start_run("changed", timeout=600)
    run.ends("success")
    before = run.task("start")["max_tries"]
    set_retries(1)
    run.clear("start")
    run.ends("success")
    assert run.task("start")["max_tries"] == before
    first, second = run.ids
    assert run.returned("start") == second
    ends_as(door, first, "cancelled")
    door.client.delete(f"/emulator/{second}")  # that DAG has nothing that waits for it
    ends_as(door, second, "cancelled")


# The two limits of a wait.


@whole
def test_airflows_execution_timeout_ends_a_wait_and_its_emulation(start_run: StartRun, door: Door) -> None:
    run = start_run("timed_out")
    run.ends("failed")
    for emulation_id in run.ids:
        ends_as(door, emulation_id, "cancelled")
    assert len(run.ids) == 2
    assert run.log_of_failed().count("had not ended after 15 s (execution_timeout)") == 2


@whole
def test_time_in_the_services_queue_does_not_count(start_run: StartRun, door: Door) -> None:
    door.next_ends = ["queued"]
    run = start_run(wait_timeout=12, timeout=20)
    run.is_waited_for("wait")
    ends_as(door, run.ids[0], "completed")
    assert run.task("wait")["state"] == "deferred", "it is told that the emulation is queued"
    door.told.clear()
    run.ends("success")
