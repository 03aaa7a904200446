"""The embedded stack as a whole, and the commands that leave one running and end it."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import SecretStr

import data_emulator
from data_emulator.settings import Settings
from data_emulator.stack.airflow import Airflow
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.console import console
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.ports import LOOPBACK, PortReservation
from data_emulator.stack.processes import ServerDiedError, StackError, Supervisor
from data_emulator.stack.records import recorded, stop_recorded
from data_emulator.stack.seaweedfs import REGION, Credentials, SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.tansu import LOG_BUCKET, Tansu

_CONNECTION_ID = "data_emulator_default"
_S3_CONNECTION_ID = "data_emulator_s3"
_KAFKA_CONNECTION_ID = "data_emulator_kafka"
_POOL = "data_emulator"
_POOL_SLOTS = 16
_POOL_DESCRIPTION = "Emulations at once, those being waited for included"
_ATTEMPTS = 3
_PORTS = SeaweedFS.PORT_COUNT + Tansu.PORT_COUNT + Service.PORT_COUNT + Airflow.PORT_COUNT


@dataclass(frozen=True)
class Addresses:
    """Where a running stack is reached; `s3_credentials_path` is a file with its key pair."""

    s3_endpoint: str
    s3_credentials_path: str
    kafka_bootstrap_servers: str
    service_url: str
    airflow_url: str | None

    def settings(self) -> Settings:
        """Return the settings by which this stack's service reaches its store and broker."""
        credentials = Credentials.kept_in(Path(self.s3_credentials_path))
        return Settings(
            token=None,
            s3_endpoint=self.s3_endpoint,
            s3_region=REGION,
            s3_access_key_id=SecretStr(credentials.access_key_id),
            s3_secret_access_key=SecretStr(credentials.secret_access_key),
            kafka_bootstrap_servers=self.kafka_bootstrap_servers,
            kafka_config=None,
        )


class Stack:
    """An S3 store, a Kafka broker, the service and, if asked for, Airflow, with all they keep in `run_dir`.

    With `guarded`, the servers die with this process; without, they outlive it. `scheduled` is for Airflow, which see.
    `project` is the folder with `dags` and `include`, the one of this package by default. `addresses`, `service` and
    `airflow` are there once it is started, the latter two to be stopped and started on their own.
    """

    addresses: Addresses
    service: Service
    airflow: Airflow | None = None

    def __init__(
        self, run_dir: Path, *, with_airflow: bool, guarded: bool, scheduled: bool, project: Path | None = None
    ) -> None:
        self.run_dir = run_dir
        self._project_dir = project or project_dir()
        self._with_airflow = with_airflow
        self._guarded = guarded
        self._scheduled = scheduled
        self._supervisor: Supervisor | None = None

    def start(self, say: Callable[[str], None]) -> Addresses:
        """Start everything, at the same time where possible, and return when all is ready to be used.

        `say` is given a line about each step. Raises StackError when a server cannot be started; whatever is raised, an
        interruption among them, `stop` must be called. Another program that takes a port in the moment between its
        choice and its use costs a second attempt, with other ports.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                return self._start(say)
            except ServerDiedError as error:
                if not (attempts_left and error.port_taken):
                    raise
                say("a port was taken by another program; starting again with other ports")
                self.stop()
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End everything that `start` has started. Safe to call at any time, and again."""
        if self._supervisor is not None:
            self._supervisor.stop_all()

    def _start(self, say: Callable[[str], None]) -> Addresses:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self._supervisor = supervisor = Supervisor(processes_path(self.run_dir), guarded=self._guarded)
        ports = self._choose_ports()
        log_dir = self.run_dir / "logs"
        store = SeaweedFS(
            supervisor,
            data_dir=self.run_dir / "seaweedfs",
            log_path=log_dir / "seaweedfs.log",
            ports=ports[: SeaweedFS.PORT_COUNT],
            credentials=Credentials.kept_in(self.run_dir / "s3-credentials.json"),
            buckets=[LOG_BUCKET],
        )
        broker_port, service_port, airflow_port = ports[SeaweedFS.PORT_COUNT :]
        broker = Tansu(supervisor, store=store, work_dir=self.run_dir, log_path=log_dir / "tansu.log", port=broker_port)
        self.service = service = Service(
            supervisor,
            store=store,
            bootstrap_servers=broker.bootstrap_servers,
            delivery="at-least-once",  # of the embedded broker no more can be promised: see docs/adr/0003
            data_dir=self.run_dir / "service",
            log_path=log_dir / "service.log",
            port=service_port,
        )
        jobs: list[Callable[[], None]] = [lambda: _start_in_order(store, broker, service, say)]
        airflow: Airflow | None = None
        if self._with_airflow:
            self.airflow = airflow = Airflow(
                supervisor,
                project_dir=self._project_dir,
                home=self.run_dir / "airflow",
                log_dir=log_dir,
                port=airflow_port,
                scheduled=self._scheduled,
            )
            jobs.append(lambda: _start_airflow(airflow, service_port, store, broker, say))
        _run_together(jobs, supervisor)
        self.addresses = addresses = Addresses(
            s3_endpoint=store.endpoint,
            s3_credentials_path=str(self.run_dir / "s3-credentials.json"),
            kafka_bootstrap_servers=broker.bootstrap_servers,
            service_url=service.url,
            airflow_url=airflow.url if airflow else None,
        )
        _addresses_path(self.run_dir).write_text(json.dumps(asdict(addresses), indent=2) + "\n")
        return addresses

    def _choose_ports(self) -> Sequence[int]:
        """Return free ports: those of the last time where they still are, so that addresses last."""
        path = self.run_dir / "ports.json"
        wanted = json.loads(path.read_text()) if path.exists() else []
        with PortReservation(_PORTS, wanted) as reservation:
            path.write_text(json.dumps(reservation.ports) + "\n")
            return reservation.ports


