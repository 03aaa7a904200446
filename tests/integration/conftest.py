"""The service and the whole stack, each started once a session, by what users start them with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from pydantic import SecretStr

from data_emulator.demo.demo import DAG_ID
from data_emulator.settings import Settings
from data_emulator.stack.addresses import Addresses
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.folders import project_dir
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.stack import Stack
from data_emulator.stack.tansu import Tansu
from tests.support.bronze import BRONZE
from tests.support.disturbing import CONNECTION, Run, is_over, pause, wait_until
from tests.support.door import Door, door_to
from tests.support.slow_broker import SlowBroker, SlowStore


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


@pytest.fixture
def bronze_connections(s3_store: SeaweedFS, kafka_broker: Tansu, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections of Airflow that bronze reads, to `s3_store` and `kafka_broker`, and a bucket for its tables."""
    obstore.put(s3_store.bucket(BRONZE), "created", b"")
    s3 = {
        "conn_type": "aws",
        "login": s3_store.access_key_id,
        "password": s3_store.secret_access_key,
        "extra": {"endpoint_url": s3_store.endpoint, "region_name": s3_store.region},
    }
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": kafka_broker.bootstrap_servers}}
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_S3", json.dumps(s3))
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_KAFKA", json.dumps(kafka))


@pytest.fixture(scope="session")
def slow_broker(supervisor: Supervisor, s3_store: SeaweedFS, run_dir: Path) -> Iterator[SlowBroker]:
    """A broker of its own, which can be made as slow as one with a large log."""
    with SlowStore(s3_store) as store:
        with PortReservation(Tansu.PORT_COUNT) as reservation:
            ports = reservation.ports
        broker = SlowBroker(supervisor, store, work_dir=run_dir, log_path=run_dir / "logs" / "slow.log", port=ports[0])
        broker.start()
        yield broker
        broker.kill()


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
    """A whole stack, Airflow included, as `make up` starts it. There is one for all tests: each costs a CPU minute.

    Its DAGs run by their schedules once they are unpaused. Beside the project's DAGs, of which all_emulations_dag is
    unpaused, it has those of tests/integration/dags.
    """
    project = project_with_test_dags(tmp_path_factory.mktemp("project"))
    stack = Stack(tmp_path_factory.mktemp("whole-stack"), with_airflow=True, scheduled=True, project=project)
    try:
        airflow_url = stack.start(print).airflow_url
        assert airflow_url is not None
        with AirflowApi(airflow_url) as api:
            wait_until(lambda: api.has_dag(DAG_ID))
            pause(api, DAG_ID, False)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def stack(whole_stack: Stack) -> Addresses:
    """Where it is reached."""
    return whole_stack.addresses


@pytest.fixture(scope="module")
def airflow(whole_stack: Stack) -> Iterator[AirflowApi]:
    assert whole_stack.addresses.airflow_url is not None
    with AirflowApi(whole_stack.addresses.airflow_url) as api:
        wait_until(lambda: all(api.has_dag(dag_id) for dag_id in ("two_tasks", "one_task", "races")))
        yield api


@pytest.fixture(scope="module")
def open_door(whole_stack: Stack, airflow: AirflowApi) -> Iterator[Door]:
    """What the connection leads to meanwhile."""
    with door_to(whole_stack.addresses.service_url) as door:
        airflow.set_connection_port(CONNECTION, door.server_port)
        airflow.set_connection_extra(CONNECTION, {"retry_attempts": 2, "backoff_base": 0.1})
        yield door
        airflow.set_connection_extra(CONNECTION, {})
        airflow.set_connection_port(CONNECTION, whole_stack.service.port)


@pytest.fixture
def door(open_door: Door) -> Iterator[Door]:
    """The door, behind which nothing runs any more once a test is over."""
    open_door.answered_with.clear()
    open_door.started.clear()
    open_door.told.clear()
    open_door.next_ends.clear()
    open_door.astray = None
    open_door.strayed.clear()
    yield open_door
    running = [each.emulation_id for each in open_door.started if not is_over(open_door, each.emulation_id)]
    for emulation_id in running:
        open_door.client.delete(f"/emulator/{emulation_id}")
    assert running == [], "left running, with nobody who waits"


@pytest.fixture
def start_run(airflow: AirflowApi, door: Door) -> Callable[..., Run]:
    return lambda dag_id="two_tasks", **params: Run(airflow, door, dag_id, **params)
