"""What the servers are started with: loopback only, secrets in no command line, nothing that calls out."""

import configparser
import os
import runpy
import sqlite3
import stat
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.configuration import conf
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable

from data_emulator.stack import seaweedfs, tansu
from data_emulator.stack.airflow import Airflow
from data_emulator.stack.processes import StackError, Supervisor
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS, write_private
from data_emulator.stack.service import Service
from data_emulator.stack.tansu import Tansu, tansu_path


@pytest.fixture
def store(tmp_path: Path) -> SeaweedFS:
    return SeaweedFS(
        Supervisor(guarded=False),
        data_dir=tmp_path / "data",
        log_path=tmp_path / "log",
        ports=range(20_000, 20_000 + SeaweedFS.PORT_COUNT),
        credentials=Credentials.kept_in(tmp_path / "credentials.json"),
        buckets=["log"],
    )


def make_airflow(tmp_path: Path, *, scheduled: bool = True) -> Airflow:
    (tmp_path / "dags").mkdir(exist_ok=True)
    return Airflow(
        Supervisor(guarded=False),
        project_dir=tmp_path,
        home=tmp_path / "home",
        log_dir=tmp_path / "logs",
        port=20_100,
        scheduled=scheduled,
    )


def test_credentials_are_made_once_for_their_owner_only_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "new" / "credentials.json"
    made = Credentials.kept_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Credentials.kept_in(path) == made
    assert Credentials.kept_in(tmp_path / "other.json") != made
    assert made.secret_access_key not in repr(made)


def test_private_files_replace_what_was_readable(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_command_line_or_repr_has_a_secret(store: SeaweedFS, tmp_path: Path) -> None:
    supervisor = Supervisor(guarded=False)
    broker = Tansu(supervisor, store=store, work_dir=tmp_path, log_path=tmp_path / "log", port=20_050)
    service = Service(
        supervisor,
        store=store,
        bootstrap_servers=broker.bootstrap_servers,
        delivery="at-least-once",
        data_dir=tmp_path,
        log_path=tmp_path / "log",
        port=20_051,
    )
    for server in (store, broker, service):
        command = server.command()
        assert store.secret_access_key not in " ".join(command.argv)
        assert store.secret_access_key not in repr(command)
    assert stat.S_IMODE((tmp_path / "data.s3.json").stat().st_mode) == 0o600


def test_servers_listen_on_loopback_and_call_nobody(store: SeaweedFS, tmp_path: Path) -> None:
    argv = store.command().argv
    assert "-ip.bind=127.0.0.1" in argv
    assert "-master.telemetry=false" in argv
    assert {f"-s3.port={20_000}", f"-admin.port.grpc={20_009}"} <= set(argv)
    broker = Tansu(Supervisor(guarded=False), store=store, work_dir=tmp_path, log_path=tmp_path, port=20_050)
    assert "--listener-url=tcp://127.0.0.1:20050" in broker.command().argv


def test_a_missing_program_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweedfs.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StackError, match="extra 'embedded'"):
        seaweedfs.weed_path()
    monkeypatch.setattr(tansu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StackError, match="extra 'embedded'"):
        tansu_path(tmp_path)


def test_a_broker_without_its_exec_bit_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "package" / "bin" / "tansu"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    spec = SimpleNamespace(origin=str(tmp_path / "package" / "__init__.py"))
    monkeypatch.setattr(tansu.importlib.util, "find_spec", lambda name: spec)
    program.chmod(0o755)
    assert tansu_path(tmp_path / "run") == program
    program.chmod(0o644)
    copy = tansu_path(tmp_path / "run")
    assert copy.parent == tmp_path / "run"
    assert os.access(copy, os.X_OK)
    assert not os.access(program, os.X_OK)


