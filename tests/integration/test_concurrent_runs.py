"""Runs at the same time do not starve each other: what one has started is waited for before another starts more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.stack import Stack
from tests.integration.test_e2e import wait_until
from tests.support.door import Door, door_to

pytestmark = [pytest.mark.e2e, pytest.mark.disturbance, pytest.mark.timeout(900)]

DAG_ID, POOL, VARIABLE = "crowded", "crowded", "crowded_domains"
CONNECTION = "data_emulator_default"


@pytest.fixture
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        wait_until(lambda: api.has_dag(DAG_ID))
        api.ensure_pool(POOL, slots=1, description="One emulation at once")
        yield api


@pytest.fixture
def door(whole_stack: Stack, airflow: AirflowApi) -> Iterator[Door]:
    with door_to(whole_stack.addresses.service_url) as door:
        airflow.set_connection_port(CONNECTION, door.server_port)
        yield door
        airflow.set_connection_port(CONNECTION, whole_stack.service.port)


def start_run(airflow: AirflowApi, logical_date: str, labels: list[str], duration_s: int) -> str:
    entry = {"emulation_domain": "transaction", "emulator_sync": "minio", "timeout": duration_s, "rate": 5}
    airflow.set_variable(VARIABLE, json.dumps([{**entry, "label": label} for label in labels]))
    body = {"logical_date": logical_date}
    return str(airflow.request("POST", f"/dags/{DAG_ID}/dagRuns", body)["dag_run_id"])


def states(airflow: AirflowApi, run_id: str, task_id: str) -> list[str | None]:
    return [task.state for task in airflow.task_instances(DAG_ID, run_id) if task.task_id == task_id]


def test_a_later_run_of_an_earlier_date_does_not_keep_a_wait_from_its_slot(airflow: AirflowApi, door: Door) -> None:
    """As a backfill would: Airflow takes the starts of an earlier date first, unless a wait weighs more."""
    with door.holding_starts():
        today = start_run(airflow, "2026-03-02T00:00:00Z", ["today"], duration_s=90)
        wait_until(door.holds.is_set)
        earlier = start_run(airflow, "2026-01-01T00:00:00Z", [f"earlier {number}" for number in range(6)], 10)
        wait_until(lambda: states(airflow, earlier, "emulations.emulate.start") == ["scheduled"] * 6)
    runs: dict[str, Any] = {"today": today, "earlier": earlier}
    ends = ("success", "failed")
    wait_until(lambda: all(airflow.run_state(DAG_ID, run_id) in ends for run_id in runs.values()), timeout_s=400)
    assert {name: airflow.run_state(DAG_ID, run_id) for name, run_id in runs.items()} == dict.fromkeys(runs, "success")
