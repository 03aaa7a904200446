"""The receipt finds whatever differs between the store and what the service says; `verify` prints it."""

import random
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import obstore
import pytest

from data_emulator.formats.catalog import FORMATS
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.verify.compare import compare
from data_emulator.verify.objects import count_objects
from data_emulator.verify.readback import ReadBackError
from data_emulator.verify.receipt import verify
from data_emulator.wire import Manifest
from tests.support.receipts import (
    BUCKET,
    CHOICES,
    differences,
    manifest,
    object_entry,
    object_of,
    records,
    store_content,
    store_objects,
)

pytestmark = pytest.mark.integration

every_choice = pytest.mark.parametrize(("name", "compression"), CHOICES)
SELF_CONTAINED = [each for each in CHOICES if each[1] != "none" or each[0] == "parquet"]
"""Those of which a part is no object: a cut shows in the decoding."""


@every_choice
def test_objects_as_stated_are_equal(s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str) -> None:
    stated = store_objects(s3_store, name, compression)
    counted = count_objects(stated, sink_settings)
    assert (counted.places, counted.records, counted.bytes) == (2, 1010, stated.totals.bytes)
    assert list(compare(stated, counted)) == []


def test_an_emulation_that_did_not_complete_is_no_success(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    stated = store_objects(s3_store).model_copy(update={"state": "failed"})
    assert differences(stated, sink_settings) == ["the emulation is failed, not completed"]


@every_choice
def test_a_missing_object_is_found(s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str) -> None:
    stated = store_objects(s3_store, name, compression)
    gone = stated.objects[1].key
    obstore.delete(s3_store.bucket(BUCKET), gone)
    found = differences(stated, sink_settings)
    assert "1 objects found, the service says 2" in found
    assert "1,000 records found, the service says 1,010" in found
    assert f"object {gone} of the manifest is not in the bucket" in found


@every_choice
def test_an_object_too_many_is_found(s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str) -> None:
    stated = store_objects(s3_store, name, compression)
    extra = stated.objects[1].key.replace("000001.", "000002.")
    obstore.put(s3_store.bucket(BUCKET), extra, object_of(records(stated.id, 1), name, compression))
    found = differences(stated, sink_settings)
    assert "1,011 records found, the service says 1,010" in found
    assert f"object {extra} is in the bucket and not in the manifest" in found


@pytest.mark.parametrize("name", FORMATS)
def test_an_object_whose_name_has_no_such_ending_is_found(
    s3_store: SeaweedFS, sink_settings: Settings, name: str
) -> None:
    stated = store_objects(s3_store, name, FORMATS[name].usual_compression)
    extra = f"{stated.id}/part-000000002.tmp"
    obstore.put(s3_store.bucket(BUCKET), extra, b"half")
    found = differences(stated, sink_settings)
    assert f"object {extra} does not end in the name of a compression of {name}" in found
    assert f"object {extra} is in the bucket and not in the manifest" in found


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


@every_choice
def test_a_removed_record_is_found_by_its_number_alone(
    s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str
) -> None:
    """Bytes and checksum are stated as they are."""
    emulation_id = str(uuid.uuid4())
    content = object_of(records(emulation_id, 499), name, compression)
    stated = store_content(s3_store, emulation_id, [(content, 500)], name, compression)
    total, of_object = differences(stated, sink_settings)
    assert total == "499 records found, the service says 500"
    assert of_object.startswith(f"object {stated.objects[0].key} has 499 records, ")


@every_choice
def test_a_strangers_record_is_found_when_all_else_is_right(
    s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str
) -> None:
    emulation_id = str(uuid.uuid4())
    mixed = records(emulation_id, 400)
    mixed[350]["emulation_id"] = str(uuid.uuid4())
    content = object_of(mixed, name, compression)
    stated = store_content(s3_store, emulation_id, [(content, 400)], name, compression)
    assert differences(stated, sink_settings) == [
        f"object {stated.objects[0].key}: 1 are not {name} records of this emulation"
    ]


@every_choice
def test_a_truncated_object_is_found(s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str) -> None:
    stated = store_objects(s3_store, name, compression)
    bucket, (cut, whole) = s3_store.bucket(BUCKET), stated.objects
    content = bytes(obstore.get(bucket, cut.key).bytes())[: cut.bytes * 2 // 3]
    obstore.put(bucket, cut.key, content)
    found = differences(stated, sink_settings)
    assert f"{len(content) + whole.bytes:,} bytes found, the service says {stated.totals.bytes:,}" in found
    assert any(line.startswith(f"object {cut.key} has ") and "the manifest says 1,000" in line for line in found)
    assert not any(whole.key in line for line in found)
    if (name, compression) in SELF_CONTAINED:
        assert any(line.startswith(f"object {cut.key} cannot be read as {name} beyond ") for line in found)


@every_choice
@pytest.mark.parametrize("kind", ["garbage", "zeros", "truncated"])
def test_what_cannot_be_decoded_is_wrong_even_if_the_manifest_has_its_bytes_and_checksum(
    s3_store: SeaweedFS, sink_settings: Settings, name: str, compression: str, kind: str
) -> None:
    emulation_id = str(uuid.uuid4())
    if kind == "truncated":
        content = object_of(records(emulation_id, 300), name, compression)[:-5]
    else:
        # Several times what is fetched at once: all of its bytes count, though no decoder gets as far.
        content = random.Random(20).randbytes(3_000_000) if kind == "garbage" else bytes(3_000_000)
    readable = object_of(records(emulation_id, 10), name, compression)
    stated = store_content(s3_store, emulation_id, [(content, 300), (readable, 10)], name, compression)
    found = differences(stated, sink_settings)
    assert any(line.startswith(f"object {stated.objects[0].key}") for line in found)
    assert not any(stated.objects[1].key in line or "bytes found" in line for line in found)
    if (name, compression) in SELF_CONTAINED:
        assert any(line.startswith(f"object {stated.objects[0].key} cannot be read as {name}") for line in found)


def test_records_that_are_none_are_found(s3_store: SeaweedFS, sink_settings: Settings) -> None:
    emulation_id = str(uuid.uuid4())
    key, content = f"{emulation_id}/part-000000.json", b'{"emulation_id": "other"}\nno json\n'
    obstore.put(s3_store.bucket(BUCKET), key, content)
    stated = manifest(emulation_id, bucket=BUCKET, objects=[object_entry(key, content, 2)])
    assert differences(stated, sink_settings) == [f"object {key}: 2 are not json records of this emulation"]


def test_what_cannot_be_read_is_an_error_and_no_count(sink_settings: Settings) -> None:
    with pytest.raises(ReadBackError, match="bucket no-such-bucket cannot be read"):
        count_objects(manifest("e", bucket="no-such-bucket"), sink_settings)
    with pytest.raises(ReadBackError, match="emulation e: objects in format xml cannot be read"):
        count_objects(manifest("e", "xml", bucket=BUCKET), sink_settings)


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
    assert max(map(len, printed.splitlines())) <= 60

    assert verify([right.id, wrong.id], service_url=url, settings=sink_settings) == 1
    printed = capsys.readouterr().out
    assert "WRONG" in printed
    assert "1,010 records found, the service says 1,011" in printed

    assert verify([right.id], service_url=url, settings=Settings(token=sink_settings.token)) == 1
    assert "error: S3 is not configured: set DATA_EMULATOR_S3_ENDPOINT" in capsys.readouterr().out.replace("\n", " ")
    assert verify(["unknown"], service_url=url, settings=sink_settings) == 1
    assert "404" in capsys.readouterr().out
