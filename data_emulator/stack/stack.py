"""The embedded stack as a whole."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from data_emulator.stack.addresses import DELIVERY, Addresses, store_addresses
from data_emulator.stack.airflow import Airflow
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.airflow_setup import set_up
from data_emulator.stack.disk import check_space, full_disk
from data_emulator.stack.folders import addresses_path, processes_path, project_dir
from data_emulator.stack.incidents import forget_incidents
from data_emulator.stack.owner import record_owner
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import ServerDiedError, StackError, Supervisor
from data_emulator.stack.restarts import GaveUpError, Restarts
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS
from data_emulator.stack.service import Service
from data_emulator.stack.tansu import LOG_BUCKET, Tansu

_ATTEMPTS = 3
_PORTS = SeaweedFS.PORT_COUNT + Tansu.PORT_COUNT + Service.PORT_COUNT + Airflow.PORT_COUNT


class Stack:
    """An S3 store, a Kafka broker, the service and, if asked for, Airflow, with all they keep in `run_dir`.

    Once started, a server that dies is started again. The servers never outlive this process, however it ends.
    `scheduled` is for Airflow, which see. `project` is the folder with `dags` and `include`, the one of this package by
    default. `addresses`, `service` and `airflow` are there once it is started, the latter two to be stopped and started
    on their own.
    """

    addresses: Addresses
    service: Service
    airflow: Airflow | None = None

    def __init__(self, run_dir: Path, *, with_airflow: bool, scheduled: bool, project: Path | None = None) -> None:
        self.run_dir = run_dir
        self._project_dir = project or project_dir()
        self._with_airflow = with_airflow
        self._scheduled = scheduled
        self._supervisor: Supervisor | None = None
        self._restarts: Restarts | None = None

    def start(self, say: Callable[[str], None]) -> Addresses:
        """Start everything, at the same time where possible, and return when all is ready to be used.

        `say` is given a line about each step, and later about each server that dies and returns. Raises StackError when
        a server cannot be started or the disk has too little room; whatever is raised, an interruption among them,
        `stop` must be called. Another program that takes a port in the moment between its choice and its use costs a
        second attempt, with other ports.
        """
        self.run_dir.mkdir(parents=True, exist_ok=True)
        check_space(self.run_dir, with_airflow=self._with_airflow)
        record_owner(self.run_dir)
        forget_incidents(self.run_dir)
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                return self._start(say)
            except ServerDiedError as error:
                if not (attempts_left and error.port_taken):
                    raise self._explained(error) from error
                say("a port was taken by another program; starting again with other ports")
                self.stop()
            except StackError as error:
                raise self._explained(error) from error
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End everything that `start` has started. Safe to call at any time, and again."""
        if self._restarts is not None:
            self._restarts.end()
        addresses_path(self.run_dir).unlink(missing_ok=True)
        if self._supervisor is not None:
            self._supervisor.stop_all()

    def check(self) -> None:
        """Raise GaveUpError when a server died so often that it is not started again."""
        if self._restarts is not None and self._restarts.failure is not None:
            raise self._restarts.failure

    def wait_for_failure(self) -> GaveUpError | None:
        """Return why a server is not started again once that is so. Must be started."""
        return self._restarts.wait_for_failure() if self._restarts else None

    def _explained(self, error: StackError) -> StackError:
        """Return `error`, or one that begins with what is behind most errors on a full disk."""
        full = full_disk(self.run_dir)
        return StackError(f"{full}. {error}") if full else error

    def _start(self, say: Callable[[str], None]) -> Addresses:
        self._supervisor = supervisor = Supervisor(processes_path(self.run_dir), guarded=True)
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
            delivery=DELIVERY,
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
        servers = [store, broker, service, *(airflow.components.values() if airflow else ())]
        self._restarts = Restarts(self.run_dir, servers, say)
        self._restarts.begin()
        store_addresses(self.run_dir, addresses)
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
    say("Airflow's database is ready")
    airflow.start(say)
    with AirflowApi(airflow.url) as api:
        set_up(api, service_port=service_port, store=store, broker=broker)
    say(f"Airflow ready at {airflow.url}")


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
