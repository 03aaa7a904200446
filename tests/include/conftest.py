"""A connection to a service under test, and a running task's context."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.running_task import running_task

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


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture(autouse=True)
def _deferrable_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As most who have a triggerer configure Airflow; without it an operator polls."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")


@pytest.fixture
def make_context() -> Callable[..., dict[str, Any]]:
    return running_task
