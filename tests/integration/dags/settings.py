"""A DAG whose task reads what an Airflow user sets, at the moment that a test says."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import dag, get_current_context, task

from include.exceptions import AirflowUnavailableError
from include.variables import read_connection, read_variable


@dag(
    dag_id="reads_settings",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=False,
)
def reads_settings() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def read() -> list[Any]:
        """Read once the file ``go`` is there; note in ``said`` what came of the first try."""
        folder = Path(get_current_context()["dag_run"].conf["folder"])
        (folder / "asks").touch()
        while not (folder / "go").exists():
            time.sleep(0.1)
        try:
            value = read_variable("asked_for")
        except AirflowUnavailableError as error:
            (folder / "said").write_text(str(error))
            raise
        (folder / "said").write_text(json.dumps(value))
        return [value, read_variable("no_such"), read_connection("no_such")]

    read()


reads_settings()
