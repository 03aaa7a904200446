"""Where the S3 store and the Kafka broker are: two Airflow connections, read by running tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Connection

from include.exceptions import DataEmulatorConfigError
from include.variables import read_connection

S3_CONN_ID = "data_emulator_s3"
KAFKA_CONN_ID = "data_emulator_kafka"

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class S3Connection:
    """An S3 store.

    :param conn_id: named in errors
    :param endpoint_url: the store's URL, None for Amazon's
    :param region_name: its region
    :param access_key_id: with the secret, the key pair; None, and the secret too, for those that obstore finds itself
    :param secret_access_key: see above; neither is ever shown
    """

    conn_id: str
    endpoint_url: str | None
    region_name: str
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)


def s3_connection(conn_id: str = S3_CONN_ID) -> S3Connection:
    """Read the connection of the S3 store: login and password are the key pair, the rest is in the extra.

    :raises DataEmulatorConfigError: naming the connection and each field that is missing or cannot be used
    """
    connection = _connection(conn_id, "of type aws, with the S3 store's key pair and endpoint_url")
    extra = _extra(connection)
    problems = [
        f"extra field {name} must be a string, not {type(extra[name]).__name__}"
        for name in ("endpoint_url", "region_name")
        if not isinstance(extra.get(name), str | None)
    ]
    endpoint_url = extra.get("endpoint_url") or None
    if isinstance(endpoint_url, str) and not endpoint_url.startswith(("http://", "https://")):
        problems.append("extra field endpoint_url must begin with http:// or https://")
    key, secret = connection.login or None, connection.password or None
    if secret is None and (key is not None or endpoint_url is not None):
        problems.append("the password, the secret access key, is missing")
    if key is None and (secret is not None or endpoint_url is not None):
        problems.append("the login, the access key id, is missing")
    if problems:
        raise DataEmulatorConfigError(f"Connection {conn_id!r}: " + "; ".join(problems))
    return S3Connection(conn_id, endpoint_url, extra.get("region_name") or _DEFAULT_REGION, key, secret)


def kafka_config(conn_id: str = KAFKA_CONN_ID) -> dict[str, Any]:
    """Read the connection of the Kafka broker: its extra, which holds librdkafka's properties.

    :raises DataEmulatorConfigError: naming the connection and each property that is missing or cannot be one
    """
    extra = _extra(_connection(conn_id, "of type kafka, with librdkafka's properties as its extra"))
    problems = [
        f"extra field {name} must be a string, a number or a boolean, not {type(value).__name__}"
        for name, value in extra.items()
        if not isinstance(value, str | int | float)
    ]
    if not extra.get("bootstrap.servers"):
        problems.append("extra field bootstrap.servers is missing")
    if problems:
        raise DataEmulatorConfigError(f"Connection {conn_id!r}: " + "; ".join(problems))
    return dict(extra)


def _connection(conn_id: str, what: str) -> Connection:
    connection = read_connection(conn_id)
    if connection is None:
        raise DataEmulatorConfigError(f"There is no connection {conn_id!r}: create it, {what}")
    return connection


def _extra(connection: Connection) -> Mapping[str, Any]:
    """The extra, parsed, which also masks its secrets in the log."""
    extra = connection.extra_dejson
    if not isinstance(extra, Mapping):
        raise DataEmulatorConfigError(
            f"Connection {connection.conn_id!r}: the extra must be a JSON object, not {type(extra).__name__}"
        )
    return extra
