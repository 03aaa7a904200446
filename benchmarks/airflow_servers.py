"""What the Airflow benchmarks run on: an S3 store, the service, and a real Airflow, of their own and on free ports."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.servers import ConfiguredService
from data_emulator.stack.airflow import Airflow
from data_emulator.stack.folders import project_dir
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS
from data_emulator.stack.server import Server
from data_emulator.stack.service import Service

BENCHMARK_DAGS = Path(__file__).parent / "airflow_dags"
ALL_EMULATIONS_DAG = project_dir() / "dags" / "all_emulations_dag.py"
_TRIGGERER_READY_S = 120.0


class ConfiguredAirflow(Airflow):
    """Airflow with a DAG folder of the benchmark's own, and some settings changed by their environment variables."""

    def __init__(self, *arguments: Any, environment: Mapping[str, str], **named: Any) -> None:
        self._environment = dict(environment)
        super().__init__(*arguments, **named)

    def command(self, *argv: str) -> Command:
        """Return the command line, with the changed settings in the environment."""
        command = super().command(*argv)
        return dataclasses.replace(command, env={**command.env, **self._environment})


class Triggerer(Server):
    """The program `airflow triggerer`, without the rest of Airflow, on a migrated database."""

    ready_timeout_s = _TRIGGERER_READY_S

    def __init__(self, supervisor: Supervisor, command: Command, database: Path) -> None:
        super().__init__(supervisor)
        self._command = command
        self._database = database
        self._jobs_before = 0

    def command(self) -> Command:
        """Return the command line."""
        self._jobs_before = self._jobs()
        return self._command

    def is_ready(self) -> bool:
        """Tell whether it has registered itself, besides those that ran before."""
        return self._jobs() > self._jobs_before

    def _jobs(self) -> int:
        with closing(read_only(self._database)) as connection:
            (count,) = connection.execute("select count(*) from job where job_type = 'TriggererJob'").fetchone()
        return int(count)


@dataclasses.dataclass(frozen=True)
class Servers:
    """What runs; Airflow's database is migrated, and none of its programs is started.

    :param folder: for whatever a benchmark keeps
    :param airflow_database: Airflow's SQLite file
    :param service_database: the service's
    """

    folder: Path
    supervisor: Supervisor
    service: Service
    airflow: Airflow
    airflow_database: Path
    service_database: Path


@contextmanager
def running_servers(
    dag_files: list[Path],
    *,
    airflow_environment: Mapping[str, str],
    service_environment: Mapping[str, str],
) -> Iterator[Servers]:
    """Start the store and the service, without a broker, and prepare Airflow; stop and remove everything afterwards.

    :param dag_files: copied into the folder from which Airflow reads its DAGs, which has nothing else
    :param airflow_environment: as the environment of Airflow's programs has it, on top of the stack's own settings;
        ``{service_url}`` stands for the service's address
    :param service_environment: settings of the service that are not to be the defaults
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        supervisor = Supervisor(guarded=True)
        try:
            with PortReservation(SeaweedFS.PORT_COUNT + 2) as reservation:
                *store_ports, service_port, airflow_port = reservation.ports
            store = SeaweedFS(
                supervisor,
                data_dir=folder / "s3",
                log_path=folder / "s3.log",
                ports=store_ports,
                credentials=Credentials.kept_in(folder / "s3-credentials.json"),
                buckets=["probe"],
            )
            store.start()
            service = ConfiguredService(
                supervisor,
                store=store,
                bootstrap_servers="",  # all goes to S3: the figures are Airflow's, a broker would only take its cores
                delivery="at-least-once",
                data_dir=folder / "service",
                log_path=folder / "service.log",
                port=service_port,
                environment=service_environment,
            )
            service.start()
            dags = folder / "dags"
            dags.mkdir()
            for file in dag_files:
                shutil.copy(file, dags)
            home = folder / "airflow"
            filled_in = {key: value.format(service_url=service.url) for key, value in airflow_environment.items()}
            airflow = ConfiguredAirflow(
                supervisor,
                project_dir=project_dir(),
                home=home,
                log_dir=folder / "logs",
                port=airflow_port,
                scheduled=False,
                environment={"AIRFLOW__CORE__DAGS_FOLDER": str(dags), **filled_in},
            )
            airflow.migrate()
            yield Servers(
                folder, supervisor, service, airflow, home / "airflow.db", folder / "service" / "emulations.db"
            )
        finally:
            supervisor.stop_all()


def read_only(database: Path) -> sqlite3.Connection:
    """Open a SQLite file that another program writes."""
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)


def processes(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started, directly or not, as far as they run."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, of a process and its children, those that have ended included."""
    total = 0.0
    for process in processes(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process and its children; what they share counts for each."""
    total = 0
    for process in processes(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
