from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables import trigger

from include.assets import EMULATIONS, EMULATIONS_BY_DOMAIN
from include.domain_list import parse_domain_list
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator
from tests.support.recorded_server import recorded_server

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(PROJECT / "dags" / "all_emulations_dag.py")
    assert not bag.import_errors
    return bag.dags["all_emulations_dag"]


def test_the_dag(dag: DAG) -> None:
    assert dag.catchup is False
    assert dag.tags == {"data-emulator", "lakehouse-lab"}
    assert "emulation_domains" in (dag.doc_md or "")


@pytest.mark.parametrize(
    ("now", "first"),
    [("2026-02-03T12:00:00+00:00", "2026-02-04"), ("2026-02-03T00:00:30+00:00", "2026-02-03")],
    ids=["a midnight that is long past is left out", "one that has just been is not"],
)
def test_the_first_scheduled_run_is_at_the_next_midnight(
    dag: DAG, now: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger, "utcnow", lambda: datetime.fromisoformat(now))
    serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    run = serialized.next_dagrun_info(last_automated_run_info=None)
    assert run is not None
    assert run.run_after == datetime.fromisoformat(f"{first}T00:00:00+00:00")


def test_the_chain_of_tasks(dag: DAG) -> None:
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "start": set(),
        "get_domains": {"start"},
        "emulate.start": {"get_domains"},
        "emulate.wait": {"emulate.start", "get_domains"},
        "check_pool": {"get_domains"},
        "end": {"emulate.wait", "get_domains", "check_pool"},
    }


def test_each_domain_is_a_mapped_group_of_a_start_and_a_wait(dag: DAG) -> None:
    group = dag.task_group.get_task_group_dict()["emulate"]
    assert isinstance(group, MappedTaskGroup)
    start, wait = dag.get_task("emulate.start"), dag.get_task("emulate.wait")
    assert isinstance(start, StartEmulatorOperator)
    assert isinstance(wait, StatusEmulationOperator)
    assert wait.deferrable
    for task in (start, wait):
        assert task.map_index_template == "{{ task.arguments.emulation_label }}"
        assert task.retries >= 1, "a resumed task can lose the race with its own deferral"
        assert task.retry_delay <= timedelta(minutes=1)


def test_an_entry_of_the_list_is_what_the_group_is_called_with(dag: DAG) -> None:
    start, wait = dag.get_task("emulate.start"), dag.get_task("emulate.wait")
    values = [getattr(start, name) for name in StartEmulatorOperator.template_fields]
    values += [getattr(wait, name) for name in StatusEmulationOperator.template_fields]
    assert {value._key for value in values if hasattr(value, "_key")} == {"domain"}
    assert start.arguments._key == wait.arguments._key == "domain"
    known = {*StartEmulatorOperator.template_fields, *StatusEmulationOperator.template_fields}
    assert set(parse_domain_list(None)[0]) <= known


def test_both_are_throttled_by_the_pool_alone_and_waits_come_before_the_starts_of_any_run(dag: DAG) -> None:
    start, wait = dag.get_task("emulate.start"), dag.get_task("emulate.wait")
    assert start.pool == wait.pool == "data_emulator"
    assert wait.priority_weight > start.priority_weight > dag.get_task("check_pool").priority_weight
    for task in (start, wait, dag.get_task("check_pool")):
        assert "absolute" in str(task.weight_rule).lower()
    assert dag.max_active_tasks == 1024
    assert {task.pool for task in dag.tasks} - {"data_emulator"} == {"default_pool"}


def test_a_completed_domain_is_told_of_by_the_asset(dag: DAG) -> None:
    assert {task.task_id for task in dag.tasks if task.outlets} == {"emulate.wait"}
    assert dag.get_task("emulate.wait").outlets == [EMULATIONS, EMULATIONS_BY_DOMAIN]


def test_what_nobody_waits_for_is_abandoned(dag: DAG) -> None:
    assert dag.get_task("emulate.start").abandon_after == 3600


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({}, True),
        ({"rate": 100, "timeout": 5, "seed": 7, "only": ["transaction"]}, True),
        ({"rate": "unlimited"}, True),
        ({"rate": "100"}, True),
        ({"rate": 0.5}, True),
        ({"rate": "abc"}, False),
        ({"rate": 0}, False),
        ({"rate": -1}, False),
        ({"rate": 2_000_000_000}, False),
        ({"timeout": 0}, False),
        ({"timeout": "soon"}, False),
        ({"seed": 1.5}, False),
        ({"seed": 2**53 - 1}, True),
        ({"seed": 2**53}, False),
        ({"seed": -(2**53)}, False),
        ({"only": []}, True),
        ({"only": "transaction"}, False),
        ({"only": [5]}, False),
    ],
)
def test_the_form_of_a_manual_run(dag: DAG, params: dict[str, Any], allowed: bool) -> None:
    assert set(dag.params) == {"rate", "timeout", "seed", "only"}
    for name, value in params.items():
        param = dag.params.get_param(name)
        if allowed:
            assert param.resolve(value) == value
        else:
            with pytest.raises(ParamValidationError):
                param.resolve(value)


