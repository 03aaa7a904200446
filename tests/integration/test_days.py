"""A run for each interval makes the data of that interval, on a real Airflow with its default schedules.

`airflow backfill create` over some days gives these days, each its own; a day that is run again is there once.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import obstore
import pytest

from data_emulator.settings import Settings
from data_emulator.sinks.s3.bucket import open_bucket
from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError
from data_emulator.stack.stack import Stack
from tests.integration.test_e2e import wait_until
from tests.support.disturbing import pause

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAG_ID, BRONZE_DAG_ID = "all_emulations_dag", "bronze_ingest_dag"
DAYS = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 3, 4)]
DAY = timedelta(days=1)
LABELS = ("user-profile", "device-log", "transaction")
COMMON = {"emulator_sync": "minio", "window": "data_interval", "rate": "unlimited"}
USERS = Settings().world_users
VARIABLE = json.dumps(
    [
        {"emulation_domain": label, "max_records": USERS if label == "user-profile" else 500, **COMMON}
        for label in LABELS
    ]
)


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        dag_ids = (DAG_ID, BRONZE_DAG_ID, "days_of_intervals", "days_without_pool")
        wait_until(lambda: all(api.has_dag(each) for each in dag_ids))
        assert api.import_errors() == []
        api.set_variable("emulation_domains", VARIABLE)
        pause(api, BRONZE_DAG_ID, True)  # it is not what is tested here, and costs time
        yield api
        pause(api, BRONZE_DAG_ID, False)


@pytest.fixture(scope="module")
def backfill(whole_stack: Stack, airflow: AirflowApi) -> Callable[..., None]:
    """Run `airflow backfill create` over some days, and wait until its runs have ended."""

    def create(dag_id: str, first: datetime, last: datetime, *more: str) -> None:
        assert whole_stack.airflow is not None
        # A day's run is that of the midnight after it.
        dates = ["--from-date", first.isoformat(), "--to-date", last.isoformat()]
        command = whole_stack.airflow.command("backfill", "create", "--dag-id", dag_id, *dates, *more)
        environment = {**_inherited(), **command.env}
        for attempts_left in reversed(range(5)):
            # Airflow refuses another until it has noticed, which it does twice a minute, that the one before is over.
            wait_until(lambda: all(each["completed_at"] for each in backfills(dag_id)))
            # On SQLite, Airflow stores a run before its tasks. A scheduler that sees it in between takes it for one
            # that has ended, or dies when the run is taken back. It looks at no run of a DAG that is paused.
            pause(airflow, dag_id, True)
            done = subprocess.run(
                command.argv, env=environment, cwd=command.cwd, capture_output=True, text=True, check=False
            )
            pause(airflow, dag_id, False)
            wait_until(lambda: all(run["state"] in ("success", "failed") for run in backfill_runs(dag_id)))
            if done.returncode == 0:
                return
            # SQLite lets only one write at a time. What is missing is made by the next.
            assert attempts_left, done.stdout + done.stderr
            assert "database is locked" in done.stderr, done.stdout + done.stderr

    def backfills(dag_id: str) -> list[dict[str, Any]]:
        return list(airflow.request("GET", "/backfills", dag_id=dag_id)["backfills"])

    def backfill_runs(dag_id: str) -> list[dict[str, Any]]:
        return [run for run in airflow.runs(dag_id) if run["run_type"] == "backfill"]

    return create


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}


def run_of(airflow: AirflowApi, dag_id: str, logical_date: datetime) -> dict[str, Any]:
    asked = {"logical_date_gte": logical_date.isoformat(), "logical_date_lte": logical_date.isoformat()}
    (run,) = airflow.request("GET", f"/dags/{dag_id}/dagRuns", **asked)["dag_runs"]
    return dict(run)


def ids_of(airflow: AirflowApi, dag_id: str, run_id: str, task_id: str = "emulate.wait") -> dict[str, str]:
    """Return the ids of a run's emulations by label."""
    tasks = [task for task in airflow.task_instances(dag_id, run_id) if task.task_id == task_id]
    return {str(task.label): airflow.return_value(dag_id, run_id, task_id, task.map_index) for task in tasks}


def manifest(stack: Stack, emulation_id: str) -> dict[str, Any]:
    answer = httpx.get(f"{stack.addresses.service_url}/emulator/{emulation_id}/manifest", timeout=30, trust_env=False)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def rows(stack: Stack, emulation_id: str) -> list[dict[str, Any]]:
    found, settings = manifest(stack, emulation_id), stack.addresses.settings()
    bucket = open_bucket(settings, found["bucket"], timedelta(seconds=60))
    contents = [bytes(obstore.get(bucket, each["key"]).bytes()) for each in found["objects"]]
    return [json.loads(line) for content in contents for line in content.splitlines()]


