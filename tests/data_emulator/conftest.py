"""Settings that lead to the session's store and broker, and the service running on them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from data_emulator.settings import Settings
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.support.running_service import RunningService

ServiceFactory = Callable[..., RunningService]


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
    return Settings(
        kafka_bootstrap_servers=kafka_broker.bootstrap_servers, kafka_delivery="at-least-once", sink_timeout_s=5
    )


@pytest.fixture(scope="session")
def sink_environment(s3_store: SeaweedFS, kafka_broker: Tansu) -> dict[str, str]:
    """The environment that leads a service to the store and the broker."""
    return {
        "DATA_EMULATOR_S3_ENDPOINT": s3_store.endpoint,
        "DATA_EMULATOR_S3_ACCESS_KEY_ID": s3_store.access_key_id,
        "DATA_EMULATOR_S3_SECRET_ACCESS_KEY": s3_store.secret_access_key,
        "DATA_EMULATOR_S3_REGION": s3_store.region,
        "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "DATA_EMULATOR_KAFKA_DELIVERY": "at-least-once",
    }


@pytest.fixture(scope="session")
def running(
    supervisor: Supervisor, sink_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """The service that most tests share. A test leaves nothing running in it, and does not stop it."""
    service = RunningService(supervisor, tmp_path_factory.mktemp("service"), sink_environment)
    service.start()
    yield service
    service.end()


@pytest.fixture
def http(running: RunningService) -> httpx.Client:
    """A client of the shared service."""
    return running.http


@pytest.fixture
def serve(supervisor: Supervisor, sink_environment: dict[str, str], tmp_path: Path) -> Iterator[ServiceFactory]:
    """Start a service of one's own: ``serve("--host", "::1", MAX_RUNNING=1)``."""
    services: list[RunningService] = []

    def start(*arguments: str, **settings: object) -> RunningService:
        environment = {f"DATA_EMULATOR_{name}": str(value) for name, value in settings.items()}
        folder = tmp_path / f"service-{len(services)}"
        services.append(RunningService(supervisor, folder, {**sink_environment, **environment}, *arguments))
        services[-1].start()
        return services[-1]

    yield start
    for service in services:
        service.end()
