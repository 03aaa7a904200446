"""Kafka's own performance tool as a peer: its figure is taken only when it sent everything."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from benchmarks.producer_performance import producer_performance
from tests.support.apache_kafka import ApacheKafka

pytestmark = pytest.mark.kafka

_PROPERTIES = {"acks": "all", "compression.type": "lz4"}


@pytest.mark.parametrize("transaction_duration_ms", [None, 100])
def test_it_sends_records_of_the_size(apache_kafka: ApacheKafka, transaction_duration_ms: int | None) -> None:
    topic = f"performance-{transaction_duration_ms}"
    records_per_s = producer_performance(
        apache_kafka.bootstrap_servers,
        topic,
        jars_dir=apache_kafka.jars_dir,
        records=20_000,
        payload=300,
        properties=_PROPERTIES,
        transaction_duration_ms=transaction_duration_ms,
    )
    assert records_per_s > 0
    transactions = end_offset(apache_kafka, topic) - 20_000  # Each commit takes an offset.
    assert transactions > 0 if transaction_duration_ms else transactions == 0
    assert len(first_value(apache_kafka, topic)) == 300


def test_it_sends_the_lines_of_a_file(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.write_text('{"a": 1}\n{"a": 1}\n')
    producer_performance(
        apache_kafka.bootstrap_servers,
        "performance-file",
        jars_dir=apache_kafka.jars_dir,
        records=100,
        payload=payload,
        properties=_PROPERTIES,
    )
    assert end_offset(apache_kafka, "performance-file") == 100
    assert first_value(apache_kafka, "performance-file") == b'{"a": 1}'


def test_records_that_were_not_sent_are_an_error(apache_kafka: ApacheKafka) -> None:
    with pytest.raises(RuntimeError, match="does not report 3 records sent") as raised:
        producer_performance(
            apache_kafka.bootstrap_servers,
            "performance-refused",
            jars_dir=apache_kafka.jars_dir,
            records=3,
            payload=1000,
            properties={**_PROPERTIES, "max.request.size": "500"},
        )
    assert "RecordTooLargeException" in str(raised.value)


def end_offset(broker: ApacheKafka, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.close()
    return end


def first_value(broker: ApacheKafka, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.value()