def total(stack: Stack) -> int:
    answer = httpx.get(f"{stack.addresses.service_url}/emulator/", timeout=30, trust_env=False)
    return int(answer.raise_for_status().json()["total"])


@pytest.fixture(scope="module")
def days(backfill: Callable[..., None], airflow: AirflowApi) -> dict[datetime, dict[str, str]]:
    """The emulations of each day, by label."""
    backfill(DAG_ID, DAYS[0] + DAY, DAYS[-1] + DAY)
    found = {}
    for day in DAYS:
        run = run_of(airflow, DAG_ID, day + DAY)
        assert run["state"] == "success", day
        assert run["data_interval_start"] == run["data_interval_end"], "Airflow's default, which this is about"
        found[day] = ids_of(airflow, DAG_ID, run["dag_run_id"])
        assert {*found[day]} == {*LABELS}
    return found


def test_a_backfill_makes_each_day_its_own_data(whole_stack: Stack, days: dict[datetime, dict[str, str]]) -> None:
    seen: dict[str, set[str]] = {"device-log": set(), "transaction": set()}
    for day, ids in days.items():
        users = {row["data"]["user_id"] for row in rows(whole_stack, ids["user-profile"])}
        assert len(users) == USERS
        for label, id_field in (("device-log", "log_id"), ("transaction", "transaction_id")):
            found = rows(whole_stack, ids[label])
            assert len(found) == 500
            assert all(day.timestamp() <= row["timestamp"] < (day + DAY).timestamp() for row in found), (day, label)
            assert {row["data"]["user_id"] for row in found} <= users, (day, label)
            record_ids = {row["data"][id_field] for row in found}
            assert len(record_ids) == 500
            assert not record_ids & seen[label], "a record of another day"
            seen[label] |= record_ids


def test_the_scheduled_run_and_one_by_hand_are_for_the_day_before(
    whole_stack: Stack, airflow: AirflowApi, days: dict[datetime, dict[str, str]]
) -> None:
    """Unpaused for the backfill, the DAG has made the run of last midnight, too."""
    wait_until(lambda: any(run["run_type"] == "scheduled" for run in airflow.runs(DAG_ID)))
    (scheduled,) = (run for run in airflow.runs(DAG_ID) if run["run_type"] == "scheduled")
    by_hand = airflow.trigger(DAG_ID)
    for run_id in (scheduled["dag_run_id"], by_hand):
        wait_until(lambda run_id=run_id: airflow.run_state(DAG_ID, run_id) not in ("queued", "running"))  # type: ignore[misc]
        assert airflow.run_state(DAG_ID, run_id) == "success"
    ids = ids_of(airflow, DAG_ID, scheduled["dag_run_id"])
    end = datetime.fromisoformat(scheduled["logical_date"])
    for row in rows(whole_stack, ids["transaction"]):
        assert (end - DAY).timestamp() <= row["timestamp"] < end.timestamp()
    assert ids_of(airflow, DAG_ID, by_hand) == ids


@pytest.mark.disturbance
def test_runs_with_intervals_of_their_own_and_two_lists(
    whole_stack: Stack, airflow: AirflowApi, backfill: Callable[..., None]
) -> None:
    dag_id, day = "days_of_intervals", DAYS[0]
    backfill(dag_id, day, day)
    run = run_of(airflow, dag_id, day)
    assert run["state"] == "success", "half of the second list is enough"
    ids = [ids_of(airflow, dag_id, run["dag_run_id"], f"{group}.emulate.wait") for group in ("all", "half")]
    assert ids[0]["transaction"] != ids[1]["transaction"], "each group has emulations of its own"
    for each in (ids[0]["transaction"], ids[1]["transaction"]):
        assert all(day.timestamp() <= row["timestamp"] < (day + DAY).timestamp() for row in rows(whole_stack, each))
    assert airflow.return_value(dag_id, run["dag_run_id"], "half.end", -1)["completed"] == 1
    (end,) = (task for task in airflow.task_instances(dag_id, run["dag_run_id"]) if task.task_id == "half.end")
    log = "\n".join(airflow.task_log(dag_id, run["dag_run_id"], end))
    assert "1 of 2 domains completed, 1 is enough: 20 records, " in log
    assert "Domain not supported: orders" in log


@pytest.mark.disturbance
def test_the_operator_by_itself(whole_stack: Stack, airflow: AirflowApi, backfill: Callable[..., None]) -> None:
    day = DAYS[0]
    backfill("days_in_one_task", day + DAY, day + DAY)
    run = run_of(airflow, "days_in_one_task", day + DAY)
    assert run["state"] == "success"
    receipt = airflow.return_value("days_in_one_task", run["dag_run_id"], "run", -1)
    found = rows(whole_stack, receipt["id"])
    assert len(found) == 20
    assert all(day.timestamp() <= row["timestamp"] < (day + DAY).timestamp() for row in found)


