"""What a running task's context holds, without Airflow around it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from airflow.sdk.execution_time.context import OutletEventAccessors


class FakeTaskInstance(SimpleNamespace):
    """What the operators use of a running task instance; ``xcoms`` maps (task id, map index) to a value.

    It has one retry. A clear raises both numbers, as Airflow does: after the first try to 2.
    """

    def __init__(self, xcoms: dict[tuple[str, int], Any] | None = None, **fields: Any) -> None:
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1}
        super().__init__(**{**identity, "try_number": fields.get("max_tries", 1), **fields})
        self._xcoms = xcoms or {}
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        return self._xcoms.get((task_ids, map_indexes))

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


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


def running_task(store: FakeStore | None = None, **fields: Any) -> dict[str, Any]:
    """A context; ``fields`` are the task instance's."""
    context = {"ti": FakeTaskInstance(**fields), "outlet_events": OutletEventAccessors()}
    return context if store is None else {**context, "task_state_store": store}


def until_killed() -> None:
    """Wait for what a task does beside the code that its kill has interrupted."""
    for thread in threading.enumerate():
        if thread.name == "on-kill":
            thread.join(30)
