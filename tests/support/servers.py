"""Real servers for the tests, each started once a session, by what the stack itself starts them with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS
from data_emulator.stack.tansu import LOG_BUCKET, Tansu


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session's servers: data, logs, credentials."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    """What starts the session's servers, and ends them, also when the test session is killed."""
    supervisor = Supervisor(guarded=True)
    yield supervisor
    supervisor.stop_all()


@pytest.fixture(scope="session")
def s3_store(supervisor: Supervisor, run_dir: Path) -> SeaweedFS:
    """An S3 store: `endpoint`, `access_key_id`, `secret_access_key`, `region`; `stop()`, `kill()`, `start()`.

    Buckets come into being with the first object. A test that stops it starts it again before it ends.
    """
    with PortReservation(SeaweedFS.PORT_COUNT) as reservation:
        ports = reservation.ports
    store = SeaweedFS(
        supervisor,
        data_dir=run_dir / "seaweedfs",
        log_path=run_dir / "logs" / "seaweedfs.log",
        ports=ports,
        credentials=Credentials.kept_in(run_dir / "s3-credentials.json"),
        buckets=[LOG_BUCKET],
    )
    store.start()
    return store


@pytest.fixture(scope="session")
def kafka_broker(supervisor: Supervisor, s3_store: SeaweedFS, run_dir: Path) -> Tansu:
    """A Kafka broker: `bootstrap_servers`; `stop()`, `kill()`, `start()`. It keeps its records in `s3_store`.

    A test that stops it starts it again before it ends.
    """
    with PortReservation(Tansu.PORT_COUNT) as reservation:
        ports = reservation.ports
    broker = Tansu(supervisor, store=s3_store, work_dir=run_dir, log_path=run_dir / "logs" / "tansu.log", port=ports[0])
    broker.start()
    return broker
