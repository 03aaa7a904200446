"""Apache Kafka for the tests that need it, which are marked `kafka`. Without Java or Maven they fail, and say so."""

from pathlib import Path

import pytest

from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from tests.support import apache_kafka_jars
from tests.support.apache_kafka import ApacheKafka


@pytest.fixture(scope="session")
def apache_kafka(supervisor: Supervisor, run_dir: Path) -> ApacheKafka:
    """Apache Kafka: `bootstrap_servers`, `jars_dir`; `stop()`, `kill()`, `start()`.

    A test that stops it starts it again before it ends.
    """
    jars_dir = apache_kafka_jars.fetch(apache_kafka_jars.default_cache_dir())
    with PortReservation(ApacheKafka.PORT_COUNT) as reservation:
        ports = reservation.ports
    broker = ApacheKafka(
        supervisor,
        jars_dir=jars_dir,
        run_dir=run_dir / "apache-kafka",
        log_path=run_dir / "logs" / "apache-kafka.log",
        ports=ports,
    )
    broker.start()
    return broker
