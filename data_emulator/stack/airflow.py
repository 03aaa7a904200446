"""Airflow for the stack: four processes over one SQLite database, in an Airflow home of its own.

Airflow is only ever run as a program. What `airflow standalone` does in a minute, and cannot end in order, is done here
process by process.
"""

import base64
import configparser
import secrets
import sqlite3
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from pathlib import Path

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.probe import probe
from data_emulator.stack.processes import Command, StackError, Supervisor
from data_emulator.stack.seaweedfs import write_private
from data_emulator.stack.server import Server

_MIGRATION_TIMEOUT_S = 180
# Airflow looks for this file in its home. The imports are for the processes of tasks, which are copies of one that has
# them already: they take a task a third of a CPU second, as long as all the rest of it.
_IMPORTS = """\
import airflow.providers.http.hooks.http
import airflow.providers.standard.decorators.python
import airflow.sdk.definitions.decorators
import jinja2.ext

__all__ = ["dag_policy"]
"""
# A DAG that only asset events start is of use to nobody while it is paused, but new DAGs are.
_SCHEDULED = """
def dag_policy(dag):
    if dag.dag_id == "bronze_ingest_dag":
        dag.is_paused_upon_creation = False
"""
# `use_job_schedule = False` would stop asset events, too, from starting runs.
_UNSCHEDULED = """
from airflow.sdk import DAG
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable


def dag_policy(dag):
    if not isinstance(dag.timetable, AssetTriggeredTimetable):
        dag.timetable = DAG(dag.dag_id, schedule=None).timetable
"""
_HEALTHY_WITHIN_S = 180


class Component(Server):
    """One of Airflow's processes, ready when Airflow's own health report says that it is healthy."""

    ready_timeout_s = _HEALTHY_WITHIN_S
    probe_interval_s = 0.5

    def __init__(self, supervisor: Supervisor, command: Command, *, health_url: str, health_name: str) -> None:
        super().__init__(supervisor)
        self._command = command
        self._health_url = health_url
        self._health_name = health_name

    def command(self) -> Command:
        """Return the command line."""
        return self._command

    def is_ready(self) -> bool:
        """Tell whether the health report names this component as healthy."""
        answer = probe(self._health_url, timeout_s=10)
        return bool(answer and answer.is_success and answer.json()[self._health_name]["status"] == "healthy")


