"""What the tests of disturbances share: runs of the DAGs in tests/integration/dags, and what can be done to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil

from data_emulator.stack.airflow_api import AirflowApi
from tests.support.door import Door

PATIENCE_S = 180
CONNECTION = "data_emulator_default"


def wait_until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.3)


def pause(airflow: AirflowApi, dag_id: str, paused: bool) -> None:
    """Pause a DAG, or unpause it."""
    airflow.request("PATCH", f"/dags/{dag_id}", {"is_paused": paused}, update_mask="is_paused")


class Run:
    """A run of a DAG, and what can be done to it."""

    def __init__(self, airflow: AirflowApi, door: Door, dag_id: str, **params: Any) -> None:
        self.airflow, self.door, self.dag_id = airflow, door, dag_id
        body = {"logical_date": None, "conf": params}
        self.run_id = str(airflow.request("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])
        self.path = f"/dags/{dag_id}/dagRuns/{self.run_id}"

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.airflow.request("GET", f"{self.path}/taskInstances/{task_id}")
        return found

    def state(self) -> str:
        return self.airflow.run_state(self.dag_id, self.run_id)

    def until(self, task_id: str, *states: str) -> None:
        wait_until(lambda: self.task(task_id)["state"] in states)

    def is_waited_for(self, task_id: str) -> None:
        """Return when the task is deferred and the triggerer has taken its trigger up."""
        self.until(task_id, "deferred")
        wait_until(lambda: self.ids[-1] in self.door.followed)

    def is_polled_for(self, task_id: str) -> None:
        """Return when the task runs, and has asked for the status of its emulation."""
        self.until(task_id, "running")
        wait_until(lambda: self.ids and self.ids[-1] in self.door.polled)

    def ends(self, state: str) -> None:
        wait_until(lambda: self.state() in ("success", "failed"))
        assert self.state() == state, self.log_of_failed()

    def log_of_failed(self) -> str:
        failed = [task for task in self.airflow.task_instances(self.dag_id, self.run_id) if task.state != "success"]
        return "\n".join(line for task in failed for line in self.airflow.task_log(self.dag_id, self.run_id, task))

    def traceback_of(self, task_id: str) -> list[dict[str, Any]]:
        """The frames of the traceback with which the last try of a task ended, as the UI shows them."""
        path = f"{self.path}/taskInstances/{task_id}/logs/{self.task(task_id)['try_number']}"
        content = self.airflow.request("GET", path, full_content="true")["content"]
        errors = [error for entry in content if isinstance(entry, dict) for error in entry.get("error_detail") or []]
        return [frame for error in errors for frame in error["frames"]]

    def returned(self, task_id: str) -> Any:
        return self.airflow.return_value(self.dag_id, self.run_id, task_id, -1)

    def send_signal(self, task_id: str, number: signal.Signals, *, to_supervisor: bool = False) -> None:
        """Send a signal to the process of a running task, or to the one that supervises it."""
        wait_until(lambda: self.task(task_id)["pid"])
        task = psutil.Process(self.task(task_id)["pid"])
        os.kill(task.ppid() if to_supervisor else task.pid, number)

    def mark(self, task_id: str, state: str) -> None:
        self.airflow.request("PATCH", f"{self.path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, *task_ids: str) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.airflow.request("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    @property
    def ids(self) -> list[str]:
        return self.door.ids_of(self.run_id)


def emulation_state(door: Door, emulation_id: str) -> str:
    # From the list: to ask for its status would be to take an interest in it (abandon_after).
    listed = door.client.get("/emulator/", params={"limit": 1000}).json()["emulations"]
    return next(str(each["status"]["global_status"]) for each in listed if each["id"] == emulation_id)


def is_over(door: Door, emulation_id: str) -> bool:
    return emulation_state(door, emulation_id) in ("completed", "failed", "cancelled")


def ends_as(door: Door, emulation_id: str, state: str) -> None:
    wait_until(lambda: is_over(door, emulation_id))
    assert emulation_state(door, emulation_id) == state


StartRun = Callable[..., Run]
