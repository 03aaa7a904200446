"""Kafka, seen from the service's front: how it is reached, and whether the topic is there."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from data_emulator.errors import ConfigurationError, SinkUnavailable
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target

_PROBE_TIMEOUT_S: Final = 5.0


def client_config(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties for any client.

    :raises ConfigurationError: when there are no bootstrap servers, or `kafka_config` is not a JSON object.
    """
    if not settings.kafka_bootstrap_servers:
        raise ConfigurationError("no Kafka is configured: set DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS to host:port")
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": "data-emulator",
        "log_level": 0,  # its complaints reach us as errors; on stderr they would flood the log
    }
    if settings.kafka_config:
        try:
            more = json.loads(settings.kafka_config.get_secret_value())
        except ValueError:
            more = None
        if not isinstance(more, dict):
            raise ConfigurationError("DATA_EMULATOR_KAFKA_CONFIG must be a JSON object of librdkafka properties")
        config.update(more)
    return config


class KafkaTarget(Target):
    """A Kafka cluster.

    :raises ConfigurationError: when the settings of Kafka cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._admin = AdminClient(client_config(settings))
        except KafkaException as error:
            # The message quotes the value, which may be a secret: only the property's name is passed on.
            named = re.search(r'configuration property:? ("[^"]*")', error.args[0].str())
            raise ConfigurationError(
                f"DATA_EMULATOR_KAFKA_CONFIG: librdkafka refuses {named[1] if named else 'a property'} or its value"
            ) from None

    def prepare(self, destination: str) -> None:
        """Make sure that the topic exists, creating it where it is missing."""
        topics = self._topics()
        if destination in topics:
            return
        topic = NewTopic(
            destination,
            num_partitions=self._settings.kafka_partitions,
            replication_factor=self._settings.kafka_replication_factor,
        )
        try:
            self._admin.create_topics([topic], request_timeout=_PROBE_TIMEOUT_S)[destination].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._unavailable(f"creating topic {destination}: {error.args[0].str()}") from None

    def check(self) -> None:
        """Make sure that a broker answers."""
        self._topics()

    def _topics(self) -> dict[str, Any]:
        try:
            return dict(self._admin.list_topics(timeout=_PROBE_TIMEOUT_S).topics)
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from None

    def _unavailable(self, why: str) -> SinkUnavailable:
        return SinkUnavailable(f"Kafka at {self._settings.kafka_bootstrap_servers}: {why}")