def failed_log(airflow: AirflowApi, dag_id: str, run_id: str, task_id: str) -> str:
    def found() -> list[Any]:
        return [
            task
            for task in airflow.task_instances(dag_id, run_id)
            if task.task_id == task_id and task.state == "failed"
        ]

    wait_until(lambda: bool(found()))
    return "\n".join(airflow.task_log(dag_id, run_id, found()[0]))


def test_a_run_by_an_asset_says_what_to_do(airflow: AirflowApi) -> None:
    dag_id = "days_by_asset"
    pause(airflow, dag_id, False)
    (asset,) = airflow.request("GET", "/assets", name_pattern="some_asset")["assets"]
    airflow.request("POST", "/assets/events", {"asset_id": asset["id"]})
    wait_until(lambda: bool(airflow.runs(dag_id)))
    log = failed_log(airflow, dag_id, airflow.runs(dag_id)[0]["dag_run_id"], "emulations.get_domains")
    assert "this run (asset_triggered) has no data interval, and none follows from the DAG's schedule" in log
    assert "give start_time and end_time instead of window" in log


@pytest.mark.disturbance
def test_a_missing_pool_is_named_by_a_task_and_made_by_its_command(whole_stack: Stack, airflow: AirflowApi) -> None:
    dag_id = "days_without_pool"
    pause(airflow, dag_id, False)
    run_id = airflow.trigger(dag_id)
    log = failed_log(airflow, dag_id, run_id, "emulations.check_pool")
    assert "No task has got a slot in pool 'nowhere'" in log
    assert "`airflow pools set --include-deferred nowhere 16 'Emulations at once'`" in log
    states = {task.task_id: task.state for task in airflow.task_instances(dag_id, run_id)}
    assert states["emulations.emulate.start"] == "scheduled"
    airflow.ensure_pool("nowhere", slots=16, description="Emulations at once")
    wait_until(lambda: airflow.run_state(dag_id, run_id) == "success", timeout_s=240)


@pytest.mark.parametrize("conf", [{"rate": "abc"}, {"seed": 2**53}, {"timeout": 0}, {"only": "transaction"}])
def test_the_form_refuses_what_is_wrong(airflow: AirflowApi, conf: dict[str, Any]) -> None:
    with pytest.raises(AirflowApiError) as refused:
        airflow.request("POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None, "conf": conf})
    assert refused.value.status in (400, 422)
    assert next(iter(conf)) in str(refused.value)


def test_only_some_entries(airflow: AirflowApi, days: dict[datetime, dict[str, str]]) -> None:
    body = {"logical_date": None, "conf": {"only": ["transaction"], "rate": "unlimited"}}
    run_id = str(airflow.request("POST", f"/dags/{DAG_ID}/dagRuns", body)["dag_run_id"])
    wait_until(lambda: airflow.run_state(DAG_ID, run_id) not in ("queued", "running"))
    assert airflow.run_state(DAG_ID, run_id) == "success"
    assert {*ids_of(airflow, DAG_ID, run_id)} == {"transaction"}


def test_a_day_that_is_run_again_is_there_once(
    whole_stack: Stack, airflow: AirflowApi, backfill: Callable[..., None], days: dict[datetime, dict[str, str]]
) -> None:
    before, count = {each: manifest(whole_stack, each) for each in days[DAYS[0]].values()}, total(whole_stack)
    first = DAYS[0] + DAY
    tries = {(task.task_id, task.map_index): task.try_number for task in tasks_of(airflow, first)}

    backfill(DAG_ID, first, first, "--reprocess-behavior", "completed")

    wait_until(lambda: run_of(airflow, DAG_ID, first)["state"] == "success")
    again = {(task.task_id, task.map_index): task.try_number for task in tasks_of(airflow, first)}
    assert all(again[key] > number for key, number in tries.items() if key[0] == "emulate.start"), "it has run again"
    assert ids_of(airflow, DAG_ID, run_of(airflow, DAG_ID, first)["dag_run_id"]) == days[DAYS[0]]
    assert {each: manifest(whole_stack, each) for each in before} == before
    assert all(each["checksum"] for found in before.values() for each in found["objects"])
    assert total(whole_stack) == count


def tasks_of(airflow: AirflowApi, logical_date: datetime) -> list[Any]:
    return airflow.task_instances(DAG_ID, run_of(airflow, DAG_ID, logical_date)["dag_run_id"])


def test_deferred_tasks_count_in_a_pool_from_make_up_on(airflow: AirflowApi) -> None:
    airflow.request("POST", "/pools", {"name": "mine", "slots": 3, "include_deferred": False})
    airflow.ensure_pool("mine", slots=16, description="x")
    pool = airflow.request("GET", "/pools/mine")
    assert (pool["slots"], pool["include_deferred"]) == (3, True)