def _start_in_order(store: SeaweedFS, broker: Tansu, service: Service, say: Callable[[str], None]) -> None:
    store.start()
    say(f"S3 store ready at {store.endpoint}")
    broker.start()
    say(f"Kafka broker ready at {broker.bootstrap_servers}")
    service.start()
    say(f"Data Emulator Service ready at {service.url}")


def _start_airflow(
    airflow: Airflow, service_port: int, store: SeaweedFS, broker: Tansu, say: Callable[[str], None]
) -> None:
    airflow.migrate()
    say("Airflow's database is migrated")
    airflow.start()
    with AirflowApi(airflow.url) as api:
        # Rows, and no environment variables, so that they are seen and edited in the UI.
        api.ensure_pool(_POOL, slots=_POOL_SLOTS, description=_POOL_DESCRIPTION)
        _connect(api, service_port)
        _connect_store(api, store)
        _connect_broker(api, broker)
    say(f"Airflow ready at {airflow.url}")


def _connect(api: AirflowApi, service_port: int) -> None:
    """Point the connection to this stack's service, unless its user has pointed it to another host."""
    connection = api.connection(_CONNECTION_ID)
    if connection is None:
        api.create_connection(
            {
                "connection_id": _CONNECTION_ID,
                "conn_type": "data_emulator",
                "description": "The Data Emulator Service of this stack",
                "schema": "http",
                "host": LOOPBACK,
                "port": service_port,
            }
        )
    elif connection["host"] == LOOPBACK and connection["port"] != service_port:
        api.set_connection_port(_CONNECTION_ID, service_port)


def _connect_store(api: AirflowApi, store: SeaweedFS) -> None:
    """Point the connection to this stack's S3 store, unless its user has pointed it to another host."""
    connection = {
        "connection_id": _S3_CONNECTION_ID,
        "conn_type": "aws",
        "description": "The S3 store of this stack",
        "login": store.access_key_id,
        "password": store.secret_access_key,
    }
    _connect_by_extra(api, connection, "endpoint_url", store.endpoint, {"region_name": store.region})


def _connect_broker(api: AirflowApi, broker: Tansu) -> None:
    """Point the connection to this stack's Kafka broker, unless its user has pointed it to another host."""
    connection = {
        "connection_id": _KAFKA_CONNECTION_ID,
        "conn_type": "kafka",
        "description": "The Kafka broker of this stack",
    }
    _connect_by_extra(api, connection, "bootstrap.servers", broker.bootstrap_servers, {})


