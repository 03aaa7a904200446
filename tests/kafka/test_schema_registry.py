"""Avro in Apache Kafka, under a schema registry that is not of this project."""

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from data_emulator.domains import all_domains
from data_emulator.settings import Settings
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.verify.compare import compare
from data_emulator.verify.messages import count_messages
from data_emulator.wire import Manifest
from tests.support import apache_kafka_jars, apicurio
from tests.support.apache_kafka import ApacheKafka
from tests.support.apicurio import ApicurioRegistry
from tests.support.running_service import RunningService, request

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def registry(supervisor: Supervisor, run_dir: Path) -> Iterator[ApicurioRegistry]:
    folder = apicurio.fetch(apache_kafka_jars.default_cache_dir())
    with PortReservation(1) as reservation:
        (port,) = reservation.ports
    registry = ApicurioRegistry(supervisor, folder=folder, log_path=run_dir / "logs" / "apicurio.log", port=port)
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def service(
    supervisor: Supervisor,
    apache_kafka: ApacheKafka,
    registry: ApicurioRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningService]:
    service = RunningService(
        supervisor,
        tmp_path_factory.mktemp("avro-service"),
        {
            "DATA_EMULATOR_KAFKA_BOOTSTRAP_SERVERS": apache_kafka.bootstrap_servers,
            "DATA_EMULATOR_SCHEMA_REGISTRY_URL": registry.url,
            "DATA_EMULATOR_SINK_TIMEOUT_S": "20",
        },
    )
    service.start()
    yield service
    service.end()


@pytest.mark.parametrize("domain", ["user-profile", "device-log", "transaction"])
def test_whoever_asks_the_registry_can_read_the_records(
    service: RunningService, registry: ApicurioRegistry, apache_kafka: ApacheKafka, domain: str
) -> None:
    settings = Settings(kafka_bootstrap_servers=apache_kafka.bootstrap_servers, schema_registry_url=registry.url)
    body = request(emulator_sync="kafka", emulation_domain=domain, format_type="avro", max_records=2000)
    ids = [service.post(body), service.post(body)]
    for emulation_id in ids:
        assert service.ended(emulation_id)["status"]["global_status"] == "completed"
        manifest = service.manifest(emulation_id)
        assert manifest["totals"]["records"] == 2000
        values = committed(apache_kafka, manifest)
        assert {value[0] for value in values} == {0}
        (schema_id,) = {struct.unpack(">I", value[1:5])[0] for value in values}
        schema = registered(registry, schema_id)
        records = [decoded(value, schema) for value in values]
        own = [record for record in records if record["emulation_id"] == emulation_id]
        assert len(own) == 2000
        assert sum(len(value) for value in values if emulation_id.encode() in value) == manifest["totals"]["bytes"]
        stated = Manifest.model_validate(manifest)
        assert list(compare(stated, count_messages(stated, settings))) == []
        assert [*own[0]["data"]] == all_domains()[domain].schema.names
    versions = httpx.get(f"{registry.url}/subjects/{all_domains()[domain].destination}-value/versions").json()
    assert versions == [1]


def test_a_schema_that_the_registry_does_not_take_is_refused_before_anything_is_written(
    service: RunningService, registry: ApicurioRegistry
) -> None:
    subject = "transactions-value"
    other = {"type": "record", "name": "Transaction", "namespace": "data_emulator", "fields": []}
    httpx.put(f"{registry.url}/config/{subject}", json={"compatibility": "BACKWARD"}).raise_for_status()
    httpx.delete(f"{registry.url}/subjects/{subject}").raise_for_status()
    answer = httpx.post(f"{registry.url}/subjects/{subject}/versions", json={"schema": json.dumps(other)})
    answer.raise_for_status()
    httpx.put(f"{registry.url}/config/{subject}", json={"compatibility": "BACKWARD"}).raise_for_status()
    answer = service.http.post("/emulator/", json=request(emulator_sync="kafka", format_type="avro"))
    assert answer.status_code == 400
    assert "transactions-value: 409" in answer.json()["detail"]


def registered(registry: ApicurioRegistry, schema_id: int) -> Any:
    answer = httpx.get(f"{registry.url}/schemas/ids/{schema_id}")
    answer.raise_for_status()
    return fastavro.parse_schema(json.loads(answer.json()["schema"]))


def decoded(value: bytes, schema: Any) -> Any:
    stream = io.BytesIO(value[5:])
    record = fastavro.schemaless_reader(stream, schema, None)
    assert stream.read() == b""
    return record


def committed(broker: ApacheKafka, manifest: Any) -> list[bytes]:
    """Return the values between a manifest's offsets that readers of committed records see."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": manifest["id"],
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    values: list[bytes] = []
    try:
        for listed in manifest["partitions"]:
            consumer.assign([TopicPartition(manifest["topic"], listed["partition"], listed["first_offset"])])
            while True:
                message = consumer.poll(30)
                assert message is not None, "the broker sends nothing"
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    break
                if (message.offset() or 0) < listed["next_offset"]:
                    values.append(message.value() or b"")
    finally:
        consumer.close()
    return values
