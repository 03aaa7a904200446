"""Every format, asked for over HTTP, and read back from the store and the broker."""

import csv
import io
import struct
from typing import Any

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest

from data_emulator.domains.transaction import Transaction
from data_emulator.domains.world import world
from data_emulator.formats.catalog import FORMATS
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator.conftest import ServiceFactory
from tests.data_emulator.formats.test_objects import plain
from tests.support import readback
from tests.support.running_service import RunningService, request
from tests.support.schema_registry import FakeSchemaRegistry

pytestmark = pytest.mark.integration

PASSWORD = "p4ssw0rd-of-the-registry"


@pytest.mark.parametrize(
    ("name", "compression"),
    [(each.name, choice) for each in FORMATS.values() for choice in (None, *each.compressions)],
)
def test_objects_in_every_format(
    running: RunningService, s3_store: SeaweedFS, name: str, compression: str | None
) -> None:
    asked = {"compression": compression} if compression else {}
    answer = running.http.post("/emulator/", json=request(format_type=name, max_records=300, **asked))
    assert answer.status_code == 201, answer.text
    used = compression or FORMATS[name].usual_compression
    assert answer.json()["compression"] == used
    emulation_id = answer.json()["id"]
    assert running.ended(emulation_id)["status"]["global_status"] == "completed"
    (listed,) = running.manifest(emulation_id)["objects"]
    (content,) = readback.objects(s3_store, "transactions", emulation_id).values()
    assert listed["key"].endswith(f"/part-000000000.{FORMATS[name].extensions[used]}")
    assert (listed["bytes"], listed["checksum"]) == (len(content), readback.checksum(content))
    assert (listed["records"], count(name, used, content, emulation_id)) == (300, 300)


def count(name: str, compression: str, content: bytes, emulation_id: str) -> int:
    """Return how many of an emulation's records are in an object."""
    rows: list[Any]
    if name == "parquet":
        rows = pq.read_table(io.BytesIO(content)).column("emulation_id").to_pylist()
    elif name == "avro":
        rows = [record["emulation_id"] for record in fastavro.reader(io.BytesIO(content))]
    else:
        return plain(content, compression).count(emulation_id.encode())
    return rows.count(emulation_id)


def test_refusals_are_answers_with_status_400(running: RunningService) -> None:
    for changes, named in (
        ({"format_type": "xml"}, "format_type 'xml'"),
        ({"compression": "rar"}, "compression 'rar'"),
        ({"format_type": "parquet", "emulator_sync": "kafka"}, "format_type 'parquet'"),
        ({"format_type": "avro", "emulator_sync": "kafka"}, "DATA_EMULATOR_SCHEMA_REGISTRY_URL"),
        ({"compression": "gzip", "emulator_sync": "kafka"}, "compression 'gzip'"),
    ):
        answer = running.http.post("/emulator/", json=request(**changes))
        assert answer.status_code == 400
        assert named in answer.json()["detail"]
    assert running.http.post("/emulator/", json=request(compression=5)).status_code == 422


def test_domains_say_which_formats_there_are(running: RunningService) -> None:
    for domain in running.http.get("/domains").json():
        assert domain["formats"] == {each.name: list(each.compressions) for each in FORMATS.values()}


def test_avro_in_kafka_is_framed_and_goes_on_after_a_kill(serve: ServiceFactory, kafka_broker: Tansu) -> None:
    with FakeSchemaRegistry(login=f"emulator:{PASSWORD}") as registry:
        service = serve(
            SCHEMA_REGISTRY_URL=registry.url,
            SCHEMA_REGISTRY_USER="emulator",
            SCHEMA_REGISTRY_PASSWORD=PASSWORD,
        )
        body = request(
            emulator_sync="kafka", emulation_domain="device-log", format_type="avro", rate=300, max_records=900
        )
        emulation_id = service.post(body)
        service.wait_for_records(emulation_id, 100)
    # The registry is gone, and it is not asked again: the schema's id is stored.
    service.kill()
    service.start()
    assert service.ended(emulation_id)["status"]["global_status"] == "completed"
    assert registry.subjects == ["device-logs-value"]
    assert service.http.post("/emulator/", json=body).status_code == 400
    assert PASSWORD not in service.output()

    found: dict[str, str] = {}
    for listed in service.manifest(emulation_id)["partitions"]:
        place = (listed["partition"], listed["first_offset"], listed["next_offset"])
        for message in readback.messages(kafka_broker, "device-logs", [place]):
            value = message.value()
            if emulation_id.encode() not in value:
                continue
            magic, schema_id = struct.unpack(">bI", value[:5])
            assert magic == 0
            stream = io.BytesIO(value[5:])
            record: Any = fastavro.schemaless_reader(stream, registry.schema(schema_id), None)
            assert stream.read() == b""
            assert record["emulation_id"] == emulation_id
            assert record["data"]["user_id"] == message.key().decode()
            found[record["data"]["log_id"]] = record["data"]["user_id"]
    assert len(found) == 900


@pytest.mark.parametrize(("name", "compression"), [("parquet", "snappy"), ("avro", "deflate"), ("csv", "gzip")])
def test_a_kill_leaves_whole_objects_and_every_record_once(
    serve: ServiceFactory, s3_store: SeaweedFS, name: str, compression: str
) -> None:
    service = serve()
    body = request(
        format_type=name,
        compression=compression,
        sync_type="chunked",
        max_chunk_size=20_000,
        rate=1000,
        max_records=3000,
        seed=11,
    )
    emulation_id = service.post(body)
    service.wait_for_records(emulation_id, 500)
    service.kill()
    service.start()
    assert service.ended(emulation_id)["status"]["global_status"] == "completed"
    objects = readback.objects(s3_store, "transactions", emulation_id)
    assert [(each["key"], each["bytes"], each["checksum"]) for each in service.manifest(emulation_id)["objects"]] == [
        (key, len(content), readback.checksum(content)) for key, content in objects.items()
    ]
    assert len(objects) > 3
    index = np.arange(3000)
    wanted = Transaction(world(11, Settings().world_users), 11).records(index, index).column("transaction_id")
    found = [each for content in objects.values() for each in ids(name, compression, content)]
    assert found == wanted.to_pylist()


def ids(name: str, compression: str, content: bytes) -> list[str]:
    """Return the transactions in an object, in order."""
    if name == "parquet":
        return [each["transaction_id"] for each in pq.read_table(io.BytesIO(content)).column("data").to_pylist()]
    if name == "avro":
        records: list[Any] = list(fastavro.reader(io.BytesIO(content)))
        return [each["data"]["transaction_id"] for each in records]
    rows = csv.DictReader(io.StringIO(plain(content, compression).decode(), newline=""))
    return [row["transaction_id"] for row in rows]