class Airflow:
    """Airflow on `url`, for this machine only and without a login, with its home in `home`.

    `components` are its processes by name: api-server, scheduler, dag-processor and triggerer.

    `project_dir` is the folder with `dags` and `include`. With `scheduled` DAGs start paused and run by their
    schedules once they are not, as Airflow is set up by default; without, they are active at once and run only when
    they are triggered, or started by an asset.
    """

    PORT_COUNT = 1

    def __init__(
        self, supervisor: Supervisor, *, project_dir: Path, home: Path, log_dir: Path, port: int, scheduled: bool
    ) -> None:
        if not (project_dir / "dags").is_dir():
            raise StackError(
                f"no folder {project_dir / 'dags'}: Airflow needs the project's clone, not only its package"
            )
        self._supervisor = supervisor
        self._project_dir = project_dir
        self._home = home
        self._database = home / "airflow.db"
        self._log_dir = log_dir
        self._scheduled = scheduled
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        health_url = f"{self.url}/api/v2/monitor/health"
        # The logs lie in the home for all to read: the servers that pass them on would need further fixed ports.
        self.components = {
            argv[0]: Component(supervisor, self.command(*argv), health_url=health_url, health_name=health_name)
            for argv, health_name in (
                (("api-server", "--host", LOOPBACK, "--port", str(port)), "metadatabase"),
                (("scheduler", "--skip-serve-logs"), "scheduler"),
                (("dag-processor",), "dag_processor"),
                (("triggerer", "--skip-serve-logs"), "triggerer"),
            )
        }

    def migrate(self) -> None:
        """Write the configuration, and create or upgrade the database. Raises the errors of `Supervisor.run`."""
        write_private(self._home / "airflow.cfg", self._configuration())
        local_settings_path = self._home / "config" / "airflow_local_settings.py"
        write_private(local_settings_path, _IMPORTS + (_SCHEDULED if self._scheduled else _UNSCHEDULED))
        self._supervisor.run(self.command("db", "migrate"), timeout_s=_MIGRATION_TIMEOUT_S)
        # Four processes share the database. In this mode, which the file keeps, readers and the writer do not wait for
        # each other (https://sqlite.org/wal.html).
        with closing(sqlite3.connect(self._database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def start(self, say: Callable[[str], None]) -> None:
        """Start the four processes on the migrated database, and return when all are healthy.

        `say` is given a line about each that is. Raises the errors of `Supervisor.start`.
        """

        def start(name: str, component: Component) -> None:
            component.start()
            say(f"Airflow's {name} is up")

        with ThreadPoolExecutor(max_workers=len(self.components)) as pool:
            for started in [pool.submit(start, name, component) for name, component in self.components.items()]:
                started.result()

    def command(self, *argv: str) -> Command:
        """Return the command line `airflow *argv` for this home."""
        return Command(
            name=f"airflow {argv[0]}",
            argv=(sys.executable, "-m", "airflow", *argv),
            log_path=self._log_dir / f"airflow-{argv[0]}.log",
            env={
                "AIRFLOW_HOME": str(self._home),
                "PYTHONPATH": str(self._project_dir),
                "SCARF_ANALYTICS": "false",
                "DO_NOT_TRACK": "1",
            },
            cleared_prefixes=("AIRFLOW_", "_AIRFLOW_"),
            cwd=self._home,
        )

    def _configuration(self) -> str:
        """Return airflow.cfg: what differs from Airflow's defaults, and the secrets, made once for this home."""
        parser = configparser.ConfigParser(interpolation=None)
        options: Mapping[str, Mapping[str, object]] = {
            "core": {
                "dags_folder": self._project_dir / "dags",
                "plugins_folder": self._project_dir / "plugins",
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 8,
                "dagbag_import_timeout": 120,  # a busy machine takes longer than 30 s to import Airflow itself
                "dags_are_paused_at_creation": self._scheduled,
                "test_connection": "Enabled",
                "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
                "simple_auth_manager_all_admins": True,
                "execution_api_server_url": f"{self.url}/execution/",
                "fernet_key": self._secret("core", "fernet_key"),
            },
            # Four processes write to one file: on a busy machine SQLite's own 5 s are too short a wait for its lock.
            # But the API server can wait for a lock that it has itself, and answers nobody meanwhile.
            "database": {"sql_alchemy_conn": f"sqlite:///{self._database}?timeout=10"},
            "logging": {"base_log_folder": self._home / "logs"},
            "api": {
                "base_url": self.url,
                "workers": 1,
                "secret_key": self._secret("api", "secret_key"),
            },
            "api_auth": {"jwt_secret": self._secret("api_auth", "jwt_secret")},
            "scheduler": {
                # A task follows upon another at once, and not up to a second later.
                "scheduler_idle_sleep_time": 0.25,
                # Tasks are copies of a process that has imported what they need; Python 3.14's default undoes that.
                **({"mp_start_method": "fork"} if sys.platform == "linux" else {}),
            },
            # A deferred wait reports an end no sooner than a heartbeat and 2 s after it began: after 4 s instead of 7.
            # As long as by default, 15 s, an API server may be away before a task is killed.
            "workers": {"min_heartbeat_interval": 2, "max_failed_heartbeats": 8},
            # A new or changed DAG file shows within seconds, as one who edits it expects: it is parsed out of turn. All
            # are parsed again, since what they import may have changed, every 30 s, Airflow's default.
            "dag_processor": {"refresh_interval": 5, "parsing_processes": 1},
            "usage_data_collection": {"enabled": False},
            "openlineage": {"disabled": True},  # the provider may be installed, and nobody listens here
        }
        for section, values in options.items():
            # Airflow interpolates percent signs, which a path may have.
            parser[section] = {name: str(value).replace("%", "%%") for name, value in values.items()}
        text = StringIO()
        parser.write(text)
        return text.getvalue()

    def _secret(self, section: str, name: str) -> str:
        """Return the secret that airflow.cfg has already, or a new one: 32 random bytes, as a Fernet key is made."""
        existing = configparser.ConfigParser(interpolation=None)
        existing.read(self._home / "airflow.cfg")
        return existing.get(section, name, fallback=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
