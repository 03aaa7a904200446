"""The same shape as `all_emulations_dag`, of the article's operators; it reads the same Airflow Variable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Variable, chain, dag, task, task_group

from benchmarks.article_operators import StartEmulator, StatusEmulation


@dag(
    dag_id="article_emulations_dag",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
)
def article_emulations_dag() -> None:
    """Wire the tasks."""

    @task
    def get_domains() -> list[dict[str, Any]]:
        """Read the list of domains, each with the six fields that the article's request has."""
        domains: list[dict[str, Any]] = Variable.get("emulation_domains", deserialize_json=True)
        return domains

    @task_group
    def emulate(
        emulator_sync: str,
        emulation_domain: str,
        format_type: str,
        sync_type: str,
        max_chunk_size: int,
        timeout: int,
    ) -> Any:
        """Emulate one domain."""
        start_emulation = StartEmulator(
            task_id="start",
            emulator_sync=emulator_sync,
            emulation_domain=emulation_domain,
            format_type=format_type,
            sync_type=sync_type,
            max_chunk_size=max_chunk_size,
            timeout=timeout,
        )
        wait = StatusEmulation(task_id="wait", prev_task_id="emulate.start")
        chain(start_emulation, wait)
        return wait.output

    domains = get_domains()
    chain(EmptyOperator(task_id="start"), domains, emulate.expand_kwargs(domains), EmptyOperator(task_id="end"))


article_emulations_dag()
