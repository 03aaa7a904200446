"""The shape of `all_emulations_dag`, of what Airflow and its standard provider have, to compare its parsing with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import TaskGroup, chain, dag, task, task_group


@dag(
    dag_id="bare_dag",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
)
def bare_dag() -> None:
    """Wire the tasks."""

    @task
    def get_domains() -> list[dict[str, Any]]:
        """Return nothing: this DAG is only parsed."""
        return []

    @task_group
    def emulate(emulation_domain: str) -> Any:
        """Two tasks, one after the other."""
        start_emulation = BashOperator(task_id="start", bash_command=emulation_domain)
        wait = BashOperator(task_id="wait", bash_command=emulation_domain)
        chain(start_emulation, wait)
        return wait.output

    @task(trigger_rule="all_done")
    def end(domains: list[dict[str, Any]] | None) -> None:
        """Do nothing."""

    with TaskGroup("emulations", prefix_group_id=False) as group:
        domains = get_domains()
        ended = end(domains)  # type: ignore[arg-type]
        chain(domains, emulate.expand_kwargs(domains), ended)
        chain(domains, BashOperator(task_id="check_pool", bash_command="true"), ended)
    chain(EmptyOperator(task_id="start"), group)


bare_dag()
