"""Which sinks the settings configure, and what is told of the others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import SecretStr

from data_emulator.errors import ConfigurationError
from data_emulator.settings import Settings
from data_emulator.sinks.configured import s3_configuration, sink_configurations
from data_emulator.sinks.s3.bucket import open_bucket

ENDPOINT = "DATA_EMULATOR_S3_ENDPOINT"
KEY_ID = "DATA_EMULATOR_S3_ACCESS_KEY_ID"
SECRET_KEY = "DATA_EMULATOR_S3_SECRET_ACCESS_KEY"
KEYS = {"s3_access_key_id": SecretStr("id"), "s3_secret_access_key": SecretStr("secret")}


def test_without_settings_every_variable_is_missing() -> None:
    sinks = sink_configurations(Settings(), {})
    assert sinks["minio"].missing == (ENDPOINT, KEY_ID, SECRET_KEY)
    assert str(sinks["minio"]) == f"S3 is not configured: set {ENDPOINT}, {KEY_ID} and {SECRET_KEY}"
    assert str(sinks["kafka"]) == "Kafka is not configured: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS"
    assert str(sinks["file"]) == "Folder is not configured: set DATA_EMULATOR_FILE_ROOT"


def test_configured_sinks_tell_where_they_are() -> None:
    settings = Settings.model_validate(
        {"s3_endpoint": "http://s3:1", "kafka_bootstrap_servers": "k:2", "file_root": "/data", **KEYS}
    )
    told = [str(sink) for sink in sink_configurations(settings, {}).values()]
    assert told == ["S3 at http://s3:1", "Kafka at k:2", "Folder at /data"]
    assert "secret" not in repr(sink_configurations(settings, {}))


def test_amazons_store_needs_no_endpoint() -> None:
    amazon = s3_configuration(Settings.model_validate(KEYS), {})
    assert (amazon.missing, str(amazon)) == ((), "S3 at Amazon")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"s3_endpoint": "http://s3:1"}, (KEY_ID, SECRET_KEY)),
        ({"s3_access_key_id": "id"}, (SECRET_KEY,)),
        ({"s3_secret_access_key": "secret", "s3_endpoint": "http://s3:1"}, (KEY_ID,)),
    ],
)
def test_only_what_is_missing_is_named(given: dict[str, str], missing: tuple[str, ...]) -> None:
    assert s3_configuration(Settings.model_validate(given), {}).missing == missing


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_credentials_may_come_from_awss_own_variables(variable: str) -> None:
    assert s3_configuration(Settings(), {variable: "x"}).is_configured
    assert not s3_configuration(Settings(), {variable: "", "AWS_DEFAULT_REGION": "eu-central-1"}).is_configured


def test_the_machines_role_is_used_on_request() -> None:
    assert s3_configuration(Settings(s3_instance_profile=True), {}).is_configured


@pytest.mark.parametrize("environment", [{"AWS_ACCESS_KEY_ID": "x"}, {}])
def test_half_a_key_pair_is_not_replaced_by_other_credentials(environment: dict[str, str]) -> None:
    settings = Settings(s3_access_key_id=SecretStr("id"), s3_instance_profile=True)
    assert s3_configuration(settings, environment).missing == (SECRET_KEY,)


def test_a_bucket_is_not_opened_without_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=SECRET_KEY):
        open_bucket(Settings(), "bucket", timedelta(seconds=1))
