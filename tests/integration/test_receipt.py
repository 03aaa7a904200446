"""The receipt finds whatever differs between the store or the broker and what the service says."""

import csv
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import obstore
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from data_emulator.settings import Settings
from data_emulator.stack import readback
from data_emulator.stack.readback import ReadBackError, count_messages, count_objects
from data_emulator.stack.receipt import compare, verify
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from data_emulator.wire import Manifest

pytestmark = pytest.mark.integration

BUCKET = "receipts"


def encoded(emulation_id: str, count: int, format_type: str) -> list[bytes]:
    """Records of an emulation, with a line break within a value, as lines."""
    if format_type == "json":
        record = {"emulation_id": emulation_id, "timestamp": 1.5, "data": {"text": "a\nb"}}
        return [json.dumps(record).encode() + b"\n"] * count
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([emulation_id, 1.5, "a\nb"])
    return [text.getvalue().encode()] * count


def object_entry(key: str, content: bytes, records: int) -> dict[str, Any]:
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"key": key, "records": records, "bytes": len(content), "checksum": checksum}


def manifest(emulation_id: str, format_type: str = "json", **fields: Any) -> Manifest:
    objects, partitions = fields.get("objects", []), fields.get("partitions", [])
    body = {
        "id": emulation_id,
        "emulation_domain": "transaction",
        "emulator_sync": "minio" if "bucket" in fields else "kafka",
        "format_type": format_type,
        "state": "completed",
        "sink": "s3" if "bucket" in fields else "kafka",
        "bucket": None,
        "topic": None,
        "objects": [],
        "partitions": [],
        "totals": {
            "records": sum(entry["records"] for entry in [*objects, *partitions]),
            "bytes": sum(entry["bytes"] for entry in [*objects, *partitions]),
            "objects": len(objects),
            "partitions": len(partitions),
        },
    }
    return Manifest.model_validate({**body, **fields})


def store_objects(store: SeaweedFS, format_type: str = "json") -> Manifest:
    """Write two objects of 1000 and 10 records, and return the manifest that is right."""
    emulation_id = str(uuid.uuid4())
    header = b"emulation_id,timestamp,text\n" if format_type == "csv" else b""
    entries = []
    for number, count in enumerate((1000, 10)):
        content = header + b"".join(encoded(emulation_id, count, format_type))
        key = f"{emulation_id}/part-{number:06d}.{format_type}"
        obstore.put(store.bucket(BUCKET), key, content)
        entries.append(object_entry(key, content, count))
    return manifest(emulation_id, format_type, bucket=BUCKET, objects=entries)


def differences(manifest: Manifest, settings: Settings) -> list[str]:
    count = count_objects if manifest.sink == "s3" else count_messages
    return list(compare(manifest, count(manifest, settings)))


@pytest.mark.parametrize("format_type", ["json", "csv"])
def test_objects_as_stated_are_equal(s3_store: SeaweedFS, sink_settings: Settings, format_type: str) -> None:
    stated = store_objects(s3_store, format_type)
    counted = count_objects(stated, sink_settings)
    assert (counted.places, counted.records, counted.bytes) == (2, 1010, stated.totals.bytes)
    assert list(compare(stated, counted)) == []


def test_an_emulation_that_did_not_complete_is_no_success(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    stated = store_objects(s3_store).model_copy(update={"state": "failed"})
    assert differences(stated, sink_settings) == ["the emulation is failed, not completed"]


def test_a_missing_object_is_found(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    stated = store_objects(s3_store)
    gone = stated.objects[1].key
    obstore.delete(s3_store.bucket(BUCKET), gone)
    found = differences(stated, sink_settings)
    assert "1 objects found, the service says 2" in found
    assert "1,000 records found, the service says 1,010" in found
    assert f"object {gone} of the manifest is not in the bucket" in found


def test_an_object_too_many_is_found(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    stated = store_objects(s3_store)
    extra = f"{stated.id}/part-000002.json"
    obstore.put(s3_store.bucket(BUCKET), extra, encoded(stated.id, 1, "json")[0])
    assert f"object {extra} is in the bucket and not in the manifest" in differences(stated, sink_settings)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"1.5", b"2.5", 1),  # the same size, records and emulation: the checksum tells
        lambda content: content[: content.rindex(b"\n", 0, -1) + 1],  # the last record is gone
        lambda content: content + content[: content.index(b"\n") + 1],  # a record is there twice
    ],
    ids=["changed", "cut", "doubled"],
)
def test_an_object_with_other_content_is_found(
    s3_store: SeaweedFS, sink_settings: Settings, change: Callable[[bytes], bytes]
) -> None:
    stated = store_objects(s3_store)
    bucket, key = s3_store.bucket(BUCKET), stated.objects[0].key
    obstore.put(bucket, key, change(bytes(obstore.get(bucket, key).bytes())))
    assert any(key in line and "the manifest says" in line for line in differences(stated, sink_settings))


