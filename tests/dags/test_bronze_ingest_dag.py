from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, PartitionedAssetTimetable

from include.assets import EMULATIONS, EMULATIONS_BY_DOMAIN

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(PROJECT / "dags" / "bronze_ingest_dag.py")
    assert not bag.import_errors
    return bag.dags["bronze_ingest_dag"]


def test_each_partition_of_the_asset_starts_a_run(dag: DAG) -> None:
    assert isinstance(dag.timetable, PartitionedAssetTimetable)
    assert dag.timetable.asset_condition == EMULATIONS_BY_DOMAIN
    assert dag.tags == {"data-emulator", "lakehouse-lab"}


def test_the_wait_for_an_emulation_makes_the_events() -> None:
    bag = DagBag(PROJECT / "dags" / "all_emulations_dag.py")
    outlets = {task.task_id: task.outlets for task in bag.dags["all_emulations_dag"].tasks if task.outlets}
    assert outlets == {"emulate.wait": [EMULATIONS, EMULATIONS_BY_DOMAIN]}


def test_one_task_collects_and_one_is_mapped_over_what_it_found(dag: DAG) -> None:
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "get_receipts": set(),
        "ingest": {"get_receipts"},
    }
    assert dag.get_task("ingest").is_mapped
    assert dag.get_task("get_receipts").inlets == [EMULATIONS_BY_DOMAIN]


def test_passing_failures_are_tried_again(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries >= 2
        assert task.retry_delay <= timedelta(minutes=1)


def test_the_docs_name_what_a_user_needs(dag: DAG) -> None:
    for name in ("data_emulator_s3", "data_emulator_kafka", "bronze_bucket", "part-00000.parquet", "paused"):
        assert name in (dag.doc_md or "")


def test_parsing_imports_none_of_the_libraries_that_move_data(tmp_path: Path) -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(("confluent_kafka", "obstore", "pyarrow")))  # importing one of them fails now
import bronze_ingest_dag
assert not any(name.startswith("include.bronze") for name in sys.modules)
"""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'dags'}",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
