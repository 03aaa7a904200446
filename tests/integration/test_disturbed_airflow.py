"""An API server that is away while tasks run, on a real Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_emulator.demo import bronze
from data_emulator.demo.bronze import bronze_runs, ingest_tasks
from data_emulator.demo.demo import DAG_ID
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.stack import Stack
from tests.integration.test_bronze_e2e import ended, rows_in_bronze
from tests.integration.test_e2e import START, TRANSACTIONS, WAIT, outcome, receipt, trigger, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.disturbance, pytest.mark.timeout(600)]

READS = "reads_settings"


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        wait_until(lambda: all(api.has_dag(dag_id) for dag_id in (DAG_ID, bronze.DAG_ID, READS)))
        yield api


def test_a_variable_that_airflow_cannot_give_is_not_taken_for_unset(
    whole_stack: Stack, airflow: AirflowApi, tmp_path: Path
) -> None:
    assert whole_stack.airflow is not None
    api_server = whole_stack.airflow.components["api-server"]
    airflow.set_variable("asked_for", "the value")
    body = {"logical_date": None, "conf": {"folder": str(tmp_path)}}
    run_id = str(airflow.request("POST", f"/dags/{READS}/dagRuns", body)["dag_run_id"])
    wait_until((tmp_path / "asks").exists)
    api_server.kill()
    try:
        (tmp_path / "go").touch()
        wait_until((tmp_path / "said").exists)
    finally:
        api_server.start()

    said = (tmp_path / "said").read_text()
    assert said.startswith("Variable 'asked_for' cannot be read: Airflow's API server does not answer")
    wait_until(lambda: airflow.run_state(READS, run_id) in ("success", "failed"))
    assert airflow.run_state(READS, run_id) == "success"
    assert airflow.return_value(READS, run_id, "read", -1) == ["the value", None, None]
    assert json.loads((tmp_path / "said").read_text()) == "the value"


def test_bronze_ingests_when_the_api_server_dies_while_it_does(whole_stack: Stack, airflow: AirflowApi) -> None:
    assert whole_stack.airflow is not None
    api_server = whole_stack.airflow.components["api-server"]
    run_id = trigger(airflow, [{**TRANSACTIONS, "rate": "unlimited", "max_records": 400_000}])
    assert outcome(airflow, run_id) == "success"
    emulation_id = airflow.return_value(DAG_ID, run_id, START, 0)
    wait_until(lambda: bool(bronze_runs(airflow, [emulation_id])))
    (begun,) = bronze_runs(airflow, [emulation_id])
    wait_until(lambda: "running" in {task.state for task in ingest_tasks(airflow, begun.run_id)})
    api_server.kill()
    api_server.start()

    (run,) = ended(airflow, [emulation_id])

    assert run.state == "success"
    assert run.rows == {emulation_id: receipt(airflow, whole_stack.addresses, run_id, 0).counted.records}
    assert len(rows_in_bronze(whole_stack.addresses, "transaction", emulation_id)) == run.rows[emulation_id]


def test_a_second_event_of_an_emulation_replaces_its_table(whole_stack: Stack, airflow: AirflowApi) -> None:
    run_id = trigger(airflow, [TRANSACTIONS])
    assert outcome(airflow, run_id) == "success"
    emulation_id = airflow.return_value(DAG_ID, run_id, START, 0)
    (first,) = ended(airflow, [emulation_id])
    before = rows_in_bronze(whole_stack.addresses, "transaction", emulation_id)

    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [WAIT], "only_failed": False, "reset_dag_runs": True}
    airflow.request("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)
    wait_until(lambda: len(bronze_runs(airflow, [emulation_id])) == 2)
    wait_until(lambda: all(run.has_ended for run in bronze_runs(airflow, [emulation_id])))

    runs = bronze_runs(airflow, [emulation_id])
    assert [run.state for run in runs] == ["success", "success"]
    assert [run.rows for run in runs] == [first.rows, first.rows]
    after = rows_in_bronze(whole_stack.addresses, "transaction", emulation_id)  # which finds one object, not two
    assert len(after) == len(before)
    assert {row["ingested_at"] for row in after} != {row["ingested_at"] for row in before}
