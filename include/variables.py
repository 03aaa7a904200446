"""Read Airflow Variables and connections, distinguishing unset from temporarily unreadable.

``Variable.get`` and ``Connection.get`` do not: they skip a secrets backend that raises and an API server that does not
answer, as if the name were not set there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
from airflow.sdk.log import mask_secret

from .exceptions import AirflowUnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

_T = TypeVar("_T")


def read_variable(name: str) -> str | None:
    """Return the value of an Airflow Variable, possibly empty; None only if it is not set.

    :raises AirflowUnavailableError: when Airflow or a secrets backend cannot tell
    """
    what = f"Variable {name!r}"
    value = _first_found(what, lambda backend: backend.get_variable(key=name))
    if value is None and name in _stored_variables(what, prefix=name):
        # The API server says "not found", too, when its own database did not answer.
        raise AirflowUnavailableError(f"{what} is set, but Airflow did not return its value; a retry may help")
    if value is not None:
        mask_secret(value, name)
    return value


def read_connection(conn_id: str) -> Connection | None:
    """Return an Airflow connection; None only if it is not defined.

    :raises AirflowUnavailableError: when Airflow or a secrets backend cannot tell
    """
    what = f"Connection {conn_id!r}"
    connection = _first_found(what, lambda backend: backend.get_connection(conn_id=conn_id))
    if connection is None:
        # "Not found" counts only from an Airflow that answers. Connections cannot be listed, so ask for something else.
        _stored_variables(what, prefix=conn_id)
        connection = _first_found(what, lambda backend: backend.get_connection(conn_id=conn_id))
    for secret in (connection.password, connection.extra) if connection is not None else ():
        if secret:
            mask_secret(secret)
    return connection


def _first_found(what: str, ask: Callable[[BaseSecretsBackend], _T | None]) -> _T | None:
    """Ask the secrets backends in Airflow's order; stop at one that raises, as the next may have another value."""
    for backend in ensure_secrets_backend_loaded():
        try:
            found = ask(backend)
        except Exception as error:  # a backend may raise anything
            # Without its text and traceback: they may quote the secret.
            raise AirflowUnavailableError(
                f"{what} cannot be read: secrets backend {type(backend).__name__} raised {type(error).__name__}"
            ) from None
        if found is not None:
            return found
    return None


def _stored_variables(what: str, prefix: str) -> list[str]:
    """Return the names of the Variables in Airflow's database; none outside of tasks, without an API server to ask."""
    if not any(isinstance(backend, ExecutionAPISecretsBackend) for backend in ensure_secrets_backend_loaded()):
        return []
    try:
        return list(Variable.keys(prefix=prefix))
    except AirflowRuntimeError as error:
        raise AirflowUnavailableError(
            f"{what} cannot be read: Airflow's API server does not answer: {error}"
        ) from error
