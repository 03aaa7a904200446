"""Settings: from the environment, checked, and silent about secrets."""

import pytest
from pydantic import SecretStr, ValidationError

from data_emulator.errors import ConfigurationError
from data_emulator.settings import Settings

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DATA_EMULATOR_{name.upper()}", raising=False)


def test_each_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_EMULATOR_PORT", "1234")
    monkeypatch.setenv("DATA_EMULATOR_DEFAULT_RATE", "12.5")
    monkeypatch.setenv("DATA_EMULATOR_TOKEN", SECRET)
    monkeypatch.setenv("DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2")
    settings = Settings()
    assert (settings.port, settings.default_rate, settings.kafka_bootstrap_servers) == (1234, 12.5, "a:1,b:2")
    assert settings.token == SecretStr(SECRET)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_EMULATOR_TOKEN", "")
    monkeypatch.setenv("DATA_EMULATOR_PORT", "")
    assert (Settings().token, Settings().port) == (None, 8000)


def test_the_defaults_are_for_one_machine() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.default_rate == 2000
    settings.check_exposure()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "-1"),
        ("PORT", "70000"),
        ("DEFAULT_RATE", "0"),
        ("SINK_TIMEOUT_S", "-1"),
        ("WORKERS", "0"),
        ("MAX_RUNNING", "0"),
        ("MAX_QUEUED", "-1"),
        ("MAX_BODY_BYTES", "1"),
        ("WORLD_USERS", "0"),
        ("KAFKA_PARTITIONS", "none"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DATA_EMULATOR_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [error["loc"] for error in caught.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}", f"{SECRET} x", f"{SECRET}\r\nX: y", f"{SECRET}é"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("DATA_EMULATOR_TOKEN", token)
    with pytest.raises(ValidationError, match="token\n  Value error, must be of visible ASCII characters") as caught:
        Settings()
    assert SECRET not in str(caught.value)


def test_no_secret_is_shown() -> None:
    settings = Settings(
        token=SecretStr(SECRET),
        s3_access_key_id=SecretStr(SECRET),
        s3_secret_access_key=SecretStr(SECRET),
        kafka_config=SecretStr(f'{{"sasl.password": "{SECRET}"}}'),
        database_url=f"postgresql://user:{SECRET}@host/db",
    )
    assert SECRET not in f"{settings!r} {settings}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    Settings(host=host).check_exposure()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"DATA_EMULATOR_TOKEN.*--insecure"):
        Settings(host=host).check_exposure()
    Settings(host=host, token=SecretStr(SECRET)).check_exposure()
    Settings(host=host, insecure=True).check_exposure()