def test_the_end_judges_all_domains(dag: DAG) -> None:
    assert dag.get_task("end").trigger_rule == "all_done"


def test_an_airflow_that_is_away_is_asked_again(dag: DAG) -> None:
    assert dag.get_task("get_domains").retries == 5


WATCHED_PARSE = """
import sys
touched = []
sys.addaudithook(lambda event, args: touched.append((event, args)) if event in WATCHED else None)
import all_emulations_dag
assert not touched, touched

import contextlib
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from airflow.utils.session import create_session
with contextlib.suppress(OperationalError), create_session() as session:
    session.execute(text("select 1"))
assert touched, "a look-up in the database goes unseen, so this test proves nothing"
"""


def test_parsing_touches_no_database_and_no_network(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/no/such/folder/airflow.db",
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'dags'}",
    }
    code = f"WATCHED = {{'sqlite3.connect', 'socket.connect', 'socket.getaddrinfo'}}{WATCHED_PARSE}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


RECORDED = {"emulation_domain": "user-profile", "timeout": 5}
REFUSED = {"emulation_domain": "orders", "emulator_sync": "kafka", "timeout": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runs of the DAG on a database of their own, against a server that answers as the original was recorded to."""
    folder = tmp_path_factory.mktemp("airflow")
    scenarios = {
        "all complete": json.dumps([RECORDED, RECORDED]),
        "one is refused": json.dumps([REFUSED, RECORDED]),
        "malformed": '["user-profile",',
        "empty": "[]",
    }
    (folder / "scenarios.json").write_text(json.dumps(scenarios))
    with recorded_server() as server:
        connection = {"conn_type": "data_emulator", "host": "127.0.0.1", "port": server.server_port}
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_DATA_EMULATOR_DEFAULT": json.dumps(connection),
            "PYTHONPATH": str(PROJECT),
        }
        done = subprocess.run(
            [
                sys.executable,
                PROJECT / "tests/dags/run_scenarios.py",
                folder / "scenarios.json",
                folder / "results.json",
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return {"log": done.stdout, **json.loads((folder / "results.json").read_text())}


def states(run: dict[str, Any]) -> dict[str, str]:
    return {name: task["state"] for name, task in run["tasks"].items()}


def test_each_domain_runs_and_is_named_in_the_grid(runs: dict[str, Any]) -> None:
    run = runs["all complete"]
    assert run["state"] == "success"
    assert set(states(run).values()) == {"success"}
    for task in ("emulate.start", "emulate.wait"):
        assert [run["tasks"][f"{task}_{index}"]["label"] for index in (0, 1)] == ["user-profile", "user-profile #2"]
        assert run["tasks"][f"{task}_1"]["returned"] == "025215a5-8151-4eec-b6f0-61f19cbd08f4"


def test_a_domain_that_fails_leaves_the_others_alone_and_the_end_names_it(runs: dict[str, Any]) -> None:
    run = runs["one is refused"]
    assert run["state"] == "failed"
    assert states(run) == {
        "start_-1": "success",
        "get_domains_-1": "success",
        "check_pool_-1": "success",
        "emulate.start_0": "failed",
        "emulate.wait_0": "upstream_failed",
        "emulate.start_1": "success",
        "emulate.wait_1": "success",
        "end_-1": "failed",
    }
    assert run["tasks"]["emulate.start_0"]["label"] == "orders"
    text = "1 of 2 domains completed, 2 are needed. Not completed: orders to kafka: did not complete: "
    assert text in runs["log"]
    reason = runs["log"].split(text)[1].splitlines()[0]
    assert "Domain not supported: orders" in reason


def test_a_malformed_list_fails_the_task_that_reads_it_and_the_run(runs: dict[str, Any]) -> None:
    run = runs["malformed"]
    assert run["state"] == "failed"
    assert states(run)["get_domains_-1"] == "failed"
    assert states(run)["end_-1"] == "failed"
    assert "it is not valid JSON: Expecting value at line 1, column 17" in runs["log"]


def test_an_empty_list_is_a_mistake(runs: dict[str, Any]) -> None:
    assert states(runs["empty"])["get_domains_-1"] == "failed"
    assert "it is empty; it must have 1 to 1024" in runs["log"]
