"""Which sinks the settings configure, and which environment variables are missing for the others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from data_emulator.settings import Settings

_AWS_CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Each of these says where AWS's clients find credentials; obstore reads them by itself."""


@dataclass(frozen=True)
class SinkConfiguration:
    """What the settings say of one sink.

    :param name: as in a request's `emulator_sync`.
    :param title: what people call it.
    :param at: where it is, if it is configured.
    :param missing: the environment variables to set; empty if it is configured.
    """

    name: str
    title: str
    at: str
    missing: tuple[str, ...]

    @property
    def is_configured(self) -> bool:
        """Whether emulations can be sent there."""
        return not self.missing

    def __str__(self) -> str:
        if self.is_configured:
            return f"{self.title} at {self.at}"
        *others, last = self.missing
        names = f"{', '.join(others)} and {last}" if others else last
        return f"{self.title} is not configured: set {names}"


def sink_configurations(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> dict[str, SinkConfiguration]:
    """Return what the settings say of each sink, by its name. Nothing is connected to.

    :param environment: where AWS's own variables are looked up; by default this process's environment.
    """
    return {
        "minio": s3_configuration(settings, environment),
        "kafka": _kafka(settings),
        "file": _file(settings),
    }


def s3_configuration(settings: Settings, environment: Mapping[str, str] | None = None) -> SinkConfiguration:
    """Return what the settings say of S3.

    Credentials are the key pair of the settings, those that AWS's own variables lead to, or the machine's role if
    `s3_instance_profile` is set. Without that setting nobody asks an instance's metadata service for credentials.

    :param environment: where AWS's own variables are looked up; by default this process's environment.
    """
    environment = os.environ if environment is None else environment
    keys = {
        "DATA_EMULATOR_S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "DATA_EMULATOR_S3_SECRET_ACCESS_KEY": settings.s3_secret_access_key,
    }
    missing = [name for name, value in keys.items() if not value]
    by_role = settings.s3_instance_profile or any(environment.get(name) for name in _AWS_CREDENTIALS)
    if len(missing) == len(keys) and by_role:
        missing = []
    if len(missing) == len(keys) and not settings.s3_endpoint:
        missing.insert(0, "DATA_EMULATOR_S3_ENDPOINT")  # needed by all but those whose store is Amazon's
    return SinkConfiguration("minio", "S3", settings.s3_endpoint or "Amazon", tuple(missing))


def _kafka(settings: Settings) -> SinkConfiguration:
    servers = settings.kafka_bootstrap_servers
    return SinkConfiguration(
        "kafka", "Kafka", servers or "", () if servers else ("DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS",)
    )


def _file(settings: Settings) -> SinkConfiguration:
    root = settings.file_root
    return SinkConfiguration("file", "Folder", str(root or ""), () if root else ("DATA_EMULATOR_FILE_ROOT",))
