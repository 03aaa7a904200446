"""Run ``all_emulations_dag`` with several domain lists, on a database of its own, and write down what came of each.

A program, not a test: Airflow takes its configuration from the environment when it is imported, so each database needs
a process. ``python run_scenarios.py SCENARIOS.json RESULTS.json``, where the first maps a name to the Variable's value.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any


def main() -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    from include.domain_list import parse
    from include.operators import pool_check
    from include.triggers import emulation

    initdb()
    # dag.test() runs triggers in the task's own process, where the defer race cannot happen.
    emulation.FIRST_EVENT_AFTER_S = 0.0
    parse.POLL_INTERVAL_S = 0.05
    # It runs one task after the other, and waits with nothing else to do until one is due again.
    pool_check._LOOK_EVERY_S = 1
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["all_emulations_dag"]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
    scenarios = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps({name: run(dag, value) for name, value in scenarios.items()}))


def run(dag: Any, domains: str | None) -> dict[str, Any]:
    """One run: its state, and of each task instance the state, label and returned value."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    if domains is None:
        os.environ.pop("AIRFLOW_VAR_EMULATION_DOMAINS", None)
    else:
        os.environ["AIRFLOW_VAR_EMULATION_DOMAINS"] = domains
    dag_run = dag.test()
    with create_session() as session:
        xcoms = XComModel.get_many(dag_ids="all_emulations_dag", run_id=dag_run.run_id, key="return_value")
        returned = {f"{x.task_id}_{x.map_index}": XComModel.deserialize_value(x) for x in session.scalars(xcoms)}
        return {
            "state": dag_run.state,
            "tasks": {
                f"{ti.task_id}_{ti.map_index}": {
                    "state": ti.state,
                    "label": ti.rendered_map_index,
                    "returned": returned.get(f"{ti.task_id}_{ti.map_index}"),
                }
                for ti in dag_run.get_task_instances(session=session)
            },
        }


if __name__ == "__main__":
    main()
