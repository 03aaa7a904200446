"""The fields of a ``data_emulator`` connection, and what is left of it for Airflow's HTTP hooks.

The HTTP hooks send every key of a connection's extra that they do not know as a header, and crash on numbers there. So
our own fields and the token are taken out first, and only the user's real headers and HTTP options reach them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from airflow.utils.strings import to_boolean

from include.exceptions import DataEmulatorConfigError
from include.retry import PASSING_STATUS_CODES, RetryPolicy
from include.url_template import fill, problem_with_url

CONN_NAME_ATTR = "data_emulator_conn_id"
CONN_TYPE = "data_emulator"
HOOK_NAME = "Data Emulator"

#: Our fields in the connection's extra, with what holds when they are absent, null or empty.
OWN_FIELDS: dict[str, float | str | None] = {
    "connect_timeout": 5.0,
    "read_timeout": 30.0,
    "retry_attempts": 5,
    "backoff_base": 1.0,
    "backoff_cap": 30.0,
    "retry_status_codes": ", ".join(str(code) for code in sorted(PASSING_STATUS_CODES)),
    "service_url": None,
    "s3_console_url": None,
    "kafka_console_url": None,
}

# The fields that are numbers: the least value, and whether the least itself is allowed.
_NUMBERS: dict[str, tuple[float, bool]] = {
    "connect_timeout": (0.0, False),
    "read_timeout": (0.0, False),
    "retry_attempts": (1.0, True),
    "backoff_base": (0.0, True),
    "backoff_cap": (0.0, True),
}
# The fields that are URLs: the placeholders that they may have.
_URLS: dict[str, tuple[str, ...]] = {
    "service_url": (),
    "s3_console_url": ("bucket", "prefix"),
    "kafka_console_url": ("topic",),
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
    :param retry: what is passing, and how it is tried again
    :param service_url: where a browser reaches the service, without a slash at the end; None if that is not known
    :param s3_console_url: template of a page that shows what lies in a bucket, with ``{bucket}`` and ``{prefix}``
    :param kafka_console_url: template of a page that shows a topic, with ``{topic}``
    """

    token: str | None = field(repr=False)
    connect_timeout_s: float
    read_timeout_s: float
    retry: RetryPolicy
    service_url: str | None = None
    s3_console_url: str | None = None
    kafka_console_url: str | None = None

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def emulation_url(self, emulation_id: str) -> str | None:
        """Where a browser finds an emulation's status; None if it is not known where it reaches the service."""
        if self.service_url is None:
            return None
        return f"{self.service_url}/emulator/{quote(emulation_id, safe='')}/status"

    def bucket_url(self, bucket: str, prefix: str = "") -> str | None:
        """Where a browser finds a bucket; None unless the connection names a console.

        :param bucket: the bucket
        :param prefix: what the objects' keys begin with, like ``<emulation id>/``
        """
        if self.s3_console_url is None:
            return None
        return fill(self.s3_console_url, bucket=bucket, prefix=prefix)

    def topic_url(self, topic: str) -> str | None:
        """Where a browser finds a topic; None unless the connection names a console."""
        return None if self.kafka_console_url is None else fill(self.kafka_console_url, topic=topic)

    @classmethod
    def of(cls, connection: Connection, extra: Mapping[str, Any]) -> ConnectionSettings:
        """Read the settings of a connection.

        :param connection: as Airflow gave it
        :param extra: its extra, parsed (parsing differs between sync and async code, since it also masks secrets)
        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        base_url = base_url_of(connection, extra)
        return cls.from_connection(str(connection.conn_id), connection.password, extra, base_url)

    @classmethod
    def from_connection(
        cls, conn_id: str, password: str | None, extra: Mapping[str, Any], base_url: str | None = None
    ) -> ConnectionSettings:
        """Read the settings.

        :param conn_id: named in errors
        :param password: the token
        :param extra: the connection's extra, parsed; a field that is absent, null or empty takes its default
        :param base_url: where Airflow reaches the service, by :func:`base_url_of`; None if that is not one URL
        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        problems: list[str] = []
        given = {name: value for name in OWN_FIELDS if (value := extra.get(name)) is not None and value != ""}
        numbers = {name: _number(name, given.get(name, OWN_FIELDS[name]), problems) for name in _NUMBERS}
        if numbers["retry_attempts"] != int(numbers["retry_attempts"]):
            problems.append(f"retry_attempts must be a whole number, got {extra['retry_attempts']!r}")
        codes = _status_codes(given.get("retry_status_codes", OWN_FIELDS["retry_status_codes"]), problems)
        for name, placeholders in _URLS.items():
            if name in given and (problem := problem_with_url(given[name], placeholders)):
                problems.append(f"{name} {problem}")
        if re.search(r"[?#]", str(given.get("service_url", ""))):
            problems.append(f"service_url must end with its path, without ? and #, got {given['service_url']!r}")
        if base_url is not None and "@" in base_url:
            problems.append("Host must not hold a user or a password; the token belongs into the field Token")
        if problems:
            raise DataEmulatorConfigError(f"Connection {conn_id!r}: " + "; ".join(problems))
        service_url: str | None = given.get("service_url", base_url)
        return cls(
            token=password or None,
            connect_timeout_s=numbers["connect_timeout"],
            read_timeout_s=numbers["read_timeout"],
            retry=RetryPolicy(
                attempts=int(numbers["retry_attempts"]),
                backoff_base_s=numbers["backoff_base"],
                backoff_cap_s=numbers["backoff_cap"],
                status_codes=codes,
            ),
            service_url=None if service_url is None else service_url.rstrip("/"),
            s3_console_url=given.get("s3_console_url"),
            kafka_console_url=given.get("kafka_console_url"),
        )


def base_url_of(connection: Connection, extra: Mapping[str, Any]) -> str | None:
    """Where Airflow's HTTP hooks reach the service, as they put it together.

    :param connection: as Airflow gave it
    :param extra: its extra, parsed
    :return: None when there is no host, or one that is looked up anew for each request (``srv_lookup``)
    """
    host = connection.host
    if not host or to_boolean(str(extra.get("srv_lookup", False))):
        return None
    url = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    return f"{url}:{connection.port}" if connection.port else url


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
    least, least_allowed = _NUMBERS[name]
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number) and (number > least or (least_allowed and number == least)):
        return number
    problems.append(f"{name} must be a number {'of at least' if least_allowed else 'above'} {least:g}, got {value!r}")
    return 1.0


def _status_codes(value: Any, problems: list[str]) -> frozenset[int]:
    """The status codes from a text like ``429, 503``, or from a list of numbers; an empty list means none."""
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    codes = [_status_code(item) for item in items] if isinstance(items, list) else [None]
    if None in codes or (isinstance(value, str) and not codes):
        problems.append(
            "retry_status_codes must be HTTP status codes from 400 to 599, as a text like '429, 503' or as a list, "
            f"got {value!r}"
        )
    return frozenset(code for code in codes if code is not None)


def _status_code(item: Any) -> int | None:
    text = str(item)
    return int(text) if re.fullmatch(r"[45][0-9]{2}", text) else None
