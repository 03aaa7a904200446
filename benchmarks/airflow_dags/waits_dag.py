"""What the thousand waits belong to: one mapped wait. It is never run; `benchmarks.airflow_defer` makes its tasks."""

from __future__ import annotations

from airflow.sdk import dag, task

from include.operators.status_emulation import StatusEmulationOperator


@dag(dag_id="waits_dag", schedule=None, default_args={"retries": 1})
def waits_dag() -> None:
    """Wire the tasks."""

    @task
    def get_ids() -> list[str]:
        """Return nothing."""
        return []

    StatusEmulationOperator.partial(task_id="wait", deferrable=True).expand(emulation_id=get_ids())


waits_dag()
