"""DAGs of the group for test_days.py, with schedules of all kinds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, CronDataIntervalTimetable, dag

from include.emulations import emulation_group
from include.operators import pool_check
from include.operators.run_emulation import RunEmulationOperator

#: Each task reads this file, and so looks for a missing pool that often.
pool_check._LOOK_EVERY_S = 1  # type: ignore[assignment]

OPTIONS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "default_args": {"retries": 1, "retry_delay": timedelta(seconds=1)},
}
PAYMENTS = {
    "emulation_domain": "transaction",
    "emulator_sync": "minio",
    "window": "data_interval",
    "rate": "unlimited",
    "max_records": 20,
}
REFUSED = {**PAYMENTS, "emulation_domain": "orders", "label": "refused"}


@dag(dag_id="days_of_intervals", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"), **OPTIONS)
def days_of_intervals() -> None:
    """Two lists, in a DAG whose runs have intervals; of the second one half is enough."""
    emulation_group("all", [PAYMENTS])
    emulation_group("half", [PAYMENTS, REFUSED], min_completed=0.5)


@dag(dag_id="days_in_one_task", schedule="@daily", **OPTIONS)
def days_in_one_task() -> None:
    """The operator by itself, under Airflow's default schedule."""
    six = {"format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "timeout": 30}
    RunEmulationOperator(task_id="run", wait_timeout=300, **six, **PAYMENTS)


@dag(dag_id="days_by_asset", schedule=[Asset("some_asset")], **OPTIONS)
def days_by_asset() -> None:
    """A run of this has no interval."""
    emulation_group(domains=[PAYMENTS])


@dag(dag_id="days_without_pool", schedule=None, **OPTIONS)
def days_without_pool() -> None:
    """Nothing of it gets a slot."""
    emulation_group(domains=["transaction"], pool="nowhere")


@dag(dag_id="crowded", schedule=None, is_paused_upon_creation=False, **OPTIONS)
def crowded() -> None:
    """For test_concurrent_runs.py: one slot for all runs, and emulations that are soon abandoned."""
    emulation_group(domains="crowded_domains", pool="crowded", abandon_after=45, default_args={"retries": 0})


days_of_intervals()
days_in_one_task()
days_by_asset()
days_without_pool()
crowded()
