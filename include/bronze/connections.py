"""Reading the Airflow connections that bronze uses, and that of the Kafka broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from ..exceptions import DataEmulatorConfigError
from ..variables import read_connection

if TYPE_CHECKING:
    from airflow.sdk import Connection

KAFKA_CONN_ID = "data_emulator_kafka"


def kafka_config(conn_id: str = KAFKA_CONN_ID) -> dict[str, Any]:
    """Read the connection of the Kafka broker, whose extra contains librdkafka properties.

    :raises DataEmulatorConfigError: naming the connection and each property that is missing or cannot be one
    :raises AirflowUnavailableError: when the connection cannot be read just now
    """
    connection = required_connection(conn_id, "with type kafka, and with librdkafka properties in the extra")
    extra = extra_of(connection)
    problems = unread_fields(connection, "host", "port", "schema", "login", "password") + [
        f"extra field {name} must be a string, a number or a boolean, not {type(value).__name__}"
        for name, value in extra.items()
        if not isinstance(value, str | int | float)
    ]
    if not extra.get("bootstrap.servers"):
        problems.append("extra field bootstrap.servers is missing")
    refuse(conn_id, problems)
    return extra


def required_connection(conn_id: str, what: str) -> Connection:
    """Read a connection.

    :param what: what it has to be, for the error
    :raises DataEmulatorConfigError: when it does not exist
    :raises AirflowUnavailableError: when it cannot be read just now
    """
    connection = read_connection(conn_id)
    if connection is None:
        raise DataEmulatorConfigError(f"There is no connection {conn_id!r}: create it {what}")
    return connection


def extra_of(connection: Connection) -> dict[str, Any]:
    """Return the parsed extra, and have Airflow mask its secrets in logs.

    :raises DataEmulatorConfigError: when it is not a JSON object
    """
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise DataEmulatorConfigError(f"Connection {connection.conn_id!r}: the extra must be a JSON object")
    mask_secret(extra)
    return extra


def unread_fields(connection: Connection, *names: str) -> list[str]:
    """Return a problem for each of these fields that is set, as they are not used."""
    return [f"{name} is not used: leave it empty" for name in names if getattr(connection, name)]


def refuse(conn_id: str, problems: list[str]) -> None:
    """Raise DataEmulatorConfigError if there are problems with a connection."""
    if problems:
        raise DataEmulatorConfigError(f"Connection {conn_id!r}: " + "; ".join(problems))
