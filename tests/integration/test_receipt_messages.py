"""The receipt finds whatever differs between the broker and what the service says."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.settings import Settings
from data_emulator.stack.tansu import Tansu
from data_emulator.verify import messages as readback_messages
from data_emulator.verify.compare import compare
from data_emulator.verify.messages import count_messages
from data_emulator.verify.readback import ReadBackError
from data_emulator.wire import Manifest
from tests.support.receipts import SCHEMA, Record, avro_value, csv_line, differences, json_line, manifest, records
from tests.support.schema_registry import FakeSchemaRegistry
from tests.support.slow_broker import SlowBroker

pytestmark = pytest.mark.integration

SCHEMA_ID = 300


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeSchemaRegistry]:
    """A registry that knows the schema of the records here."""
    with FakeSchemaRegistry() as registry:
        registry.ids[json.dumps(SCHEMA)] = SCHEMA_ID
        yield registry


@pytest.fixture
def settings(sink_settings: Settings, registry: FakeSchemaRegistry) -> Settings:
    """Settings that say where the broker and the registry are."""
    return sink_settings.model_copy(update={"schema_registry_url": registry.url})


def produce(broker: Tansu, topic: str, values: list[tuple[int, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
    for partition, value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def encoded(record: Record, format_type: str, schema_id: int = SCHEMA_ID) -> bytes:
    if format_type == "avro":
        return struct.pack(">bI", 0, schema_id) + avro_value(record)
    return (json_line if format_type == "json" else csv_line)(record).removesuffix(b"\n")


@pytest.fixture
def topic(kafka_broker: Tansu) -> str:
    """A topic of three partitions, in which another emulation's records lie, and the third of which is empty."""
    name = f"receipts-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    others = records("another", 50)
    produce(kafka_broker, name, [(number % 2, encoded(record, "json")) for number, record in enumerate(others)])
    return name


def write_messages(broker: Tansu, topic: str, format_type: str) -> Manifest:
    """Write 2,500 records to two of the partitions, and return the manifest that is right."""
    emulation_id = str(uuid.uuid4())
    (record,) = records(emulation_id, 1)
    value = encoded(record, format_type)
    mentioned = {**record, "emulation_id": "another", "data": {"text": emulation_id, "number": 1}}
    produce(broker, topic, [(number % 2, value) for number in range(2500)])
    produce(broker, topic, [(0, encoded(mentioned, format_type)), (1, b"no record of anybody"), (2, b"")])
    entries = [
        {"partition": partition, "first_offset": 25, "next_offset": 1275, "records": 1250, "bytes": 1250 * len(value)}
        for partition in (0, 1)
    ]
    return manifest(emulation_id, format_type, topic=topic, partitions=entries)


@pytest.mark.parametrize("format_type", ["json", "csv", "avro"])
def test_messages_as_stated_are_equal(
    kafka_broker: Tansu, settings: Settings, registry: FakeSchemaRegistry, topic: str, format_type: str
) -> None:
    stated = write_messages(kafka_broker, topic, format_type)
    lookups = registry.lookups
    counted = count_messages(stated, settings)
    assert (counted.places, counted.records, counted.bytes) == (2, 2500, stated.totals.bytes)
    assert list(compare(stated, counted)) == []
    assert registry.lookups - lookups == (1 if format_type == "avro" else 0)


@pytest.mark.parametrize("format_type", ["json", "csv", "avro"])
def test_a_lost_or_doubled_message_is_found(
    kafka_broker: Tansu, settings: Settings, topic: str, format_type: str
) -> None:
    stated = write_messages(kafka_broker, topic, format_type)
    (record,) = records(stated.id, 1)
    produce(kafka_broker, topic, [(1, encoded(record, format_type))])
    stated.partitions[0].records += 1
    stated.totals.records += 1

    # The one too many and the one too few make the right total.
    found = differences(stated, settings)

    assert not any("records found" in line for line in found)
    assert any(line.startswith("partition 0 has 1,250 records") and "says 1,251 records" in line for line in found)
    assert any(line.startswith("partition 1 has 1,251 records") and "says 1,250 records" in line for line in found)


def damaged(emulation_id: str) -> list[tuple[str, bytes, str]]:
    """Messages with an emulation's id that are no records, each with its format and what is said of it."""
    (record,) = records(emulation_id, 1)
    avro = encoded(record, "avro")
    return [
        ("json", encoded(record, "json")[:-1], "JSONDecodeError: "),
        ("json", b"[" * 100_000 + emulation_id.encode(), "RecursionError: "),
        ("csv", b'"' + emulation_id.encode() + b'",1.5,"a', "Error: "),
        ("avro", avro[:-2], "EOFError"),
        ("avro", avro + b"x", "ValueError: 1 bytes are left behind the record"),
        ("avro", avro[5:], "ValueError: it does not begin with a zero and the id of a schema"),
        ("avro", encoded(record, "avro", schema_id=7), "ValueError: the schema registry has no schema 7"),
    ]


@pytest.mark.parametrize("number", range(len(damaged("id"))))
def test_a_damaged_message_is_found(kafka_broker: Tansu, settings: Settings, topic: str, number: int) -> None:
    emulation_id = str(uuid.uuid4())
    format_type, value, said = damaged(emulation_id)[number]
    produce(kafka_broker, topic, [(2, value)])
    (found,) = differences(manifest(emulation_id, format_type, topic=topic), settings)
    start = f"partition 2: 1 messages with this emulation's id are no {format_type} records; offset 0: "
    assert found.startswith(start + said)


def test_a_broker_that_takes_long_to_find_messages_is_read_to_the_end(
    slow_broker: SlowBroker, settings: Settings
) -> None:
    topic = f"slow-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": slow_broker.bootstrap_servers})
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result(30)
    stated = write_messages(slow_broker, topic, "json")
    with slow_broker.being_slow():
        counted = count_messages(
            stated, settings.model_copy(update={"kafka_bootstrap_servers": slow_broker.bootstrap_servers})
        )
    assert list(compare(stated, counted)) == []


def test_what_cannot_be_read_is_an_error_and_no_count(
    kafka_broker: Tansu, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(**changes: Any) -> Settings:
        return settings.model_copy(update=changes)

    stated = write_messages(kafka_broker, topic, "avro")
    with pytest.raises(ReadBackError, match="set DATA_EMULATOR_SCHEMA_REGISTRY_URL"):
        count_messages(stated, changed(schema_registry_url=None))
    with pytest.raises(ReadBackError, match="DATA_EMULATOR_SCHEMA_REGISTRY_URL must be"):
        count_messages(stated, changed(schema_registry_url="nowhere"))
    with pytest.raises(
        ReadBackError, match=r"Schema registry at http://127\.0\.0\.1:9, asking for schema 300: Connect"
    ):
        count_messages(stated, changed(schema_registry_url="http://127.0.0.1:9"))
    monkeypatch.setattr(readback_messages, "_METADATA_TIMEOUT_S", 0.5)
    with pytest.raises(ReadBackError, match="topic t cannot be read"):
        count_messages(manifest("e", topic="t"), changed(kafka_bootstrap_servers="127.0.0.1:9"))
