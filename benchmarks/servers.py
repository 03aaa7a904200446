"""The servers that a benchmark runs on: its own, on free ports, in a temporary folder, stopped when it ends."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.settings import Settings
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS
from data_emulator.stack.service import Service
from tests.support import apache_kafka_jars
from tests.support.apache_kafka import ApacheKafka

_TOPIC_TIMEOUT_S = 30


class ConfiguredService(Service):
    """The service with some of its settings changed, by their environment variables."""

    def __init__(self, *arguments: Any, environment: Mapping[str, str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._environment = dict(environment)

    def command(self) -> Command:
        """Return the command line, with the changed settings in the environment."""
        command = super().command()
        return dataclasses.replace(command, env={**command.env, **self._environment})


def start_servers(
    supervisor: Supervisor, folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[SeaweedFS, ApacheKafka, Service]:
    """Start an S3 store, Apache Kafka, and the service on both, with exactly-once delivery.

    :param environment: settings of the service that are not to be the defaults: DATA_EMULATOR_<NAME>.
    """
    jars_dir = apache_kafka_jars.fetch(apache_kafka_jars.default_cache_dir())
    with PortReservation(SeaweedFS.PORT_COUNT + ApacheKafka.PORT_COUNT + 1) as reservation:
        ports = list(reservation.ports)
    store = SeaweedFS(
        supervisor,
        data_dir=folder / "s3",
        log_path=folder / "s3.log",
        ports=ports[: SeaweedFS.PORT_COUNT],
        credentials=Credentials.kept_in(folder / "s3-credentials.json"),
        buckets=["probe"],
    )
    broker = ApacheKafka(
        supervisor,
        jars_dir=jars_dir,
        run_dir=folder / "kafka",
        log_path=folder / "kafka.log",
        ports=ports[SeaweedFS.PORT_COUNT : -1],
    )
    service = ConfiguredService(
        supervisor,
        store=store,
        bootstrap_servers=broker.bootstrap_servers,
        delivery="exactly-once",
        data_dir=folder / "service",
        log_path=folder / "service.log",
        port=ports[-1],
        environment=environment or {},
    )
    for server in (store, broker, service):
        server.start()
    return store, broker, service


@contextmanager
def running_servers(environment: Mapping[str, str] | None = None) -> Iterator[tuple[SeaweedFS, ApacheKafka, Service]]:
    """Start the servers in a temporary folder; stop them and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        supervisor = Supervisor(guarded=True)
        try:
            yield start_servers(supervisor, Path(folder), environment)
        finally:
            supervisor.stop_all()


def client_settings(store: SeaweedFS, broker: ApacheKafka) -> Settings:
    """Return settings with which the store and the broker can be read."""
    return Settings.model_validate(
        {
            "s3_endpoint": store.endpoint,
            "s3_access_key_id": store.access_key_id,
            "s3_secret_access_key": store.secret_access_key,
            "s3_region": store.region,
            "kafka_bootstrap_servers": broker.bootstrap_servers,
        }
    )


def create_topic(broker: ApacheKafka, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
    """Create a topic of one replica."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
    admin.create_topics([topic])[name].result(_TOPIC_TIMEOUT_S)


def delete_topic(broker: ApacheKafka, name: str) -> None:
    """Delete a topic, so that its records do not fill the disk."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.delete_topics([name])[name].result(_TOPIC_TIMEOUT_S)
