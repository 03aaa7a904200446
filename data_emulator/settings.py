"""The service's settings, each from the environment variable ``DATA_EMULATOR_<NAME>``."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from data_emulator.domains.fraud import MAX_FRAUD_SHARE
from data_emulator.domains.world import DEFAULT_FRAUD_SHARE
from data_emulator.errors import ConfigurationError


class Settings(BaseSettings):
    """What can be set. Secrets are `SecretStr`: they print as asterisks, wherever they go."""

    model_config = SettingsConfigDict(
        env_prefix="DATA_EMULATOR_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    host: Annotated[str, Field(description="address to listen on; anything but loopback needs a token")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    token: Annotated[SecretStr | None, Field(description="bearer token that every request must carry")] = None
    insecure: Annotated[bool, Field(description="listen beyond loopback without a token")] = False
    database_url: Annotated[
        str, Field(description="SQLAlchemy URL of the state", repr=False)  # it may hold a password
    ] = "sqlite:///data-emulator.db"

    s3_endpoint: Annotated[str | None, Field(description="URL of the S3 API; unset, Amazon's")] = None
    s3_access_key_id: SecretStr | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_instance_profile: Annotated[
        bool, Field(description="without a key pair, take credentials from the machine's role (EC2's metadata service)")
    ] = False
    s3_region: str = "us-east-1"
    file_root: Annotated[
        Path | None, Field(description="folder that the sink `file` writes to, with a subfolder for each bucket")
    ] = None
    kafka_bootstrap_servers: Annotated[str | None, Field(description="host:port, several separated by commas")] = None
    kafka_config: Annotated[
        SecretStr | None, Field(description="more librdkafka properties (TLS, SASL), as a JSON object")
    ] = None
    kafka_partitions: Annotated[int, Field(ge=1, description="partitions of the topics that the service creates")] = 3
    kafka_replication_factor: Annotated[int, Field(ge=-1, description="-1: the broker's default")] = 1
    kafka_delivery: Annotated[
        Literal["exactly-once", "at-least-once"],
        Field(description="with transactions, or without for brokers that have none worth the name"),
    ] = "exactly-once"
    schema_registry_url: Annotated[
        str | None, Field(description="Confluent-compatible schema registry, for Avro in Kafka; no credentials in it")
    ] = None
    schema_registry_user: str | None = None
    schema_registry_password: SecretStr | None = None
    commit_interval_s: Annotated[float, Field(gt=0, le=30, description="time between two commits to Kafka")] = 0.5
    sink_timeout_s: Annotated[float, Field(gt=0, description="how long one write may go unacknowledged")] = 30.0
    sink_outage_s: Annotated[
        float, Field(ge=0, description="how long a sink may be away before its emulations fail")
    ] = 300.0

    retention_days: Annotated[
        float, Field(ge=0, description="how long ended emulations are known, their manifests and keys; 0: for good")
    ] = 30.0

    default_rate: Annotated[float, Field(gt=0, description="records a second of an emulation that names no rate")] = (
        2000.0
    )
    world_seed: Annotated[int, Field(description="seed of the world of users")] = 20
    world_users: Annotated[int, Field(ge=1, le=10_000_000, description="active users in a world")] = 10_000

    fraud_share: Annotated[float, Field(ge=0, le=MAX_FRAUD_SHARE, description="share of payments that are fraud")] = (
        DEFAULT_FRAUD_SHARE
    )

    workers: Annotated[int, Field(ge=1, le=256, description="processes that generate")] = os.cpu_count() or 1
    max_running: Annotated[int, Field(ge=1, description="emulations at once; more of them queue")] = 200
    max_queued: Annotated[int, Field(ge=0, description="emulations waiting; more of them get 429")] = 1000
    max_memory_mb: Annotated[
        int, Field(ge=64, description="memory, in MiB, for the buffers of running emulations; more of them queue")
    ] = 4096
    max_body_bytes: Annotated[int, Field(ge=1024, description="10,000 ids have 400 kB")] = 1_048_576
    max_wait_s: Annotated[float, Field(ge=0, description="longest long poll that is granted")] = 60.0

    @field_validator("token")
    @classmethod
    def _is_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        """Refuse a token that no request could carry: a line end at its end comes easily with a mounted secret."""
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("must be of visible ASCII characters, without blanks and line ends")
        return token

    @field_validator("file_root")
    @classmethod
    def _is_the_same_folder_from_everywhere(cls, root: Path | None) -> Path | None:
        return None if root is None else root.expanduser().absolute()

    def check_exposure(self) -> None:
        """Refuse to serve beyond loopback in the open.

        :raises ConfigurationError: when `host` is no loopback address, there is no token, and `insecure` is not set.
        """
        if self.token is None and not self.insecure and not _is_loopback(self.host):
            raise ConfigurationError(
                f"listening on {self.host} needs a token: set DATA_EMULATOR_TOKEN, or pass --insecure to let anyone "
                "who can reach this address start emulations"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
