"""``data-emulator ls`` and ``show``, and ``emulate`` to real servers: what is there is found and read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from data_emulator.cli import app, common
from data_emulator.settings import Settings
from data_emulator.stack import folders
from data_emulator.stack.addresses import Addresses
from data_emulator.stack.incidents import Incident, record_incident
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.support.running_service import RunningService, request

UNKNOWN_ID = "9b0a4a1c-7c43-4f34-9d1b-0f5f6a0d2f55"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DATA_EMULATOR_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "running_stack", lambda: None)
    monkeypatch.setattr(folders, "up_dir", lambda: tmp_path / "up")


@pytest.fixture
def stack(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    s3_store: SeaweedFS,
    kafka_broker: Tansu,
    running: RunningService,
) -> Addresses:
    """The session's servers, as if 'make up' had started them."""
    keys = tmp_path / "keys.json"
    keys.write_text(
        json.dumps({"access_key_id": s3_store.access_key_id, "secret_access_key": s3_store.secret_access_key})
    )
    url = f"http://127.0.0.1:{running.port}"
    addresses = Addresses(s3_store.endpoint, str(keys), kafka_broker.bootstrap_servers, url, None)
    monkeypatch.setattr(common, "running_stack", lambda: addresses)
    return addresses


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env=environment)


def shown(*arguments: str) -> list[Any]:
    done = run("show", *arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def row(output: str, place: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.startswith(place + " "))
    return line.split()[1:]


def emulated(*arguments: str) -> Result:
    done = run("emulate", *arguments)
    assert done.exit_code == 0, done.output
    return done


def test_a_folder_is_listed_and_shown(tmp_path: Path) -> None:
    emulated("transaction", "-n", "1000", "--chunk-bytes", "100000")
    (folder,) = (tmp_path / "data" / "transactions").iterdir()
    files = sorted(folder.iterdir())
    size = sum(each.stat().st_size for each in files)
    assert row(run("ls").stdout, "data/transactions") == [str(len(files)), "files", f"{size:,}"]
    first = [json.loads(line) for line in files[0].read_text().splitlines()[:4]]
    for place in ("data", "data/transactions", str(folder), folder.as_uri(), str(files[0])):
        assert shown(place, "-n", "4") == first

    emulated("transaction", "-n", "10", "--format", "parquet")
    (newest,) = {*(tmp_path / "data" / "transactions").iterdir()} - {folder}
    assert [each["emulation_id"] for each in shown("data", "-n", "100")] == [newest.name] * 10


@pytest.mark.parametrize("place", ["nowhere", "empty", "s3://transactions", "kafka://transactions", UNKNOWN_ID])
def test_what_cannot_be_shown_is_told_in_a_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run("show", place, DATA_EMULATOR_PORT="1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("data-emulator: ")
    assert done.stderr.count("\n") == 1


def test_nothing_there_is_told() -> None:
    done = run("ls")
    assert done.exit_code == 2
    assert "nothing is there. Try: data-emulator emulate" in done.stderr


@pytest.mark.integration
def test_emulations_to_a_running_stack_are_listed_and_shown(stack: Addresses, running: RunningService) -> None:
    before = run("ls").stdout
    done = emulated("transaction", "-n", "700", "--to", "kafka", "--format", "csv")
    assert done.stderr == "Using the stack that 'make up' started.\n"
    assert "700 records of transaction in 3 partitions" in done.stdout
    assert ": equal." in done.stdout
    done = emulated("transaction", "-n", "300", "--to", "s3", "--format", "avro")
    assert "checksums: equal." in done.stdout
    by_service = running.post(request(emulation_domain="user-profile"))
    running.ended(by_service)

    listed = run("ls")
    assert listed.exit_code == 0, listed.output
    was = int(row(before, "kafka://transactions")[2].replace(",", "")) if "kafka://transactions" in before else 0
    assert int(row(listed.stdout, "kafka://transactions")[2].replace(",", "")) == was + 700
    assert "s3://transactions" in listed.stdout
    assert f"  {by_service} user-profile" in listed.stdout
    assert [each["emulation_id"] for each in shown(by_service, "-n", "2")] == [by_service] * 2
    assert [each["emulation_id"] for each in shown("s3://user-profiles", "-n", "2")] == [by_service] * 2
    assert len(run("show", "kafka://transactions", "-n", "5").stdout.splitlines()) == 5
    assert run("verify", by_service).exit_code == 0


def test_what_has_died_in_the_running_stack_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.json"
    addresses = Addresses("http://127.0.0.1:1", str(keys), "127.0.0.1:2", "http://127.0.0.1:3", None)
    monkeypatch.setattr(common, "running_stack", lambda: addresses)
    monkeypatch.setattr(folders, "up_dir", lambda: tmp_path)
    record_incident(tmp_path, Incident(time.time(), "tansu died (exit status 1)", server="tansu"))
    assert common.with_running_stack(common.settings_with({})).s3_endpoint == "http://127.0.0.1:1"
    assert "tansu died (exit status 1) and was started again." in capsys.readouterr().err


@pytest.mark.integration
def test_the_environment_wins_over_a_running_stack(stack: Addresses, closed_port: int) -> None:
    settings = common.with_running_stack(common.settings_with({}))
    assert (settings.s3_endpoint, f"http://{settings.host}:{settings.port}") == (stack.s3_endpoint, stack.service_url)
    assert settings.kafka_delivery == "at-least-once"
    done = run(
        "emulate", "transaction", "--to", "kafka", DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port}"
    )
    assert done.exit_code == 2
    assert f"127.0.0.1:{closed_port}" in done.stderr


def test_without_a_store_the_missing_variables_are_named() -> None:
    for to, name in (("s3", "DATA_EMULATOR_S3_ENDPOINT"), ("kafka", "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS")):
        done = run("emulate", "transaction", "--to", to)
        assert done.exit_code == 2
        assert name in done.stderr
        assert "make up" in done.stderr
