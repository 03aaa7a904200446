"""What the Airflow side uses that Airflow does not document is there, and has the shape that is needed.

`docs/compatibility.md` lists each such name. This runs on the newest Airflow and on the oldest
(`make test-airflow-oldest`), so a release that moves one fails here first.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseOperatorLink, Context, Variable
from airflow.sdk.api.datamodels._generated import DagRun
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.context import OutletEventAccessor, TaskStateStoreAccessor
from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.log import mask_secret
from airflow.sdk.types import TaskInstanceKey
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.triggers.base import BaseTrigger

ROOT = Path(__file__).parent.parent.parent
#: Documented as public: https://airflow.apache.org/docs/apache-airflow/stable/public-airflow-interface.html
PUBLIC = re.compile(r"airflow\.(sdk|sdk\.\w+|sdk\.exceptions\.\w+|triggers\.base\.\w+|providers\..+)")


def imported() -> Iterator[str]:
    """Every name of Airflow's that DAG files and what they are made of import."""
    for folder in ("include", "dags"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "airflow":
                    yield from (f"{node.module}.{each.name}" for each in node.names)
                elif isinstance(node, ast.Import):
                    yield from (each.name for each in node.names if each.name.partition(".")[0] == "airflow")


def listed() -> list[str]:
    """The first column of the page's table of names."""
    page = (ROOT / "docs" / "compatibility.md").read_text()
    table = page.partition("## What Airflow does not document")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w.]+)` \|", table, flags=re.MULTILINE)


def parameters(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def test_every_undocumented_import_is_listed() -> None:
    undocumented = {name for name in imported() if not PUBLIC.fullmatch(name)}
    assert undocumented == {name for name in listed() if name.startswith("airflow.") and not PUBLIC.fullmatch(name)}


@pytest.mark.parametrize("name", listed())
def test_every_name_listed_is_tested_here(name: str) -> None:
    assert name.rpartition(".")[2] in Path(__file__).read_text().partition("def test_every_name_listed")[2]


def test_secrets_backends_are_asked_in_airflows_order() -> None:
    backends = ensure_secrets_backend_loaded()
    assert backends
    for backend in (*backends, BaseSecretsBackend, ExecutionAPISecretsBackend):
        assert "key" in parameters(backend.get_variable)
        assert "conn_id" in parameters(backend.get_connection)
    assert isinstance(ExecutionAPISecretsBackend, type)
    assert parameters(Variable.keys) == {"prefix"}


def test_secrets_are_masked_by_value() -> None:
    assert [*inspect.signature(mask_secret).parameters] == ["secret", "name"]


def test_configuration_is_read_in_a_task() -> None:
    assert conf.getboolean("operators", "no such option", fallback=True) is True
    assert conf.getint("core", "max_map_length") == 1024


@pytest.mark.parametrize("timetable", [CronDataIntervalTimetable, DeltaDataIntervalTimetable])
def test_a_timetable_tells_the_interval_of_a_manual_run(timetable: Any) -> None:
    assert "run_after" in parameters(timetable.infer_manual_data_interval)


def test_a_task_instance_tells_which_try_it_is() -> None:
    fields = RuntimeTaskInstance.model_fields
    assert {"dag_id", "run_id", "task_id", "map_index", "try_number", "max_tries", "start_date"} <= fields.keys()
    assert {"dag_id", "task_ids", "run_ids"} <= parameters(RuntimeTaskInstance.get_task_states)
    assert {"dag_id", "task_ids", "states"} <= parameters(RuntimeTaskInstance.get_ti_count)


def test_a_link_is_asked_for_by_the_key_of_a_task_instance() -> None:
    assert BaseOperatorLink.get_link.__annotations__["ti_key"] == TaskInstanceKey.__name__


def test_a_run_counts_its_clears() -> None:
    assert "clear_number" in DagRun.model_fields


def test_a_task_keeps_a_record_over_its_tries() -> None:
    assert "task_state_store" in Context.__annotations__
    assert "key" in parameters(TaskStateStoreAccessor.get)
    assert {"key", "value"} <= parameters(TaskStateStoreAccessor.set)


def test_an_event_of_an_asset_has_partitions() -> None:
    assert "keys" in parameters(OutletEventAccessor.add_partitions)


def test_a_trigger_hears_that_its_task_was_ended() -> None:
    assert inspect.iscoroutinefunction(BaseTrigger.on_kill)


def test_the_http_hook_gets_its_session_from_get_conn() -> None:
    assert {"headers", "extra_options"} <= parameters(HttpHook.get_conn)
    hook = HttpHook(http_conn_id="any")
    assert {"base_url", "merged_extra"} <= vars(hook).keys()
