"""Unset and unreadable are told apart, through Airflow's own secrets backends and a stand-in for its supervisor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.sdk import configuration
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms, task_runner

from include.exceptions import AirflowUnavailableError
from include.variables import read_connection, read_variable

DENIED = comms.ErrorResponse(error=ErrorType.PERMISSION_DENIED, detail={"status_code": 403})
VARIABLE_NOT_FOUND = comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={})
CONNECTION_NOT_FOUND = comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={})
API_SERVER_ERROR = comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": None})
SECRET = "a-very-secret-token"


@dataclass
class Supervisor:
    """What answers a task's requests, as for an API server whose database has these Variables and connections.

    ``says`` is the answer to each look-up instead, until the Variables have been listed if it ``recovers`` by then.
    """

    variables: dict[str, str] = field(default_factory=dict)
    connections: dict[str, comms.ConnectionResult] = field(default_factory=dict)
    says: comms.ErrorResponse | None = None
    lists: bool = True
    recovers: bool = False
    asked: list[str] = field(default_factory=list)

    def send(self, message: Any) -> Any:
        self.asked.append(type(message).__name__)
        match message:
            case comms.GetVariableKeys():
                if not self.lists:
                    raise AirflowRuntimeError(API_SERVER_ERROR)
                if self.recovers:
                    self.says = None
                keys = [key for key in self.variables if key.startswith(message.prefix or "")]
                return comms.VariableKeysResult(keys=keys, total_entries=len(keys))
            case comms.GetVariable() | comms.GetConnection() if self.says is API_SERVER_ERROR:
                raise AirflowRuntimeError(API_SERVER_ERROR)  # as Airflow's own does
            case comms.GetVariable() | comms.GetConnection() if self.says:
                return self.says
            case comms.GetVariable():
                value = self.variables.get(message.key)
                return VARIABLE_NOT_FOUND if value is None else comms.VariableResult(key=message.key, value=value)
            case comms.GetConnection():
                return self.connections.get(message.conn_id, CONNECTION_NOT_FOUND)
        return None


def connection(conn_id: str) -> comms.ConnectionResult:
    fields = dict.fromkeys(("host", "schema", "login", "port", "extra"))
    return comms.ConnectionResult.model_validate({**fields, "conn_id": conn_id, "conn_type": "aws", "password": SECRET})


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


class Vault(BaseSecretsBackend):
    """A secrets backend that is away."""

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        raise RuntimeError(f"cannot log in with {SECRET}")

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        raise RuntimeError(f"cannot log in with {SECRET}")


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.Vault")
    monkeypatch.setattr(configuration, "_secrets_backend_cache", {}, raising=False)


def unavailable(read: Callable[[], Any], says: str) -> None:
    with pytest.raises(AirflowUnavailableError, match=says) as caught:
        read()
    assert not isinstance(caught.value, AirflowFailException)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or SECRET not in str(caught.value.__context__)


@pytest.mark.parametrize("value", ["[]", ""])
def test_a_variable_of_the_database_is_read(supervisor: Supervisor, value: str) -> None:
    supervisor.variables["domains"] = value
    assert read_variable("domains") == value


def test_a_variable_of_the_environment_is_read_without_asking_airflow(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_DOMAINS", "")
    assert read_variable("domains") == ""
    assert not {"GetVariable", "GetVariableKeys"} & set(supervisor.asked)


def test_a_variable_that_is_not_set_is_none(supervisor: Supervisor) -> None:
    supervisor.variables["domains_of_others"] = "[]"
    assert read_variable("domains") is None


def test_a_variable_that_is_not_set_is_none_outside_of_a_task() -> None:
    assert read_variable("domains") is None


def test_a_variable_is_unreadable_while_the_api_server_is_away(supervisor: Supervisor) -> None:
    supervisor.variables["domains"] = "[]"
    supervisor.says, supervisor.lists = API_SERVER_ERROR, False
    unavailable(lambda: read_variable("domains"), "Variable 'domains' cannot be read: Airflow's API server")


@pytest.mark.parametrize("error", [API_SERVER_ERROR, VARIABLE_NOT_FOUND])
def test_a_variable_is_unreadable_when_airflow_answers_again_too_late(
    supervisor: Supervisor, error: comms.ErrorResponse
) -> None:
    """The API server's own look-up says "not found" when the database fails it."""
    supervisor.variables["domains"] = "[]"
    supervisor.says = error
    unavailable(lambda: read_variable("domains"), "Variable 'domains' is set")


def test_a_variable_that_the_task_may_not_read_is_not_taken_for_unset(supervisor: Supervisor) -> None:
    supervisor.says = DENIED
    unavailable(lambda: read_variable("domains"), "ExecutionAPISecretsBackend raised AirflowSecretsBackendAccessDenied")


@pytest.mark.parametrize("stored", [{}, {"domains": "[]"}])
def test_a_variable_is_unreadable_when_a_secrets_backend_raises(
    supervisor: Supervisor, vault: None, stored: dict[str, str]
) -> None:
    supervisor.variables = stored
    unavailable(lambda: read_variable("domains"), "secrets backend Vault raised RuntimeError")


def test_a_connection_of_the_database_is_read(supervisor: Supervisor) -> None:
    supervisor.connections["store"] = connection("store")
    found = read_connection("store")
    assert found is not None
    assert found.password == SECRET
    assert "MaskSecret" in supervisor.asked


def test_a_connection_that_is_not_defined_is_none(supervisor: Supervisor) -> None:
    assert read_connection("store") is None


def test_a_connection_is_unreadable_while_the_api_server_is_away(supervisor: Supervisor) -> None:
    supervisor.says, supervisor.lists = API_SERVER_ERROR, False
    unavailable(lambda: read_connection("store"), "Connection 'store' cannot be read: Airflow's API server")


def test_a_connection_is_read_when_airflow_answers_again(supervisor: Supervisor) -> None:
    supervisor.connections["store"] = connection("store")
    supervisor.says, supervisor.recovers = CONNECTION_NOT_FOUND, True
    assert read_connection("store") is not None


def test_a_connection_is_unreadable_when_a_secrets_backend_raises(supervisor: Supervisor, vault: None) -> None:
    unavailable(lambda: read_connection("store"), "secrets backend Vault raised RuntimeError")


def test_a_malformed_connection_does_not_show_its_secret(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "aws", "passwort": SECRET}))
    unavailable(lambda: read_connection("store"), "EnvironmentVariablesBackend raised TypeError")
