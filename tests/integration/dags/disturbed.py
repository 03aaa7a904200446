"""DAGs to be disturbed by test_disturbances.py: the parameters come with the run, and retries come at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, Variable, dag, task, task_group

from include.operators.run_emulation import RunEmulationOperator
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator

SOON = timedelta(seconds=1)
REQUEST = {
    "emulator_sync": "minio",
    "emulation_domain": "transaction",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": "{{ params.timeout }}",
    "rate": 20,
    "abandon_after": "{{ params.abandon_after }}",
}
OPTIONS = {
    "schedule": None,
    "is_paused_upon_creation": False,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "render_template_as_native_obj": True,
    "default_args": {"retries": 2, "retry_delay": SOON},
    "params": {
        "timeout": 600,
        "wait_timeout": 900,
        "abandon_after": Param(None, type=["null", "integer"]),
    },
}


@dag(dag_id="two_tasks", **OPTIONS)
def two_tasks() -> None:
    """Start and wait, as in the article."""
    start = StartEmulatorOperator(task_id="start", **REQUEST)
    wait = StatusEmulationOperator(
        task_id="wait", prev_task_id="start", wait_timeout="{{ params.wait_timeout }}", deferrable=True
    )
    start >> wait


@dag(dag_id="two_tasks_running_on", **OPTIONS)
def two_tasks_running_on() -> None:
    """Nothing is cancelled."""
    start = StartEmulatorOperator(task_id="start", cancel_on_kill=False, **REQUEST)
    wait = StatusEmulationOperator(
        task_id="wait",
        prev_task_id="start",
        wait_timeout="{{ params.wait_timeout }}",
        cancel_on_kill=False,
        deferrable=True,
    )
    start >> wait


@dag(dag_id="polling", **OPTIONS)
def polling() -> None:
    """The wait keeps its worker."""
    start = StartEmulatorOperator(task_id="start", **REQUEST)
    wait = StatusEmulationOperator(
        task_id="wait",
        prev_task_id="start",
        wait_timeout="{{ params.wait_timeout }}",
        deferrable=False,
        poll_interval=1,
    )
    start >> wait


@dag(dag_id="one_task", **OPTIONS)
def one_task() -> None:
    """Both in one."""
    RunEmulationOperator(task_id="run", wait_timeout="{{ params.wait_timeout }}", deferrable=True, **REQUEST)


@dag(dag_id="one_task_polling", **OPTIONS)
def one_task_polling() -> None:
    """Both in one, which keeps its worker."""
    RunEmulationOperator(
        task_id="run", wait_timeout="{{ params.wait_timeout }}", deferrable=False, poll_interval=1, **REQUEST
    )


@dag(dag_id="one_task_tried_four_times", **{**OPTIONS, "default_args": {"retries": 3, "retry_delay": SOON}})
def one_task_tried_four_times() -> None:
    """An emulation is run again as often as Airflow tries its task."""
    RunEmulationOperator(task_id="run", wait_timeout=300, deferrable=True, **REQUEST)


@dag(dag_id="timed_out", **OPTIONS)
def timed_out() -> None:
    """Airflow's own limit to a try is shorter than the wait's, deferred and polling."""
    for name, deferrable in (("deferred", True), ("polling", False)):
        RunEmulationOperator(
            task_id=name, execution_timeout=timedelta(seconds=15), retries=0, deferrable=deferrable, **REQUEST
        )


@dag(dag_id="races", **{**OPTIONS, "params": {"number": 20}, "default_args": {"retries": 0}})
def races() -> None:
    """Many emulations that are over before their task defers, or a moment after; no retry hides a lost race."""

    @task
    def sizes(params: dict[str, int] | None = None) -> list[dict[str, int]]:
        return [{"max_records": 1 + 20 * (number % 8)} for number in range((params or {})["number"])]

    @task_group
    def race(max_records: int) -> None:
        request = {**REQUEST, "abandon_after": None, "timeout": 60, "max_records": max_records}
        start = StartEmulatorOperator(task_id="start", **request)
        wait = StatusEmulationOperator(task_id="wait", prev_task_id="start", wait_timeout=300, deferrable=True)
        start >> wait

    race.expand_kwargs(sizes())


@dag(dag_id="changed", **{**OPTIONS, "default_args": {}})
def changed() -> None:
    """Its retries change: a Variable, read when the file is parsed, stands in for an edited file."""
    retries = int(Variable.get("changed_retries", default=0))
    StartEmulatorOperator(task_id="start", retries=retries, **REQUEST)


two_tasks()
two_tasks_running_on()
polling()
one_task()
one_task_polling()
one_task_tried_four_times()
timed_out()
races()
changed()
