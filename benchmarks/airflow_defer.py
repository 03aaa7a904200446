"""Task instances that wait deferred, written into Airflow's database the way its API server does when a task defers.

To start a thousand tasks on workers, only so that they defer, takes a quarter of an hour of two cores. So the rows are
written here: a run of `waits_dag`, one mapped task instance for each emulation in the state `deferred`, each with the
trigger, and the method and time-out, that `StatusEmulationOperator` defers with. From there on all is Airflow's.

Run by `benchmarks.airflow_waits` in the environment of Airflow's programs, as
``python -m benchmarks.airflow_defer RUN_ID IDS SERVICE_PORT``; IDS is a file with the ids, as a JSON array. With ``-``
as the port the triggers are ones that do nothing but sleep. The rows of an earlier call are removed.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from airflow._shared.timezones import timezone
from airflow.models.connection import Connection
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import DBDagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk.serde import serialize
from airflow.triggers.base import BaseTrigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete
from sqlalchemy.orm import Session

from benchmarks.sleeping_trigger import SleepingTrigger
from data_emulator.stack.ports import LOOPBACK
from include.connection import CONN_TYPE
from include.defaults import DEFAULT_CONN_NAME
from include.triggers.emulation import EmulationTrigger

DAG_ID = "waits_dag"
_WAIT_S = 3600.0


def main() -> None:
    """Write the rows."""
    run_id, path, port = sys.argv[1:]
    ids = json.loads(Path(path).read_text())
    with create_session() as session:
        for left in (TaskInstance, Trigger):
            session.execute(delete(left))
        if port != "-":
            session.execute(delete(Connection).where(Connection.conn_id == DEFAULT_CONN_NAME))
            connection = Connection(
                conn_id=DEFAULT_CONN_NAME, conn_type=CONN_TYPE, schema="http", host=LOOPBACK, port=int(port)
            )
            session.add(connection)
        _defer(session, ids, run_id, sleeping=port == "-")


def _defer(session: Session, ids: list[str], run_id: str, *, sleeping: bool) -> None:
    dag = DBDagBag().get_latest_version_of_dag(DAG_ID, session=session)
    version = DagVersion.get_latest_version(DAG_ID, session=session)
    if dag is None or version is None:
        raise RuntimeError(f"{DAG_ID} is not in Airflow's database")
    now = timezone.utcnow()
    dag.create_dagrun(
        run_id=run_id,
        run_after=now,
        start_date=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.CLI,
        state=DagRunState.RUNNING,
        session=session,
    )
    # The one that stands for those to come, until the task that it is mapped over has run.
    session.execute(
        delete(TaskInstance).where(
            TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id, TaskInstance.task_id == "wait"
        )
    )
    task = dag.get_task("wait")
    for map_index, emulation_id in enumerate(ids):
        row = _row(SleepingTrigger(_WAIT_S) if sleeping else _emulation_trigger(emulation_id))
        session.add(row)
        session.flush()
        instance = TaskInstance(
            task=task,
            dag_version_id=version.id,
            run_id=run_id,
            state=TaskInstanceState.DEFERRED,
            map_index=map_index,
        )
        instance.try_number = 1
        instance.start_date = now
        instance.trigger_id = row.id
        instance.trigger_timeout = now + timedelta(seconds=_WAIT_S)
        instance.next_method = "execute_complete"
        instance.next_kwargs = serialize({})
        session.add(instance)


def _emulation_trigger(emulation_id: str) -> EmulationTrigger:
    return EmulationTrigger(
        emulation_id=emulation_id, poll_interval=10.0, deadline=time.time() + _WAIT_S, cancel_on_kill=True
    )


def _row(trigger: BaseTrigger) -> Trigger:
    classpath, kwargs = trigger.serialize()
    row = Trigger(classpath=classpath, kwargs={})
    row.encrypted_kwargs = json.dumps(serialize(kwargs))
    return row


if __name__ == "__main__":
    main()