def test_records_that_are_none_are_found(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    emulation_id = str(uuid.uuid4())
    key, content = f"{emulation_id}/part-000000.json", b'{"emulation_id": "other"}\nno json\n'
    obstore.put(s3_store.bucket(BUCKET), key, content)
    stated = manifest(emulation_id, bucket=BUCKET, objects=[object_entry(key, content, 2)])
    assert differences(stated, sink_settings) == [f"object {key}: 2 are not json records of this emulation"]


def produce(broker: Tansu, topic: str, values: list[tuple[int, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
    for partition, value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


@pytest.fixture
def topic(kafka_broker: Tansu) -> str:
    """A topic of three partitions, in which another emulation's records lie, and the third of which is empty."""
    name = f"receipts-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    produce(kafka_broker, name, [(number % 2, encoded("another", 1, "json")[0]) for number in range(50)])
    return name


def write_messages(broker: Tansu, topic: str, format_type: str) -> Manifest:
    """Write 2,500 records to two of the partitions, and return the manifest that is right."""
    emulation_id = str(uuid.uuid4())
    value = encoded(emulation_id, 1, format_type)[0].rstrip(b"\n")
    produce(broker, topic, [(number % 2, value) for number in range(2500)])
    produce(broker, topic, [(0, encoded("another", 1, "json")[0])])
    entries = [
        {"partition": partition, "first_offset": 25, "next_offset": 1275, "records": 1250, "bytes": 1250 * len(value)}
        for partition in (0, 1)
    ]
    return manifest(emulation_id, format_type, topic=topic, partitions=entries)


@pytest.mark.parametrize("format_type", ["json", "csv"])
def test_messages_as_stated_are_equal(
    kafka_broker: Tansu, sink_settings: Settings, topic: str, format_type: str
) -> None:
    stated = write_messages(kafka_broker, topic, format_type)
    counted = count_messages(stated, sink_settings)
    assert (counted.places, counted.records, counted.bytes) == (2, 2500, stated.totals.bytes)
    assert list(compare(stated, counted)) == []


def test_a_lost_or_doubled_message_is_found(kafka_broker: Tansu, sink_settings: Settings, topic: str) -> None:
    stated = write_messages(kafka_broker, topic, "json")
    produce(kafka_broker, topic, [(1, encoded(stated.id, 1, "json")[0].rstrip(b"\n"))])
    stated.partitions[0].records += 1
    stated.totals.records += 1

    # The one too many and the one too few make the right total.
    found = differences(stated, sink_settings)

    assert not any("records found" in line for line in found)
    assert any(line.startswith("partition 0 has 1,250 records") and "says 1,251 records" in line for line in found)
    assert any(line.startswith("partition 1 has 1,251 records") and "says 1,250 records" in line for line in found)


def test_what_cannot_be_read_is_an_error_and_no_count(sink_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "_METADATA_TIMEOUT_S", 0.5)
    nowhere = sink_settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:9"})
    with pytest.raises(ReadBackError, match="topic t cannot be read"):
        count_messages(manifest("e", topic="t"), nowhere)
    with pytest.raises(ReadBackError, match="bucket no-such-bucket cannot be read"):
        count_objects(manifest("e", bucket="no-such-bucket"), sink_settings)


@pytest.fixture
def manifests() -> Iterator[tuple[str, dict[str, Manifest]]]:
    """A server of manifests in place of the service: its URL, and what it serves by emulation id."""
    served: dict[str, Manifest] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = served.get(self.path.split("/")[2])
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found.model_dump_json().encode() if found else b'{"detail": "not found"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    thread.join()
    server.server_close()


def test_verify_says_so_and_exits_by_it(
    s3_store: SeaweedFS,
    sink_settings: Settings,
    manifests: tuple[str, dict[str, Manifest]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, served = manifests
    right, wrong = store_objects(s3_store), store_objects(s3_store)
    wrong.totals.records += 1
    served.update({right.id: right, wrong.id: wrong})

    assert verify([right.id], service_url=url, settings=sink_settings) == 0
    printed = capsys.readouterr().out
    assert "equal" in printed
    assert "WRONG" not in printed
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80

    assert verify([right.id, wrong.id], service_url=url, settings=sink_settings) == 1
    printed = capsys.readouterr().out
    assert "WRONG" in printed
    assert "1,010 records found, the service says 1,011" in printed

    assert verify(["unknown"], service_url=url, settings=sink_settings) == 1
    assert "404" in capsys.readouterr().out
