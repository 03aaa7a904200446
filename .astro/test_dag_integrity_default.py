"""Every DAG file parses: what ``astro dev parse`` runs, and this project's own tests too.

Variables and Connections that a DAG file asks for while it is parsed are stood in for, as the image under test has none
of them; so neither a database nor a secrets backend is touched.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent
DAGS = PROJECT / "dags"
EXCEPTIONS_FILE = PROJECT / ".astro" / "dag_integrity_exceptions.txt"


def exempted() -> set[Path]:
    """The files that ``dag_integrity_exceptions.txt`` names."""
    lines = EXCEPTIONS_FILE.read_text().splitlines() if EXCEPTIONS_FILE.exists() else []
    return {PROJECT / line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")}


def dag_files() -> list[Path]:
    """The files to check."""
    return sorted(set(DAGS.rglob("*.py")) - exempted())


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Answer for Airflow's Variables and Connections, and keep Airflow out of the home folder."""
    if "AIRFLOW_HOME" not in os.environ:
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from airflow.sdk import BaseHook, Connection, Variable

    def variable(key: str, default: Any = None, deserialize_json: bool = False) -> Any:
        if default is not None:
            return default
        return {} if deserialize_json else f"MOCKED_{key.upper()}_VALUE"

    monkeypatch.setattr(Variable, "get", staticmethod(variable))
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda cls, conn_id: Connection(conn_id=conn_id)))


@pytest.mark.parametrize("dag_file", dag_files(), ids=lambda path: str(path.relative_to(PROJECT)))
@pytest.mark.usefixtures("stand_ins")
def test_file_imports(dag_file: Path) -> None:
    """The file gives at least one DAG, and no error."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=dag_file)
    if bag.import_errors:
        pytest.fail("\n".join(bag.import_errors.values()))
    if not bag.dags:
        pytest.fail(f"{dag_file} defines no DAG")