def test_airflow_keeps_its_secrets_and_takes_its_new_address(tmp_path: Path) -> None:
    airflow = make_airflow(tmp_path)
    (tmp_path / "home").mkdir()
    first = airflow._configuration()
    (tmp_path / "home" / "airflow.cfg").write_text(first)
    airflow._scheduled = False
    airflow.url = "http://127.0.0.1:20200"
    parsed, again = configparser.ConfigParser(), configparser.ConfigParser()
    parsed.read_string(first)
    again.read_string(airflow._configuration())
    for section, name in (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret")):
        assert len(parsed[section][name]) == 44
        assert again[section][name] == parsed[section][name]
    assert len({parsed["core"]["fernet_key"], parsed["api"]["secret_key"], parsed["api_auth"]["jwt_secret"]}) == 3
    assert again["core"]["execution_api_server_url"] == "http://127.0.0.1:20200/execution/"
    assert parsed["core"]["dags_are_paused_at_creation"] == "True"
    assert again["core"]["dags_are_paused_at_creation"] == "False"


def test_tasks_outlive_an_absence_of_the_api_server_as_long_as_by_default(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    parsed = configparser.ConfigParser()
    parsed.read_string(make_airflow(tmp_path)._configuration())
    names = ("min_heartbeat_interval", "max_failed_heartbeats")
    interval_s, failures = (parsed["workers"].getint(name) for name in names)
    default_interval_s, default_failures = (int(conf.get_default_value("workers", name)) for name in names)
    assert interval_s < default_interval_s, "a wait for a short emulation takes as long as that, and 2 s"
    assert interval_s * failures >= default_interval_s * default_failures


def test_without_schedules_a_cluster_policy_leaves_only_those_by_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = make_airflow(tmp_path)
    monkeypatch.setattr(Supervisor, "run", lambda *arguments, **options: None)
    path = tmp_path / "home" / "config" / "airflow_local_settings.py"
    airflow._scheduled = False
    airflow.migrate()
    policies = runpy.run_path(str(path))
    asset = Asset("a")
    timed, by_asset, by_partition = (
        DAG("timed", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC)),
        DAG("by_asset", schedule=[asset]),
        DAG("by_partition", schedule=PartitionedAssetTimetable(assets=asset)),
    )
    for dag in (timed, by_asset, by_partition):
        policies["dag_policy"](dag)
    assert not timed.timetable.can_be_scheduled
    assert by_asset.timetable == DAG("other", schedule=[asset]).timetable
    assert isinstance(by_partition.timetable, PartitionedAssetTimetable)


def test_with_schedules_only_bronze_begins_unpaused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Supervisor, "run", lambda *arguments, **options: None)
    make_airflow(tmp_path).migrate()
    policies = runpy.run_path(str(tmp_path / "home" / "config" / "airflow_local_settings.py"))
    timed = DAG("all_emulations_dag", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC))
    bronze = DAG("bronze_ingest_dag", schedule=PartitionedAssetTimetable(assets=Asset("a")))
    for dag in (timed, bronze):
        policies["dag_policy"](dag)
    assert timed.timetable.can_be_scheduled
    assert timed.is_paused_upon_creation is None
    assert bronze.is_paused_upon_creation is False


def test_airflows_processes_do_not_wait_for_each_other_to_read_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "run", lambda *arguments, **options: None)
    make_airflow(tmp_path).migrate()
    with closing(sqlite3.connect(tmp_path / "home" / "airflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_airflow_paths_may_have_percent_signs(tmp_path: Path) -> None:
    project = tmp_path / "100%"
    project.mkdir()
    parsed = configparser.ConfigParser()
    parsed.read_string(make_airflow(project)._configuration())
    assert parsed["core"]["dags_folder"] == str(project / "dags")


def test_airflow_needs_the_dags_of_a_clone(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the project's clone"):
        Airflow(
            Supervisor(guarded=False),
            project_dir=tmp_path,
            home=tmp_path,
            log_dir=tmp_path,
            port=20_100,
            scheduled=True,
        )


def test_airflow_runs_by_the_same_python_and_not_by_what_a_user_has_set(tmp_path: Path) -> None:
    command = make_airflow(tmp_path).components["scheduler"].command()
    assert command.argv[:3] == (sys.executable, "-m", "airflow")
    assert "AIRFLOW_" in command.cleared_prefixes
    assert command.env["AIRFLOW_HOME"] == str(tmp_path / "home")
