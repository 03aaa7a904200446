"""Settings that lead to the session's store and broker."""

from __future__ import annotations

import socket

import pytest
from pydantic import SecretStr

from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def s3_settings(s3_store: SeaweedFS) -> Settings:
    """Settings with the store, no broker, and a short patience."""
    return Settings(
        s3_endpoint=s3_store.endpoint,
        s3_access_key_id=SecretStr(s3_store.access_key_id),
        s3_secret_access_key=SecretStr(s3_store.secret_access_key),
        s3_region=s3_store.region,
        sink_timeout_s=5,
    )


@pytest.fixture
def kafka_settings(kafka_broker: Tansu) -> Settings:
    """Settings with the broker, and a short patience."""
    return Settings(kafka_bootstrap_servers=kafka_broker.bootstrap_servers, sink_timeout_s=5)
