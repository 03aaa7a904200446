"""On a real Airflow: each domain that completed starts one bronze run with all its rows, and a failed one none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

import obstore
import pyarrow.parquet as pq
import pytest

from data_emulator.demo import bronze
from data_emulator.demo.bronze import BronzeRun, bronze_runs, ingest_tasks, wait_for_bronze
from data_emulator.demo.demo import DAG_ID
from data_emulator.sinks.s3.bucket import open_bucket
from data_emulator.stack.addresses import Addresses
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.folders import project_dir
from tests.integration.test_e2e import (
    LOGS,
    PROFILES,
    START,
    TRANSACTIONS,
    WAIT,
    outcome,
    receipt,
    tasks,
    trigger,
    wait_until,
)
from tests.support.disturbing import pause

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def airflow(stack: Addresses) -> Iterator[AirflowApi]:
    assert stack.airflow_url is not None
    with AirflowApi(stack.airflow_url) as api:
        wait_until(lambda: (api.has_dag(DAG_ID) and api.has_dag(bronze.DAG_ID)) or bool(api.import_errors()))
        assert api.import_errors() == []
        yield api


def ended(airflow: AirflowApi, emulation_ids: list[str]) -> list[BronzeRun]:
    return wait_for_bronze(airflow, emulation_ids, timeout_s=600, say=print)


def rows_in_bronze(stack: Addresses, domain: str, emulation_id: str) -> list[dict[str, object]]:
    store = open_bucket(stack.settings(), "bronze", timedelta(seconds=30))
    prefix = f"{domain}/emulation_id={emulation_id}/"
    (key,) = (each["path"] for page in obstore.list(store, prefix=prefix) for each in page)
    found: list[dict[str, object]] = pq.read_table(BytesIO(bytes(obstore.get(store, key).bytes()))).to_pylist()
    return found


def test_each_domain_that_completed_starts_one_run_and_a_failed_one_none(airflow: AirflowApi, stack: Addresses) -> None:
    refused = {**PROFILES, "emulation_domain": "no-such-domain"}
    run_id = trigger(airflow, [PROFILES, LOGS, TRANSACTIONS, refused, {**PROFILES, "timeout": 600}])
    wait_until(lambda: (WAIT, 4) in tasks(airflow, run_id) and tasks(airflow, run_id)[WAIT, 4].state == "deferred")
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{WAIT}/4"
    airflow.request("PATCH", path, {"new_state": "failed"})
    assert outcome(airflow, run_id) == "failed"
    ids = {
        domain: airflow.return_value(DAG_ID, run_id, START, index)
        for index, domain in enumerate(("user-profile", "device-log", "transaction"))
    }

    runs = ended(airflow, list(ids.values()))

    assert sorted((run.domain, run.state) for run in runs) == [(domain, "success") for domain in sorted(ids)]
    for run in runs:
        assert run.emulation_ids == (ids[str(run.domain)],)
    for index, (domain, emulation_id) in enumerate(ids.items()):
        counted = receipt(airflow, stack, run_id, index)
        assert counted.problems == ()
        (run,) = (each for each in runs if each.domain == domain)
        assert run.rows == {emulation_id: counted.counted.records}
        assert counted.counted.records > 0
        rows = rows_in_bronze(stack, domain, emulation_id)
        assert len(rows) == counted.counted.records
        assert {row["emulation_id"] for row in rows} == {emulation_id}
        assert len({(row["source"], row["position"]) for row in rows}) == len(rows)
    assert "no-such-domain" not in {run["partition_key"] for run in airflow.runs(bronze.DAG_ID)}
    assert {run["state"] for run in airflow.runs(bronze.DAG_ID)} == {"success"}
    assert bronze_runs(airflow, [airflow.return_value(DAG_ID, run_id, START, 4)]) == []


def test_the_documented_query_runs_by_what_up_gives_a_shell(stack: Addresses) -> None:
    """On what the test before has put into bronze: payments and profiles of the same users."""
    command = [sys.executable, str(project_dir() / "docs" / "query_bronze.py")]
    environment = {**os.environ, **stack.environment()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "median_amount" in done.stdout
    assert re.search(r"│ *[A-Z]{2} *│ *\d+ *│", done.stdout), done.stdout


def test_two_emulations_of_one_domain_are_both_ingested_and_neither_twice(
    airflow: AirflowApi, stack: Addresses
) -> None:
    run_id = trigger(airflow, [TRANSACTIONS, TRANSACTIONS])
    assert outcome(airflow, run_id) == "success"
    ids = [airflow.return_value(DAG_ID, run_id, START, index) for index in (0, 1)]

    runs = ended(airflow, ids)

    # As they end nearly at once Airflow makes one run of them or two, and both are right.
    assert sorted(each for run in runs for each in run.emulation_ids) == sorted(ids)
    assert {run.state for run in runs} == {"success"}
    rows = {each: count for run in runs for each, count in run.rows.items()}
    assert rows == {ids[index]: receipt(airflow, stack, run_id, index).counted.records for index in (0, 1)}
    for run in runs:
        assert {task.label for task in ingest_tasks(airflow, run.run_id)} == set(run.emulation_ids)


def test_what_completes_while_the_dag_is_paused_is_caught_up_with_by_hand(
    airflow: AirflowApi, stack: Addresses
) -> None:
    pause(airflow, bronze.DAG_ID, True)
    try:
        run_id = trigger(airflow, [{**PROFILES, "timeout": 1}])
        assert outcome(airflow, run_id) == "success"
    finally:
        pause(airflow, bronze.DAG_ID, False)
    emulation_id = airflow.return_value(DAG_ID, run_id, START, 0)

    by_hand = airflow.trigger(bronze.DAG_ID)
    wait_until(lambda: airflow.run_state(bronze.DAG_ID, by_hand) in ("success", "failed"))

    assert airflow.run_state(bronze.DAG_ID, by_hand) == "success"
    assert "queued" not in {run["state"] for run in airflow.runs(bronze.DAG_ID)}
    assert bronze_runs(airflow, [emulation_id]) == [], "the event came while the DAG was paused"
    assert [task.label for task in ingest_tasks(airflow, by_hand)] == [emulation_id]
    counted = receipt(airflow, stack, run_id, 0).counted.records
    assert len(rows_in_bronze(stack, "user-profile", emulation_id)) == counted


def test_every_kind_of_schedule_by_the_assets_starts_runs_each_with_its_receipts(airflow: AirflowApi) -> None:
    dag_ids = ("plain", "plain_or", "partitioned")
    wait_until(lambda: all(airflow.has_dag(dag_id) for dag_id in dag_ids))
    for dag_id in dag_ids:
        pause(airflow, dag_id, False)
    run_id = trigger(airflow, [{**PROFILES, "timeout": 1}, {**PROFILES, "timeout": 1}])
    assert outcome(airflow, run_id) == "success"
    ids = [airflow.return_value(DAG_ID, run_id, START, index) for index in (0, 1)]

    wait_until(lambda: set(ids) <= set(seen_by(airflow, "partitioned")))
    wait_until(lambda: all(set(ids) & set(seen_by(airflow, dag_id)) for dag_id in dag_ids))
    for dag_id in dag_ids:
        # Of two that come together a plain schedule may keep the second for its next run.
        seen = [each for each in seen_by(airflow, dag_id) if each in ids]
        assert len(seen) == len(set(seen)), f"{dag_id}: one of them started two runs"
    keys = {dag_id: {run["partition_key"] for run in airflow.runs(dag_id)} for dag_id in dag_ids}
    assert keys["plain"] == keys["plain_or"] == {None}
    assert "user-profile" in keys["partitioned"]
    for dag_id in dag_ids:
        pause(airflow, dag_id, True)


def seen_by(airflow: AirflowApi, dag_id: str) -> list[str]:
    """The emulations whose events started the runs of a DAG, by what its task returned."""
    done = [run["dag_run_id"] for run in airflow.runs(dag_id) if run["state"] == "success"]
    return [str(each) for run_id in done for each in airflow.return_value(dag_id, run_id, "receipts", -1)]


def test_the_connections_are_rows_that_show_no_secret(airflow: AirflowApi, stack: Addresses) -> None:
    store, broker = airflow.connection("data_emulator_s3"), airflow.connection("data_emulator_kafka")
    assert store is not None
    assert broker is not None
    secret = stack.settings().s3_secret_access_key
    assert secret is not None
    assert (store["conn_type"], json.loads(store["extra"])["endpoint_url"]) == ("aws", stack.s3_endpoint)
    assert store["login"]
    assert secret.get_secret_value() not in json.dumps(store)
    assert (broker["conn_type"], json.loads(broker["extra"])) == (
        "kafka",
        {"bootstrap.servers": stack.kafka_bootstrap_servers},
    )
