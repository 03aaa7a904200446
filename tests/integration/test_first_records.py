"""The first records of an emulation, from the store and the broker: decoded, and without reading all of it."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Any

import obstore
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from data_emulator.verify import first_records as module
from data_emulator.verify.decoding import object_records
from data_emulator.verify.first_records import first_records
from data_emulator.verify.readback import ReadBackError
from tests.support.making import content, plan
from tests.support.receipts import (
    BUCKET,
    CHOICES,
    SCHEMA,
    Record,
    avro_value,
    csv_line,
    json_line,
    manifest,
    object_of,
    records,
    store_content,
)
from tests.support.schema_registry import FakeSchemaRegistry

pytestmark = pytest.mark.integration

SCHEMA_ID = 300
every_choice = pytest.mark.parametrize(("name", "compression"), CHOICES)


def flat(record: Record) -> dict[str, str]:
    """Return a record as its CSV reads: flat, and all text."""
    return {key: str(value) for key, value in {**record, **record["data"]}.items() if key != "data"}


@every_choice
def test_records_of_objects_are_decoded(
    s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str
) -> None:
    emulation_id = str(uuid.uuid4())
    made = records(emulation_id, 5)
    contents = [(object_of(of, name, compression), len(of)) for of in (made[:3], made[3:])]
    stated = store_content(s3_store, emulation_id, contents, name, compression)
    expected = [flat(record) for record in made] if name == "csv" else made
    for count in (1, 4, 100):  # The second needs both objects, and of the last there are not as many.
        assert first_records(stated, sink_settings, count) == expected[:count]


@every_choice
def test_little_of_a_large_object_is_transferred(
    s3_store: SeaweedFS, sink_settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, compression: str
) -> None:
    count = 150_000 if name == "parquet" else 60_000  # A page of Parquet, which is read whole, is large.
    whole = content(the_plan := plan(format=name, compression=compression), count)
    stated = store_content(s3_store, the_plan.emulation_id, [(whole, count)], name, compression)
    transferred: list[int] = []
    get_range = obstore.get_range

    def counting(*args: Any, **kwargs: Any) -> Any:
        part = get_range(*args, **kwargs)
        transferred.append(len(part))
        return part

    monkeypatch.setattr(module.obstore, "get_range", counting)
    found = first_records(stated, sink_settings, 3)
    assert found == list(islice(object_records(io.BytesIO(whole), name, compression), 3))
    assert [record["emulation_id"] for record in found] == [the_plan.emulation_id] * 3
    assert sum(transferred) < len(whole) / 4


@pytest.fixture(scope="module")
def settings(sink_settings: Settings) -> Iterator[Settings]:
    """Settings that say where the broker is, and a registry that knows the schema of the records here."""
    with FakeSchemaRegistry() as registry:
        registry.ids[json.dumps(SCHEMA)] = SCHEMA_ID
        yield sink_settings.model_copy(update={"schema_registry_url": registry.url})


def encoded(record: Record, format_type: str) -> bytes:
    if format_type == "avro":
        return struct.pack(">bI", 0, SCHEMA_ID) + avro_value(record)
    return (json_line if format_type == "json" else csv_line)(record).removesuffix(b"\n")


def produce(broker: Tansu, values: list[tuple[int, bytes]]) -> str:
    """Create a topic of three partitions, write the values to the partitions they come with, and return its name."""
    topic = f"first-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
    for partition, value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0
    return topic


@pytest.mark.parametrize("format_type", ["json", "csv", "avro"])
def test_records_of_messages_are_decoded(kafka_broker: Tansu, settings: Settings, format_type: str) -> None:
    emulation_id = str(uuid.uuid4())
    own = records(emulation_id, 5)
    other = {**records("another", 1)[0], "data": {"text": emulation_id, "number": 1}}
    # Another's record is before it, in between and behind it.
    values = [(0, other), (0, own[0]), (0, other), (0, own[1]), (0, own[2]), (0, other), (2, own[3]), (2, own[4])]
    topic = produce(kafka_broker, [(partition, encoded(record, format_type)) for partition, record in values])
    entries = [
        {"partition": 0, "first_offset": 1, "next_offset": 5, "records": 3, "bytes": 1},
        {"partition": 2, "first_offset": 0, "next_offset": 2, "records": 2, "bytes": 1},
    ]
    stated = manifest(emulation_id, format_type, topic=topic, partitions=entries, emulation_domain="unknown")
    expected: list[dict[str, Any]] = list(own)
    if format_type == "csv":  # Without a header, only the envelope's columns are known of a domain that is not.
        renamed = {"text": "column_3", "number": "column_4"}
        expected = [{renamed.get(key, key): value for key, value in flat(record).items()} for record in own]
    for count in (1, 4, 100):
        assert first_records(stated, settings, count) == expected[:count]


def test_csv_messages_have_the_names_of_the_domain(kafka_broker: Tansu, settings: Settings) -> None:
    the_plan = plan(format="csv", domain="transaction")
    header, row = content(the_plan, 1).decode().splitlines()
    topic = produce(kafka_broker, [(1, row.encode())])
    entry = {"partition": 1, "first_offset": 0, "next_offset": 1, "records": 1, "bytes": len(row)}
    (record,) = first_records(manifest(the_plan.emulation_id, "csv", topic=topic, partitions=[entry]), settings, 1)
    assert list(record) == header.split(",")
    assert "location_city" in record


def test_what_cannot_be_read_is_an_error(s3_store: SeaweedFS, kafka_broker: Tansu, settings: Settings) -> None:
    def of_object(body: bytes, extension: str = "json", format_type: str = "json") -> None:
        key = f"{uuid.uuid4()}/part-000000000.{extension}"
        obstore.put(s3_store.bucket(BUCKET), key, body)
        entry = {"key": key, "records": 1, "bytes": len(body), "checksum": ""}
        first_records(manifest("e", format_type, bucket=BUCKET, objects=[entry]), settings, 1)

    with pytest.raises(ReadBackError, match="emulation e cannot be read as json: JSONDecodeError"):
        of_object(b"no json\n")
    with pytest.raises(ReadBackError, match="a record is an object, not list"):
        of_object(b"[]\n")
    with pytest.raises(ReadBackError, match="cannot be read as parquet"):
        of_object(b"no parquet", "parquet", "parquet")
    with pytest.raises(ReadBackError, match=r"part-000000000\.txt cannot be read as json"):
        of_object(b"{}", "txt")
    entry = {"key": "e/part-000000000.json", "records": 1, "bytes": 9, "checksum": ""}
    with pytest.raises(ReadBackError, match="bucket no-such-bucket cannot be read"):
        first_records(manifest("e", bucket="no-such-bucket", objects=[entry]), settings, 1)
    part = {"partition": 0, "first_offset": 0, "next_offset": 1, "records": 1, "bytes": 9}
    with pytest.raises(ReadBackError, match="topic no-such-topic cannot be read"):
        first_records(manifest("e", topic="no-such-topic", partitions=[part]), settings, 1)
    assert first_records(manifest("e", bucket=BUCKET), settings, 1) == []
