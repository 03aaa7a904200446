"""What a worker's emulations share on their way to Kafka, and what became of a commit that its worker left open."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaException

from data_emulator.errors import SinkError
from data_emulator.formats.objects import Layout
from data_emulator.model import Checkpoint
from data_emulator.settings import Settings
from data_emulator.sinks.base import Channel, Commits
from data_emulator.sinks.kafka.probe import Place, end_transaction, was_committed
from data_emulator.sinks.kafka.sink import KafkaSink
from data_emulator.sinks.kafka.writer import KafkaWriter


class KafkaChannel(Channel):
    """One producer for all emulations of a worker; with exactly-once delivery, its transactions."""

    def __init__(self, settings: Settings, commits: Commits) -> None:
        transactional_id = commits.writer_id if settings.kafka_delivery == "exactly-once" else None
        self._writer = KafkaWriter(settings, transactional_id, commits.prepare, commits.settled)
        if transactional_id:
            commits.begin()

    def open(
        self,
        destination: str,
        emulation_id: str,
        checkpoint: Checkpoint,
        layout: Callable[[], Layout],
        part_bytes: int,
    ) -> KafkaSink:
        """Return a sink that writes to the topic of this name."""
        return KafkaSink(self._writer, destination, emulation_id, checkpoint)

    async def serve(self) -> None:
        """Commit again and again."""
        await self._writer.serve()


def settle(settings: Settings, writer_id: str, token: str | None, timeout_s: float) -> bool:
    """Make sure that no transaction of a dead worker is open, and tell whether its last commit was made. Blocks.

    :param token: of the commit; `None` if none was prepared.
    :raises SinkError: when the broker does not answer in time.
    """
    try:
        end_transaction(settings, writer_id, timeout_s)
        return token is not None and was_committed(settings, Place.of(token))
    except KafkaException as error:
        raise SinkError(f"Kafka at {settings.kafka_bootstrap_servers}: {error.args[0].str()}") from error
