"""Apache Kafka as it is started here keeps the promises that the service's exactly-once rests on."""

import subprocess
import sys

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from data_emulator.stack.ports import PortReservation
from tests.support.apache_kafka import ApacheKafka

pytestmark = pytest.mark.kafka

_QUIET = {"log_level": 0}


def test_committed_records_are_seen_and_aborted_ones_are_not(apache_kafka: ApacheKafka) -> None:
    create_topic(apache_kafka, "transactional", partitions=3)
    producer = transactional_producer(apache_kafka, "writer")
    in_transaction(producer, "transactional", ["committed-1", "committed-2"], commit=True)
    in_transaction(producer, "transactional", ["aborted"], commit=False)
    in_transaction(producer, "transactional", ["committed-3"], commit=True)

    committed = ["committed-1", "committed-2", "committed-3"]
    assert values(apache_kafka, "transactional", "read_committed") == committed
    # It reached the broker, so that it is the abort that hides it.
    assert values(apache_kafka, "transactional", "read_uncommitted") == ["aborted", *committed]


def test_a_kill_keeps_what_was_committed_and_only_that(apache_kafka: ApacheKafka) -> None:
    create_topic(apache_kafka, "killed", partitions=3)
    producer = transactional_producer(apache_kafka, "killed-writer")
    committed = sorted(f"record-{number:03}" for number in range(300))
    in_transaction(producer, "killed", committed, commit=True)
    producer.begin_transaction()
    producer.produce("killed", "never committed")
    assert producer.flush(30) == 0

    apache_kafka.kill()
    assert not apache_kafka.is_running()
    assert not apache_kafka.is_ready()
    apache_kafka.start()

    # Whoever takes the transactional id over fences the writer before and aborts what it left open.
    in_transaction(transactional_producer(apache_kafka, "killed-writer"), "killed", ["successor"], commit=True)
    assert values(apache_kafka, "killed", "read_committed") == [*committed, "successor"]


def test_it_starts_again_after_a_stop(apache_kafka: ApacheKafka) -> None:
    create_topic(apache_kafka, "stopped", partitions=1)
    in_transaction(transactional_producer(apache_kafka, "stopped-writer"), "stopped", ["kept"], commit=True)

    apache_kafka.stop()
    assert not apache_kafka.is_ready()
    apache_kafka.start()

    assert values(apache_kafka, "stopped", "read_committed") == ["kept"]


def test_as_a_program_it_refuses_a_taken_port() -> None:
    with PortReservation(1) as reservation:
        port = str(reservation.ports[0])
        program = subprocess.run(
            [sys.executable, "-m", "tests.support.apache_kafka", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert program.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in program.stdout


def create_topic(broker: ApacheKafka, name: str, *, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])[name].result(30)


def transactional_producer(broker: ApacheKafka, transactional_id: str) -> Producer:
    config = {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": transactional_id, **_QUIET}
    producer = Producer(config)
    producer.init_transactions(30)
    return producer


def in_transaction(producer: Producer, topic: str, records: list[str], *, commit: bool) -> None:
    producer.begin_transaction()
    for record in records:
        producer.produce(topic, record)
    assert producer.flush(30) == 0
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def values(broker: ApacheKafka, topic: str, isolation_level: str) -> list[str]:
    """Return what a consumer sees, sorted."""
    config = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": "reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": isolation_level,
        **_QUIET,
    }
    consumer = Consumer(config)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    ended: set[int] = set()
    seen: list[str] = []
    while len(ended) < len(partitions):
        message = consumer.poll(30)
        assert message is not None
        if message.error() is None:
            seen.append(message.value().decode())
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended.add(message.partition())
    consumer.close()
    return sorted(seen)
