"""The service and the whole stack, each started once a session, by what users start them with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_emulator.settings import Settings
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.stack import Addresses, Stack, project_dir
from data_emulator.stack.tansu import Tansu


@pytest.fixture(scope="session")
def sink_settings(s3_store: SeaweedFS, kafka_broker: Tansu) -> Settings:
    """Settings that say where `s3_store` and `kafka_broker` are."""
    return Settings(
        s3_endpoint=s3_store.endpoint,
        s3_region=s3_store.region,
        s3_access_key_id=SecretStr(s3_store.access_key_id),
        s3_secret_access_key=SecretStr(s3_store.secret_access_key),
        kafka_bootstrap_servers=kafka_broker.bootstrap_servers,
    )


@pytest.fixture(scope="session")
def service(supervisor: Supervisor, s3_store: SeaweedFS, kafka_broker: Tansu, run_dir: Path) -> Service:
    """The service on `s3_store` and `kafka_broker`: `url`; `stop()`, `kill()`, `start()`."""
    with PortReservation(Service.PORT_COUNT) as reservation:
        ports = reservation.ports
    service = Service(
        supervisor,
        store=s3_store,
        bootstrap_servers=kafka_broker.bootstrap_servers,
        delivery="at-least-once",
        data_dir=run_dir / "service",
        log_path=run_dir / "logs" / "service.log",
        port=ports[0],
    )
    service.start()
    return service


def project_with_test_dags(project: Path) -> Path:
    """Make a folder a project with this one's `include`, its DAGs and those of tests/integration/dags; return it."""
    (project / "include").symlink_to(project_dir() / "include")
    (project / "dags").mkdir()
    for source in (project_dir() / "dags", Path(__file__).parent / "dags"):
        for file in source.glob("*.py"):
            (project / "dags" / file.name).symlink_to(file)
    return project


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack of its own, Airflow included, in which DAGs are active and run only when they are triggered.

    Beside the project's DAGs it has those of tests/integration/dags.
    """
    project = project_with_test_dags(tmp_path_factory.mktemp("project"))
    stack = Stack(
        tmp_path_factory.mktemp("whole-stack"), with_airflow=True, guarded=True, scheduled=False, project=project
    )
    try:
        stack.start(print)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def stack(whole_stack: Stack) -> Addresses:
    """Where it is reached."""
    return whole_stack.addresses
