"""The embedded S3 store and Kafka broker keep what they acknowledged."""

import obstore
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from obstore.exceptions import BaseError
from obstore.store import S3Store

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu

pytestmark = pytest.mark.integration


def test_store_keeps_an_object_over_a_kill(s3_store: SeaweedFS) -> None:
    bucket = s3_store.bucket("kept")
    obstore.put(bucket, "object", b"kept")

    s3_store.kill()
    assert not s3_store.is_ready()
    s3_store.start()

    assert bytes(obstore.get(bucket, "object").bytes()) == b"kept"


def test_store_refuses_other_credentials(s3_store: SeaweedFS) -> None:
    stranger = S3Store(
        "kept",
        endpoint=s3_store.endpoint,
        region=s3_store.region,
        access_key_id="stranger",
        secret_access_key="guess",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(BaseError):
        obstore.put(stranger, "object", b"x")


def test_broker_keeps_records_over_a_kill(kafka_broker: Tansu) -> None:
    failures: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers, "acks": "all"})
    for number in range(100):
        producer.produce("kept", str(number), on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failures == []

    kafka_broker.kill()
    assert not kafka_broker.is_ready()
    kafka_broker.start()

    assert _values(kafka_broker, "kept") == {str(number).encode() for number in range(100)}


def _values(broker: Tansu, topic: str) -> set[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "reader",
            "enable.partition.eof": True,
            "session.timeout.ms": 6000,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(consumer_partitions(consumer, topic))])
    ended, values = 0, set()
    while ended < len(consumer.assignment()):
        message = consumer.poll(10)
        assert message is not None
        if message.error() is None:
            values.add(message.value())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended += 1
    consumer.close()
    return values


def consumer_partitions(consumer: Consumer, topic: str) -> int:
    return len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
