"""The Data Emulator Service of the stack, on SQLite, the stack's store and the stack's broker."""

import sys
from pathlib import Path
from typing import Literal

import httpx

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.probe import probe
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.server import Server


class Service(Server):
    """`data-emulator serve` on `url`, for this machine only, with its state in `data_dir`.

    `delivery` is how sure it is to be of what it writes to Kafka.
    """

    PORT_COUNT = 1

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        store: SeaweedFS,
        bootstrap_servers: str,
        delivery: Literal["exactly-once", "at-least-once"],
        data_dir: Path,
        log_path: Path,
        port: int,
    ) -> None:
        super().__init__(supervisor)
        self._store = store
        self._bootstrap_servers = bootstrap_servers
        self._delivery = delivery
        self._data_dir = data_dir
        self._log_path = log_path
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"

    def command(self) -> Command:
        """Return the command line; the store's key pair goes by the environment."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return Command(
            name="service",
            argv=(sys.executable, "-m", "data_emulator", "serve", "--host", LOOPBACK, "--port", str(self.port)),
            log_path=self._log_path,
            env={
                "DATA_EMULATOR_DATABASE_URL": f"sqlite:///{self._data_dir / 'emulations.db'}",
                "DATA_EMULATOR_S3_ENDPOINT": self._store.endpoint,
                "DATA_EMULATOR_S3_ACCESS_KEY_ID": self._store.access_key_id,
                "DATA_EMULATOR_S3_SECRET_ACCESS_KEY": self._store.secret_access_key,
                "DATA_EMULATOR_S3_REGION": self._store.region,
                "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS": self._bootstrap_servers,
                "DATA_EMULATOR_KAFKA_DELIVERY": self._delivery,
            },
            # The service's own defaults otherwise, so that the stack shows what its users get.
            cleared_prefixes=("DATA_EMULATOR_", "AWS_"),
        )

    def is_ready(self) -> bool:
        """Tell whether the service says that it reaches its database, the store and the broker."""
        answer = probe(f"{self.url}/readyz", timeout_s=5)
        return answer is not None and answer.status_code == httpx.codes.OK
