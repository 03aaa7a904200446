"""What a running task's context holds, without Airflow around it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.execution_time.context import OutletEventAccessors


class FakeTaskInstance(SimpleNamespace):
    """What the operators use of a running task instance; ``xcoms`` maps (task id, map index) to a value.

    It has one retry. A clear raises both numbers, as Airflow does: after the first try to 2.

    :param state: what Airflow says of it when it is asked; an exception is raised instead
    """

    def __init__(
        self, xcoms: dict[tuple[str, int], Any] | None = None, state: str | Exception | None = "running", **fields: Any
    ) -> None:
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1}
        started = {"start_date": datetime.now(UTC)}
        super().__init__(**{**identity, **started, "try_number": fields.get("max_tries", 1), **fields})
        self.state = state
        self._xcoms = xcoms or {}
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        return self._xcoms.get((task_ids, map_indexes))

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, Any]]:
        if isinstance(self.state, Exception):
            raise self.state
        name = f"{task_ids[0]}_{self.map_index}" if self.map_index >= 0 else task_ids[0]
        return {run_ids[0]: {name: self.state}}


class FakeStore(dict[str, Any]):
    """The task state store: Airflow keeps it over retries and clears."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        self.looked_up.append(key)
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def running_task(store: FakeStore | None = None, *, clear_number: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A context; ``clear_number`` is the run's, ``fields`` are the task instance's."""
    context = {
        "ti": FakeTaskInstance(**fields),
        "dag_run": SimpleNamespace(clear_number=clear_number),
        "outlet_events": OutletEventAccessors(),
    }
    return context if store is None else {**context, "task_state_store": store}


class TaskLife:
    """A task instance over its tries, with what Airflow counts and keeps over them.

    :param store: whether there is a task state store
    :param counts_clears: whether Airflow tells how often tasks of the run were cleared
    """

    def __init__(self, *, retries: int = 2, store: bool = True, counts_clears: bool = True) -> None:
        self.store = FakeStore() if store else None
        self.retries = self.max_tries = retries
        self.try_number = 1
        self.clear_number = 0 if counts_clears else None

    def context(self) -> dict[str, Any]:
        """A context of the current try."""
        return running_task(
            self.store, clear_number=self.clear_number, max_tries=self.max_tries, try_number=self.try_number
        )

    def retry(self) -> None:
        self.try_number += 1

    def clear(self, *, retries: int | None = None, while_running: bool = False) -> None:
        """Clear the task; ``retries`` are those of the DAG file by then."""
        self.clear_another()
        self.retries = self.retries if retries is None else retries
        if not while_running:  # Airflow leaves it as it is then
            self.max_tries = self.try_number + self.retries
        self.try_number += 1

    def clear_another(self) -> None:
        """Clear another task of the run."""
        if self.clear_number is not None:
            self.clear_number += 1

    def lose_store(self) -> None:
        """Forget what was kept."""
        self.store = FakeStore()


def until_killed() -> None:
    """Wait for what a task does in a thread, once its kill has interrupted it."""
    for thread in threading.enumerate():
        if thread.name == "on-kill":
            thread.join(30)
