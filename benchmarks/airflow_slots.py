"""Emulations that run at the same time, with few worker slots: how long a run takes, and how long slots are held.

The project's `all_emulations_dag` and a DAG of the same shape made of the article's operators run one after the other
on the same Airflow, with the same Variable. A slot is held while a task instance is `running`; which are, is read from
Airflow's database twenty times a second, and the counts, times the time between two looks, are summed up. (Task
instances cannot tell it themselves: one that has been deferred keeps its first start.)
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from benchmarks.airflow_servers import ALL_EMULATIONS_DAG, BENCHMARK_DAGS, Servers, cpu_s, read_only, running_servers
from benchmarks.service_url import URL_VARIABLE
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.processes import StackError

ARTICLE, OURS = "article_emulations_dag", "all_emulations_dag"
_LOOK_EVERY_S = 0.05
_RUN_WITHIN_S = 1800.0
_POOL, _POOL_SLOTS = "data_emulator", 1000
_VARIABLE = "emulation_domains"
_RATE = "20"


@dataclass
class Run:
    """One run of a DAG.

    :param makespan_s: from the run's start to its end, as Airflow's database has them
    :param slot_s: sum over all task instances of the time in which they were running
    :param queued_s: the same for the time in which a slot was theirs or waited for, and they did not run yet
    :param legs: how many times a task was started on a worker: a deferred one twice
    :param cpu_s: what each of Airflow's components used, in CPU seconds; the tasks are the scheduler's children
    :param lost: task instances that did not end in success
    """

    makespan_s: float = 0.0
    slot_s: float = 0.0
    queued_s: float = 0.0
    legs: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    lost: int = 0


def measure(emulations: int, *, duration_s: int, slots: int, rounds: int, heartbeat_s: int) -> dict[str, list[Run]]:
    """Run both DAGs so often, in turns.

    :param emulations: of a run
    :param duration_s: of each emulation
    :param slots: the LocalExecutor's worker slots
    :param heartbeat_s: Airflow's `[workers] min_heartbeat_interval`
    :return: the runs by DAG
    """
    runs: dict[str, list[Run]] = {ARTICLE: [], OURS: []}
    environment = {
        "AIRFLOW__CORE__PARALLELISM": str(slots),
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": str(heartbeat_s),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",  # Airflow's default; the stack's is for a demo
        URL_VARIABLE: "{service_url}",
    }
    with running_servers(
        [ALL_EMULATIONS_DAG, BENCHMARK_DAGS / "article_emulations_dag.py"],
        airflow_environment=environment,
        service_environment={"DATA_EMULATOR_DEFAULT_RATE": _RATE},
    ) as servers:
        servers.airflow.start(lambda _: None)
        with AirflowApi(servers.airflow.url) as api:
            _connect(api, servers.service.port)
            for dag_id in runs:
                _until_read(api, dag_id)
            # What happens once only, such as compiling modules, is over before it is measured.
            api.set_variable(_VARIABLE, _domains(2, 1))
            for dag_id in runs:
                _run(api, servers, dag_id)
            api.set_variable(_VARIABLE, _domains(emulations, duration_s))
            for number in range(rounds):
                for dag_id in sorted(runs, reverse=bool(number % 2)):
                    run = _run(api, servers, dag_id)
                    runs[dag_id].append(run)
                    print(dag_id, run, file=sys.stderr, flush=True)
    return runs


def _domains(count: int, duration_s: int) -> str:
    fields: dict[str, Any] = {
        "emulator_sync": "minio",
        "emulation_domain": "user-profile",
        "format_type": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "timeout": duration_s,
    }
    return json.dumps([fields] * count)


def _connect(api: AirflowApi, service_port: int) -> None:
    api.ensure_pool(_POOL, slots=_POOL_SLOTS, description="Limits nothing here: the worker slots shall do that")
    api.create_connection(
        {
            "connection_id": "data_emulator_default",
            "conn_type": "data_emulator",
            "schema": "http",
            "host": LOOPBACK,
            "port": service_port,
        }
    )


def _until_read(api: AirflowApi, dag_id: str) -> None:
    while not api.has_dag(dag_id):
        if errors := api.import_errors():
            raise StackError("\n".join(errors))
        time.sleep(0.5)


def _run(api: AirflowApi, servers: Servers, dag_id: str) -> Run:
    """Run a DAG to its end, watching it."""
    run = Run()
    before = _components_cpu_s(servers)
    run_id = api.trigger(dag_id)
    with closing(read_only(servers.airflow_database)) as connection:
        _watch(connection, dag_id, run_id, run)
    run.cpu_s = {name: value - before[name] for name, value in _components_cpu_s(servers).items()}
    with closing(read_only(servers.airflow_database)) as connection:
        (run.makespan_s,) = connection.execute(
            "select (julianday(end_date) - julianday(start_date)) * 86400 from dag_run where dag_id = ? and run_id = ?",
            (dag_id, run_id),
        ).fetchone()
        (run.lost,) = connection.execute(
            "select count(*) from task_instance where dag_id = ? and run_id = ? and state is not 'success'",
            (dag_id, run_id),
        ).fetchone()
    return run


def _components_cpu_s(servers: Servers) -> dict[str, float]:
    return {name: cpu_s(component.pid) for name, component in servers.airflow.components.items()}


def _watch(connection: sqlite3.Connection, dag_id: str, run_id: str, run: Run) -> None:
    """Look again and again which task instances of a run are running, add up what is seen, and return at its end."""
    running: set[str] = set()
    began = looked_at = time.monotonic()
    state = "queued"
    while state not in ("success", "failed") and time.monotonic() < began + _RUN_WITHIN_S:
        time.sleep(_LOOK_EVERY_S)
        (state,) = connection.execute(
            "select state from dag_run where dag_id = ? and run_id = ?", (dag_id, run_id)
        ).fetchone()
        states = connection.execute(
            "select id, state from task_instance where dag_id = ? and run_id = ? and state in ('queued', 'running')",
            (dag_id, run_id),
        ).fetchall()
        now, elapsed_s = time.monotonic(), time.monotonic() - looked_at
        looked_at = now
        now_running = {key for key, state_ in states if state_ == "running"}
        run.slot_s += elapsed_s * len(now_running)
        run.queued_s += elapsed_s * (len(states) - len(now_running))
        run.legs += len(now_running - running)
        running = now_running
