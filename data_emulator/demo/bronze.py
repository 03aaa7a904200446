"""What became of emulations in bronze: the runs of the DAG that ingests them, as Airflow tells."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_emulator.stack.airflow_api import AirflowApi, TaskInstance

DAG_ID = "bronze_ingest_dag"
INGEST_TASK = "ingest"
_ENDED = ("success", "failed")
_POLL_INTERVAL_S = 1.0


@dataclass(frozen=True)
class BronzeRun:
    """A run: its domain, its state, the emulations whose events started it, and the rows of those it has ingested."""

    run_id: str
    domain: str | None
    state: str
    emulation_ids: tuple[str, ...]
    rows: dict[str, int]

    @property
    def has_ended(self) -> bool:
        """Tell whether it will not change any more."""
        return self.state in _ENDED


def bronze_runs(airflow: AirflowApi, emulation_ids: Sequence[str]) -> list[BronzeRun]:
    """Return the runs that these emulations started, the oldest first, once they have begun to run.

    Raises the errors of AirflowApi.
    """
    found = []
    for run in airflow.runs(DAG_ID):
        if run["state"] == "queued":
            continue  # Airflow 3.3.2 answers with an internal error when it is asked for the events of such a run
        ids = tuple(str(extra.get("id")) for extra in airflow.run_events(DAG_ID, run["dag_run_id"]))
        if set(ids).isdisjoint(emulation_ids):
            continue
        rows = {}
        if run["state"] in _ENDED:
            for task in ingest_tasks(airflow, run["dag_run_id"]):
                if task.state == "success":
                    ingested = airflow.return_value(DAG_ID, run["dag_run_id"], INGEST_TASK, task.map_index)
                    rows[str(ingested["emulation_id"])] = int(ingested["rows"])
        found.append(BronzeRun(run["dag_run_id"], run["partition_key"], run["state"], ids, rows))
    return found


def ingest_tasks(airflow: AirflowApi, run_id: str) -> list[TaskInstance]:
    """Return the tasks of a run that ingest one emulation each."""
    return [task for task in airflow.task_instances(DAG_ID, run_id) if task.task_id == INGEST_TASK]


def wait_for_bronze(
    airflow: AirflowApi,
    emulation_ids: Sequence[str],
    *,
    timeout_s: float,
    say: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> list[BronzeRun]:
    """Return the runs once each emulation is in one that has ended, or what there is of them when the time is up.

    `say` is given a line about each that ends. `check` is called again and again, and may raise what ends the wait.
    """
    deadline = time.monotonic() + timeout_s
    said: set[str] = set()
    while True:
        check()
        runs = bronze_runs(airflow, emulation_ids)
        for run in runs:
            if run.has_ended and run.run_id not in said:
                said.add(run.run_id)
                rows = f"{sum(run.rows.values()):,} rows"
                say(f"{run.domain}: {rows} in bronze" if run.state == "success" else f"{run.domain}: {DAG_ID} failed")
        ended = {emulation_id for run in runs if run.has_ended for emulation_id in run.emulation_ids}
        if ended.issuperset(emulation_ids) or time.monotonic() >= deadline:
            return runs
        time.sleep(_POLL_INTERVAL_S)
