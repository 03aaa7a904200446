"""``data-emulator``: what it refuses to serve, and what it prints."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from data_emulator import cli, logs
from data_emulator.api import server
from data_emulator.settings import Settings
from data_emulator.stack.processes import Supervisor
from tests.support.running_service import RunningService

SECRET = "s3cr3t-value"
Refused = Callable[..., None]


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command line, which is expected to end by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATA_EMULATOR_")}
    given = {f"DATA_EMULATOR_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "data_emulator", *arguments],
        env={**inherited, "DATA_EMULATOR_DATABASE_URL": f"sqlite:///{folder / 'state.db'}", **given},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(exit_status: int, output: str, error: str, words: list[str]) -> None:
    """Check for exit status 2 and one readable line that says why."""
    assert exit_status == 2, error
    assert output == ""
    assert error.startswith("data-emulator: ")
    assert "Traceback" not in error
    for word in words:
        assert word in error
    assert SECRET not in error


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Refused:
    """Check that ``serve`` refuses these settings with these words. In this process, which is much faster."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DATA_EMULATOR_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", lambda: None)  # it is for the whole process
    monkeypatch.setattr(server, "Server", None)  # whatever comes to serve fails

    def check(*words: str, **settings: str) -> None:
        given = {f"DATA_EMULATOR_{name}": value for name, value in settings.items()}
        done = CliRunner().invoke(cli.app, ["serve"], env=given)
        assert_refused(done.exit_code, done.stdout, done.stderr, [*words])

    return check


def test_beyond_loopback_a_token_is_needed(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--host", "0.0.0.0")
    assert_refused(done.returncode, done.stdout, done.stderr, ["0.0.0.0", "DATA_EMULATOR_TOKEN", "--insecure"])
    assert not (tmp_path / "state.db").exists()


def test_the_environment_cannot_open_it_either(refused: Refused) -> None:
    refused("0.0.0.0", "DATA_EMULATOR_TOKEN", HOST="0.0.0.0")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "eighty", "integer"),
        ("DEFAULT_RATE", "-1", "greater than 0"),
        ("WORKERS", SECRET, "integer"),
        ("DATABASE_URL", SECRET, "URL"),
        ("DATABASE_URL", f"unheardof://user:{SECRET}@host/db", "unheardof"),
        ("DATABASE_URL", "sqlite:////nonexistent/state.db", "unable to open"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    refused: Refused, name: str, value: str, reason: str
) -> None:
    refused(f"DATA_EMULATOR_{name}: ", reason, **{name: value})


@pytest.mark.parametrize("config", [SECRET, f'{{"sasl.mechanism": "{SECRET}"', f'{{"security.protocol": "{SECRET}"}}'])
def test_a_wrong_kafka_config_is_named_and_not_shown(refused: Refused, config: str) -> None:
    refused("DATA_EMULATOR_KAFKA_CONFIG", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", KAFKA_CONFIG=config)


def test_several_wrong_settings_are_named_at_once(refused: Refused) -> None:
    refused("DATA_EMULATOR_WORKERS", "DATA_EMULATOR_MAX_RUNNING", WORKERS="0", MAX_RUNNING="many")


def test_the_openapi_document_is_printed_without_a_service(tmp_path: Path) -> None:
    done = run(tmp_path, "openapi", TOKEN=SECRET, S3_SECRET_ACCESS_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["info"]["title"] == "Data Emulator Service"
    assert SECRET not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_it_explains_itself(tmp_path: Path) -> None:
    shown = run(tmp_path)
    assert "serve" in shown.stdout + shown.stderr


@pytest.mark.integration
@pytest.mark.parametrize("by", ["token", "--insecure"])
def test_it_serves_beyond_loopback_with_a_token_or_when_told_so(
    supervisor: Supervisor, tmp_path: Path, by: str
) -> None:
    arguments = ["--host", "0.0.0.0"] + ([by] if by == "--insecure" else [])
    environment = {"DATA_EMULATOR_TOKEN": SECRET} if by == "token" else {}
    service = RunningService(supervisor, tmp_path, environment, *arguments)
    try:
        service.start()
        assert service.http.get("/").status_code == (401 if by == "token" else 200)
        authorized = service.http.get("/", headers={"Authorization": f"Bearer {SECRET}"})
        assert authorized.status_code == 200
    finally:
        service.end()
    assert SECRET not in service.output()


@pytest.mark.integration
def test_a_port_that_is_taken_is_an_error(running: RunningService, tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", str(running.port))
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert httpx.get(f"http://127.0.0.1:{running.port}/healthz", trust_env=False).status_code == 200


@pytest.mark.integration
def test_a_start_is_logged_with_address_and_sinks(running: RunningService) -> None:
    lines = [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]
    (event,) = [line for line in lines if line["event"] == "serving"]
    assert event["url"] == f"http://127.0.0.1:{running.port}"
    assert event["docs"] == f"http://127.0.0.1:{running.port}/docs"
    assert event["sinks"].keys() == {"minio", "kafka"}
    assert event["missing"] == {"file": ["DATA_EMULATOR_FILE_ROOT"]}


def test_a_start_is_readable_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    settings = Settings(file_root=tmp_path, token=SecretStr(SECRET), s3_secret_access_key=SecretStr(SECRET))
    cli.serve._announce("http://127.0.0.1:8000", settings)
    told = capsys.readouterr().err
    for line in (
        "  API     http://127.0.0.1:8000",
        "  Try it  http://127.0.0.1:8000/docs",
        f"  Folder  {tmp_path}",
        "  Kafka   not configured; set",
        "          DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS",
    ):
        assert line in told.splitlines()
    assert SECRET not in told
    assert max(len(line) for line in told.splitlines() if str(tmp_path) not in line) <= 60
