from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.bronze.connections import kafka_config, s3_connection
from include.exceptions import DataEmulatorConfigError

SECRET = "a-very-secret-key"
S3 = {
    "conn_type": "aws",
    "login": "key",
    "password": SECRET,
    "extra": {"endpoint_url": "http://store:8333", "region_name": "eu-west-1"},
}


def define(monkeypatch: pytest.MonkeyPatch, conn_id: str, connection: dict[str, Any]) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


def test_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "data_emulator_s3", S3)
    found = s3_connection()
    assert (found.endpoint_url, found.region_name) == ("http://store:8333", "eu-west-1")
    assert (found.access_key_id, found.secret_access_key) == ("key", SECRET)
    assert SECRET not in repr(found)
    assert "key'" not in repr(found)


def test_amazons_store_with_credentials_that_are_found_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "data_emulator_s3", {"conn_type": "aws"})
    found = s3_connection()
    assert (found.endpoint_url, found.region_name, found.access_key_id) == (None, "us-east-1", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": None}, "the password, the secret access key, is missing"),
        ({"login": None}, "the login, the access key id, is missing"),
        ({"login": None, "password": None}, "key, is missing; the login"),
        ({"extra": {"endpoint_url": "store:8333"}}, "endpoint_url must begin with http:// or https://"),
        ({"extra": {"region_name": 1}}, "extra field region_name must be a string, not int"),
        ({"extra": {"endpoint_url": ["x"]}}, "extra field endpoint_url must be a string, not list"),
    ],
)
def test_a_store_that_cannot_be_used(changes: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "data_emulator_s3", {**S3, **changes})
    refused(s3_connection, "data_emulator_s3", message)


def refused(read: Any, conn_id: str, message: str) -> None:
    with pytest.raises(DataEmulatorConfigError) as caught:
        read()
    assert f"{conn_id!r}" in str(caught.value)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("read", "conn_id", "what"),
    [(s3_connection, "data_emulator_s3", "of type aws"), (kafka_config, "data_emulator_kafka", "of type kafka")],
)
def test_a_connection_that_is_not_there(read: Any, conn_id: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}", raising=False)
    refused(read, conn_id, f"There is no connection {conn_id!r}: create it, {what}")


def test_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_broker_that_cannot_be_used(extra: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, "data_emulator_kafka", {"conn_type": "kafka", "extra": extra})
    refused(kafka_config, "data_emulator_kafka", message)
