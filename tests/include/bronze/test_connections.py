from __future__ import annotations

from typing import Any

import pytest

from include.bronze.connections import kafka_config
from include.bronze.s3_connection import s3_connection
from tests.support.connecting import SECRET, define, refused


@pytest.mark.parametrize(
    ("read", "conn_id", "what"),
    [(s3_connection, "data_emulator_s3", "with type aws"), (kafka_config, "data_emulator_kafka", "with type kafka")],
)
def test_a_missing_connection_is_refused(read: Any, conn_id: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}", raising=False)
    refused(read, conn_id, f"There is no connection {conn_id!r}: create it {what}")


@pytest.mark.parametrize("extra", ["[]", "endpoint", "3", '{"password": "a-very-secret-key"'])
@pytest.mark.parametrize(
    ("read", "conn_id"), [(s3_connection, "data_emulator_s3"), (kafka_config, "data_emulator_kafka")]
)
def test_an_extra_that_is_no_object_is_refused(
    read: Any, conn_id: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(monkeypatch, conn_id, {"conn_type": "aws", "login": "key", "password": SECRET, "extra": extra})
    refused(read, conn_id, "the extra must be a JSON object")


def test_the_broker_gets_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = {"bootstrap.servers": "broker:9092", "sasl.password": SECRET, "socket.timeout.ms": 5000}
    define(monkeypatch, "data_emulator_kafka", {"conn_type": "kafka", "extra": properties})
    assert kafka_config() == properties


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({}, "extra field bootstrap.servers is missing"),
        ({"bootstrap.servers": ""}, "extra field bootstrap.servers is missing"),
        ({"bootstrap.servers": "b:1", "ssl": {"password": SECRET}}, "extra field ssl must be a string, a number or"),
    ],
)
def test_a_broker_that_cannot_be_used_is_refused(extra: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "data_emulator_kafka", {"conn_type": "kafka", "extra": extra})
    refused(kafka_config, "data_emulator_kafka", message)


def test_a_broker_in_the_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "kafka", "host": "broker", "port": 9092, "extra": {"bootstrap.servers": "b:1"}}
    define(monkeypatch, "data_emulator_kafka", connection)
    refused(kafka_config, "data_emulator_kafka", "host is not used: leave it empty; port is not used")
