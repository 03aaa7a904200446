"""Read and check a ``data_emulator`` connection: its settings, as the hook and its async twin use them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from .exceptions import DataEmulatorConfigError
from .http_options import HttpOptions, from_text
from .retry import TRANSIENT_STATUS_CODES, RetryPolicy
from .service_address import base_url_of
from .url_template import fill, problem_with_url
from .variables import read_connection

CONN_NAME_ATTR = "data_emulator_conn_id"
CONN_TYPE = "data_emulator"
HOOK_NAME = "Data Emulator"

#: Our fields in the connection's extra, with what holds when they are absent, null or empty.
OWN_FIELDS: dict[str, float | str | None] = {
    "connect_timeout": 5.0,
    "read_timeout": 30.0,
    "retry_attempts": RetryPolicy.attempts,
    "backoff_base": RetryPolicy.backoff_base_s,
    "backoff_cap": RetryPolicy.backoff_cap_s,
    "retry_status_codes": ", ".join(str(code) for code in sorted(TRANSIENT_STATUS_CODES)),
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


@dataclass(frozen=True)
class ConnectionSettings:
    """The settings of a connection.

    :param base_url: where Airflow reaches the service, without a slash at the end
    :param http: headers, login, TLS and proxies
    :param connect_timeout_s: seconds to connect
    :param read_timeout_s: seconds for the whole answer; a long poll's wait comes on top
    :param retry: which failures are transient, and how they are retried
    :param service_url: where a browser reaches the service, without a slash at the end
    :param s3_console_url: URL template of a page that shows a bucket's contents, with ``{bucket}`` and ``{prefix}``
    :param kafka_console_url: URL template of a page that shows a topic, with ``{topic}``
    """

    base_url: str
    http: HttpOptions
    connect_timeout_s: float
    read_timeout_s: float
    retry: RetryPolicy
    service_url: str
    s3_console_url: str | None = None
    kafka_console_url: str | None = None

    @classmethod
    def read(cls, conn_id: str) -> ConnectionSettings:
        """Fetch a connection from Airflow and read its settings.

        This blocks until Airflow has answered: code in an event loop calls it in a thread.

        :raises AirflowUnavailableError: when Airflow cannot say just now
        :raises DataEmulatorConfigError: when there is no such connection, or as :meth:`of` does
        """
        try:
            connection = Connection.get(conn_id)  # which also knows one that is being tested, and not yet stored
        except AirflowNotFoundException:
            connection = read_connection(conn_id)  # Airflow says "not found" too when it could not look
        if connection is None:
            raise DataEmulatorConfigError(f"There is no connection {conn_id!r}: create it with type {HOOK_NAME}")
        return cls.of(connection)

    @classmethod
    def of(cls, connection: Connection) -> ConnectionSettings:
        """Read the settings of a connection.

        :param connection: as Airflow gave it
        :raises DataEmulatorConfigError: naming each field whose value cannot be used; no secret is in the message
        """
        problems: list[str] = []
        extra = _extra(connection, problems)
        given = {name: value for name in OWN_FIELDS if (value := extra.get(name)) is not None and value != ""}
        others = {name: value for name, value in extra.items() if name not in OWN_FIELDS}
        base_url = base_url_of(connection, problems)
        http = HttpOptions.of(connection, others, problems)
        numbers = {name: _number(name, given.get(name, OWN_FIELDS[name]), problems) for name in _NUMBERS}
        if numbers["retry_attempts"] != int(numbers["retry_attempts"]):
            problems.append(f"retry_attempts must be a whole number, got {extra['retry_attempts']!r}")
        codes = _status_codes(given.get("retry_status_codes", OWN_FIELDS["retry_status_codes"]), problems)
        for name, placeholders in _URLS.items():
            if name in given and (problem := problem_with_url(given[name], placeholders)):
                problems.append(f"{name} {problem}")
        if re.search(r"[?#]", str(given.get("service_url", ""))):
            problems.append(f"service_url must have no query (?) and no fragment (#), got {given['service_url']!r}")
        if problems:
            raise DataEmulatorConfigError(f"Connection {connection.conn_id!r}: " + "; ".join(problems))
        return cls(
            base_url=base_url,
            http=http,
            connect_timeout_s=numbers["connect_timeout"],
            read_timeout_s=numbers["read_timeout"],
            retry=RetryPolicy(
                attempts=int(numbers["retry_attempts"]),
                backoff_base_s=numbers["backoff_base"],
                backoff_cap_s=numbers["backoff_cap"],
                status_codes=codes,
            ),
            service_url=str(given.get("service_url", base_url)).rstrip("/"),
            s3_console_url=given.get("s3_console_url"),
            kafka_console_url=given.get("kafka_console_url"),
        )

    def emulation_url(self, emulation_id: str) -> str:
        """Return the browser URL of an emulation's status."""
        return f"{self.service_url}/emulator/{quote(emulation_id, safe='')}/status"

    def bucket_url(self, bucket: str, prefix: str = "") -> str | None:
        """Return the browser URL of a bucket; None if the connection names no S3 console.

        :param bucket: the bucket
        :param prefix: what the objects' keys begin with, like ``<emulation id>/``
        """
        if self.s3_console_url is None:
            return None
        return fill(self.s3_console_url, bucket=bucket, prefix=prefix)

    def topic_url(self, topic: str) -> str | None:
        """Return the browser URL of a topic; None if the connection names no Kafka console."""
        return None if self.kafka_console_url is None else fill(self.kafka_console_url, topic=topic)


def _extra(connection: Connection, problems: list[str]) -> Mapping[str, Any]:
    """Parse the connection's extra, and have Airflow mask its secrets in logs."""
    if not connection.extra:
        return {}
    try:
        extra = json.loads(connection.extra)
    except ValueError:
        problems.append("Extra must be a JSON object, but is not valid JSON")
        return {}
    if not isinstance(extra, dict):
        problems.append("Extra must be a JSON object")
        return {}
    mask_secret(extra)
    return extra


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
    """Parse status codes from a text like ``429, 503`` or a list of numbers; an empty list means none."""
    value = from_text(value)
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
