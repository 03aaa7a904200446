"""A connection to a service under test, and what a running task's context holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define ``data_emulator_default``; without back-off, unless told otherwise."""

    def define(url: str = "http://emulator:8000", token: str | None = None, **extra: Any) -> None:
        parts = urlsplit(url)
        connection = {
            "conn_type": "data_emulator",
            "host": parts.hostname,
            "schema": parts.scheme,
            "port": parts.port,
            "password": token,
            "extra": {"backoff_base": 0, "backoff_cap": 0, **extra},
        }
        monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", json.dumps(connection))

    return define


class FakeTaskInstance(SimpleNamespace):
    """What the operators use of a running task instance; ``xcoms`` maps (task id, map index) to a value."""

    def __init__(self, xcoms: dict[tuple[str, int], Any] | None = None, **fields: Any) -> None:
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1}
        super().__init__(**{**identity, **fields})
        self._xcoms = xcoms or {}

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        return self._xcoms.get((task_ids, map_indexes))


@pytest.fixture
def make_context() -> Callable[..., dict[str, Any]]:
    return lambda **fields: {"ti": FakeTaskInstance(**fields)}
