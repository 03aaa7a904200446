"""A DAG for test_connection_secrets.py: an emulation by each of some connections."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task

from include.operators.run_emulation import RunEmulationOperator


@dag(
    dag_id="canary",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"connections": []},
    is_paused_upon_creation=False,
)
def canary() -> None:
    """Start an emulation by each, and wait for it deferred."""

    @task
    def connections(params: dict[str, list[str]] | None = None) -> list[str]:
        return (params or {})["connections"]

    RunEmulationOperator.partial(
        task_id="run",
        emulator_sync="minio",
        emulation_domain="transaction",
        format_type="json",
        sync_type="grouped",
        max_chunk_size=1024,
        timeout=600,
        rate=20,
        wait_timeout=900,
        abandon_after=30,
        deferrable=True,
    ).expand(data_emulator_conn_id=connections())


canary()
