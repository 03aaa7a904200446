"""``data-emulator``: what it refuses to serve, and what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.data_emulator.running_service import RunningService

SECRET = "s3cr3t-value"


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


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check for exit status 2 and one readable line that says why."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("data-emulator: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert SECRET not in done.stderr


def test_beyond_loopback_a_token_is_needed(tmp_path: Path) -> None:
    assert_refused(run(tmp_path, "serve", "--host", "0.0.0.0"), "0.0.0.0", "DATA_EMULATOR_TOKEN", "--insecure")
    assert not (tmp_path / "state.db").exists()


def test_the_environment_cannot_open_it_either(tmp_path: Path) -> None:
    assert_refused(run(tmp_path, "serve", HOST="0.0.0.0"), "0.0.0.0", "DATA_EMULATOR_TOKEN")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "eighty", ["DATA_EMULATOR_PORT"]),
        ("DEFAULT_RATE", "-1", ["DATA_EMULATOR_DEFAULT_RATE"]),
        ("WORKERS", SECRET, ["DATA_EMULATOR_WORKERS"]),
        ("DATABASE_URL", SECRET, ["DATA_EMULATOR_DATABASE_URL"]),
        ("DATABASE_URL", f"unheardof://user:{SECRET}@host/db", ["DATA_EMULATOR_DATABASE_URL", "unheard"]),
        ("DATABASE_URL", "sqlite:////nonexistent/state.db", ["DATA_EMULATOR_DATABASE_URL", "unable to open"]),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    tmp_path: Path, name: str, value: str, words: list[str]
) -> None:
    assert_refused(run(tmp_path, "serve", **{name: value}), *words)


@pytest.mark.parametrize("config", [SECRET, f'{{"sasl.mechanism": "{SECRET}"', f'{{"security.protocol": "{SECRET}"}}'])
def test_a_wrong_kafka_config_is_named_and_not_shown(tmp_path: Path, config: str) -> None:
    done = run(tmp_path, "serve", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", KAFKA_CONFIG=config)
    assert_refused(done, "DATA_EMULATOR_KAFKA_CONFIG")


def test_several_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", WORKERS="0", MAX_RUNNING="many")
    assert_refused(done, "DATA_EMULATOR_WORKERS", "DATA_EMULATOR_MAX_RUNNING")


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
def test_it_serves_beyond_loopback_with_a_token_or_when_told_so(tmp_path: Path, by: str) -> None:
    arguments = ["--host", "0.0.0.0"] + ([by] if by == "--insecure" else [])
    environment = {"DATA_EMULATOR_TOKEN": SECRET} if by == "token" else {}
    service = RunningService(tmp_path, environment, *arguments)
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