def _connect_by_extra(
    api: AirflowApi, connection: Mapping[str, object], field: str, address: str, more: Mapping[str, object]
) -> None:
    """Create the connection with `address` and `more` in its extra, or bring the address there up to date."""
    existing = api.connection(str(connection["connection_id"]))
    if existing is None:
        api.create_connection({**connection, "extra": json.dumps({field: address, **more})})
        return
    extra = json.loads(existing["extra"] or "{}")
    found = str(extra.get(field, ""))
    if f"{LOOPBACK}:" in found and found != address:
        api.set_connection_extra(str(connection["connection_id"]), {**extra, field: address})


def _run_together(jobs: Sequence[Callable[[], None]], supervisor: Supervisor) -> None:
    """Run `jobs` in threads. When one fails, or this thread is interrupted, stop the others and raise that."""
    pool = ThreadPoolExecutor(max_workers=len(jobs))
    try:
        futures: list[Future[None]] = [pool.submit(job) for job in jobs]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        supervisor.stop_all()
        raise
    finally:
        pool.shutdown()


def up(airflow: bool) -> int:
    """Start the stack in `.lab/up`, leave it running, print its addresses, and return the exit status.

    A stack that is up already is left as it is, and its addresses are printed.
    """
    run_dir = up_dir()
    with _lock(run_dir):
        addresses = running_addresses(run_dir)
        if addresses is not None and airflow and addresses.airflow_url is None:
            console.print(
                "The stack is up without Airflow. Stop it with 'data-emulator stack down' and start it again."
            )
            return 1
        if addresses is not None:
            console.print("The stack is up already:")
            _print_addresses(addresses)
            return 0
        stop_recorded(processes_path(run_dir))  # What is left of one of which a part has died.
        stack = Stack(run_dir, with_airflow=airflow, guarded=False, scheduled=True)
        with interrupts_raise():
            try:
                try:
                    addresses = stack.start(console.print)
                except StackError as error:
                    console.print(f"error: {error}", style="red", markup=False)
                    stack.stop()
                    return 1
            except Interrupted as interruption:  # Once only: what follows is not disturbed.
                stack.stop()
                console.print("Interrupted; nothing is left running.")
                return interruption.exit_status
    console.print("The stack is up; 'data-emulator stack down' stops it.")
    _print_addresses(addresses)
    return 0


def down() -> int:
    """Stop the stack that `up` started, keep its data, and return the exit status."""
    run_dir = up_dir()
    with _lock(run_dir):
        stopped = stop_recorded(processes_path(run_dir))
        _addresses_path(run_dir).unlink(missing_ok=True)
    console.print(f"Stopped {', '.join(stopped)}. Their data stays in {run_dir}." if stopped else "No stack is up.")
    return 0


def running_addresses(run_dir: Path) -> Addresses | None:
    """Return where the stack in `run_dir` is reached, or None when it, or a part of it, does not run."""
    path = _addresses_path(run_dir)
    if not path.exists():
        return None
    processes = recorded(processes_path(run_dir))
    if not processes or not all(process.is_running() for process in processes):
        return None
    return Addresses(**json.loads(path.read_text()))


def project_dir() -> Path:
    """Return the folder that holds the package, which in a clone is the project's root."""
    return Path(data_emulator.__file__).resolve().parents[1]


def lab_dir() -> Path:
    """Return the folder for all that stacks keep: `.lab` in the clone, or in the current folder without a clone."""
    return (project_dir() if (project_dir() / "dags").is_dir() else Path.cwd()) / ".lab"


def up_dir() -> Path:
    """Return the folder of the stack that `up` starts."""
    return lab_dir() / "up"


def processes_path(run_dir: Path) -> Path:
    """Return the file that records which processes of a stack run."""
    return run_dir / "processes.json"


def _addresses_path(run_dir: Path) -> Path:
    return run_dir / "stack.json"


@contextmanager
def _lock(run_dir: Path) -> Iterator[None]:
    """Let one `up` or `down` at a time work on a stack."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _print_addresses(addresses: Addresses) -> None:
    lines = {
        "Airflow": addresses.airflow_url,
        "Data Emulator Service": addresses.service_url,
        "S3": f"{addresses.s3_endpoint} (key pair: {addresses.s3_credentials_path})",
        "Kafka": addresses.kafka_bootstrap_servers,
    }
    for name, address in lines.items():
        if address is not None:
            console.print(f"  {name:<22} {address}", markup=False, soft_wrap=True)
