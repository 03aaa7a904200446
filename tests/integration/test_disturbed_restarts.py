"""Airflow's processes are started again when they die, on a real Airflow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from data_emulator.demo.demo import DAG_ID
from data_emulator.stack.airflow import Component
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.incidents import recorded_incidents
from data_emulator.stack.stack import Stack
from tests.integration.test_e2e import TRANSACTIONS, outcome, trigger, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.disturbance, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        wait_until(lambda: api.has_dag(DAG_ID))
        yield api


def test_all_of_them_are_killed_at_once_and_come_back(whole_stack: Stack, airflow: AirflowApi) -> None:
    assert whole_stack.airflow is not None
    components = whole_stack.airflow.components
    killed = {name: component.pid for name, component in components.items()}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(_runs_anew(component, killed[name]) for name, component in components.items()))

    assert outcome(airflow, trigger(airflow, [TRANSACTIONS])) == "success"
    died = {incident.server for incident in recorded_incidents(whole_stack.run_dir) if "SIGKILL" in incident.text}
    assert {f"airflow {name}" for name in components} <= died


def _runs_anew(component: Component, killed: int) -> bool:
    try:
        return component.pid != killed
    except RuntimeError:  # while it is being started
        return False
