"""Where a running stack is reached, and how other programs are told."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from data_emulator.stack.folders import addresses_path
from data_emulator.stack.owner import running_owner
from data_emulator.stack.seaweedfs import REGION, Credentials

if TYPE_CHECKING:
    from data_emulator.settings import Settings

DELIVERY: Literal["at-least-once"] = (
    "at-least-once"  # of the embedded broker no more can be promised: see docs/adr/0003
)


@dataclass(frozen=True)
class Addresses:
    """Where a running stack is reached; `s3_credentials_path` is a file with its key pair."""

    s3_endpoint: str
    s3_credentials_path: str
    kafka_bootstrap_servers: str
    service_url: str
    airflow_url: str | None

    def settings(self) -> Settings:
        """Return the settings by which this stack's service reaches its store and broker."""
        # With it come numpy and pyarrow, which the process that runs a stack would only hold in memory.
        from data_emulator.settings import Settings

        credentials = Credentials.kept_in(Path(self.s3_credentials_path))
        return Settings(
            token=None,
            s3_endpoint=self.s3_endpoint,
            s3_region=REGION,
            s3_access_key_id=SecretStr(credentials.access_key_id),
            s3_secret_access_key=SecretStr(credentials.secret_access_key),
            kafka_bootstrap_servers=self.kafka_bootstrap_servers,
            kafka_config=None,
        )

    def environment(self) -> dict[str, str]:
        """Return environment variables, keys among them, for `data-emulator`, and for the AWS tools and libraries."""
        credentials = Credentials.kept_in(Path(self.s3_credentials_path))
        service = urlsplit(self.service_url)
        return {
            "DATA_EMULATOR_HOST": str(service.hostname),
            "DATA_EMULATOR_PORT": str(service.port),
            "DATA_EMULATOR_S3_ENDPOINT": self.s3_endpoint,
            "DATA_EMULATOR_S3_REGION": REGION,
            "DATA_EMULATOR_S3_ACCESS_KEY_ID": credentials.access_key_id,
            "DATA_EMULATOR_S3_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "DATA_EMULATOR_KAFKA_DELIVERY": DELIVERY,
            "AWS_ENDPOINT_URL": self.s3_endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        }


def store_addresses(run_dir: Path, addresses: Addresses) -> None:
    """Let other programs know where the stack in `run_dir` is reached."""
    addresses_path(run_dir).write_text(json.dumps(asdict(addresses), indent=2) + "\n")


def running_addresses(run_dir: Path) -> Addresses | None:
    """Return where the stack in `run_dir` is reached, or None when none is up there.

    A server of it that has died and is being started again does not count: its address stays.
    """
    path = addresses_path(run_dir)
    if running_owner(run_dir) is None or not path.exists():
        return None
    return Addresses(**json.loads(path.read_text()))


def shell_script(variables: dict[str, str]) -> str:
    """Return what a POSIX shell reads to set `variables`, and to find the programs that were installed."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([f'export PATH={programs}:"$PATH"', *lines]) + "\n"
