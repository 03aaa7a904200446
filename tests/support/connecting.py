"""Connections for bronze in the environment, and what is true of every refusal of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.exceptions import DataEmulatorConfigError

SECRET = "a-very-secret-key"


def define(monkeypatch: pytest.MonkeyPatch, conn_id: str, connection: dict[str, Any]) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


def refused(read: Callable[[], Any], conn_id: str, message: str) -> None:
    with pytest.raises(DataEmulatorConfigError) as caught:
        read()
    assert f"{conn_id!r}" in str(caught.value)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)
