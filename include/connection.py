"""The fields of a ``data_emulator`` connection, and what is left of it for Airflow's HTTP hooks.

The HTTP hooks send every key of a connection's extra that they do not know as a header, and crash on numbers there. So
our own fields and the token are taken out first, and only the user's real headers and HTTP options reach them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Connection

from include.exceptions import DataEmulatorConfigError
from include.retry import RetryPolicy

CONN_NAME_ATTR = "data_emulator_conn_id"
DEFAULT_CONN_NAME = "data_emulator_default"
CONN_TYPE = "data_emulator"
HOOK_NAME = "Data Emulator"

#: Our fields in the connection's extra: name -> (default, least value allowed, whether the least itself is allowed).
OWN_FIELDS: dict[str, tuple[float, float, bool]] = {
    "connect_timeout": (5.0, 0.0, False),
    "read_timeout": (30.0, 0.0, False),
    "retry_attempts": (5, 1, True),
    "backoff_base": (1.0, 0.0, True),
    "backoff_cap": (30.0, 0.0, True),
}

# What Airflow's HTTP hooks take out of the extra themselves; every other key is a header.
_HTTP_OPTIONS = frozenset(
    {
        "allow_redirects",
        "cert",
        "check_response",
        "max_redirects",
        "proxies",
        "proxy",
        "srv_lookup",
        "stream",
        "timeout",
        "trust_env",
        "verify",
        "verify_ssl",
    }
)


@dataclass(frozen=True)
class ConnectionSettings:
    """What our own fields of a connection say.

    :param token: the bearer token (the connection's password), None for none; never shown
    :param connect_timeout_s: seconds to connect, a name's look-up included
    :param read_timeout_s: seconds without a byte of the answer; a long poll's wait comes on top
    :param retry: how passing failures are tried again
    """

    token: str | None = field(repr=False)
    connect_timeout_s: float
    read_timeout_s: float
    retry: RetryPolicy

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    @classmethod
    def from_connection(cls, conn_id: str, password: str | None, extra: Mapping[str, Any]) -> ConnectionSettings:
        """Read the settings.

        :param conn_id: named in errors
        :param password: the token
        :param extra: the connection's extra, parsed; a field that is absent, null or empty takes its default
        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        problems: list[str] = []
        values = {name: _number(name, extra.get(name), problems) for name in OWN_FIELDS}
        if values["retry_attempts"] != int(values["retry_attempts"]):
            problems.append(f"retry_attempts must be a whole number, got {extra['retry_attempts']!r}")
        if problems:
            raise DataEmulatorConfigError(f"Connection {conn_id!r}: " + "; ".join(problems))
        return cls(
            token=password or None,
            connect_timeout_s=values["connect_timeout"],
            read_timeout_s=values["read_timeout"],
            retry=RetryPolicy(
                attempts=int(values["retry_attempts"]),
                backoff_base_s=values["backoff_base"],
                backoff_cap_s=values["backoff_cap"],
            ),
        )


def plain_http_connection(connection: Connection, extra: Mapping[str, Any]) -> Connection:
    """A copy of the connection with only what Airflow's HTTP hooks understand: no token, none of our own fields.

    :param connection: as Airflow gave it
    :param extra: its extra, parsed (parsing differs between sync and async code, since it also masks secrets)
    :raises DataEmulatorConfigError: for an extra that cannot be a header
    """
    plain: dict[str, Any] = {}
    for name, value in extra.items():
        if name in OWN_FIELDS:
            continue
        if name in _HTTP_OPTIONS or isinstance(value, str):
            plain[name] = value
        elif isinstance(value, int | float):
            plain[name] = str(value)
        else:
            raise DataEmulatorConfigError(
                f"Connection {connection.conn_id!r}: extra field {name!r} would be sent as a header, "
                f"so it must be a string or a number, not {type(value).__name__}"
            )
    return Connection(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type,
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        extra=json.dumps(plain),
    )


def _number(name: str, value: Any, problems: list[str]) -> float:
    default, least, least_allowed = OWN_FIELDS[name]
    if value is None or value == "":
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number) and (number > least or (least_allowed and number == least)):
        return number
    problems.append(f"{name} must be a number {'of at least' if least_allowed else 'above'} {least:g}, got {value!r}")
    return default
