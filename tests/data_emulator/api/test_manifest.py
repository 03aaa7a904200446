"""The manifest says exactly what is in the store and the broker: each domain, sink, format and way of grouping."""

import csv
import io
import itertools
import json
from typing import Any

import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.support import readback
from tests.support.running_service import Json, RunningService, request

pytestmark = pytest.mark.integration

RECORDS = 120
MAX_CHUNK_SIZE = 4000
DESTINATIONS = {"user-profile": "user-profiles", "device-log": "device-logs", "transaction": "transactions"}
CASES = [*itertools.product(DESTINATIONS, ("minio", "kafka"), ("json", "csv"), ("grouped", "chunked", "single"))]
Case = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def ended(running: RunningService) -> dict[Case, str]:
    """The ids of an emulation of each case. All run at once, so that they would get in each other's way."""
    started: dict[Case, str] = {}
    for case in CASES:
        domain, sink, format_type, sync_type = case
        started[case] = running.post(
            request(
                emulation_domain=domain,
                emulator_sync=sink,
                format_type=format_type,
                sync_type=sync_type,
                max_chunk_size=MAX_CHUNK_SIZE,
                max_records=RECORDS,
                seed=5,
            )
        )
    for emulation_id in started.values():
        assert running.ended(emulation_id)["status"]["global_status"] == "completed"
    return started


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_manifest_is_what_is_read_back(
    running: RunningService, s3_store: SeaweedFS, kafka_broker: Tansu, ended: dict[Case, str], case: Case
) -> None:
    domain, sink, format_type, sync_type = case
    manifest = running.manifest(ended[case])
    assert manifest["id"] == ended[case]
    assert (manifest["emulation_domain"], manifest["emulator_sync"]) == (domain, sink)
    assert (manifest["format_type"], manifest["state"]) == (format_type, "completed")
    check = in_s3 if sink == "minio" else in_kafka
    records = check(s3_store if sink == "minio" else kafka_broker, manifest, DESTINATIONS[domain], format_type)
    assert len(records) == RECORDS
    assert manifest["totals"]["records"] == RECORDS
    progress = running.status(ended[case])["progress"]
    assert (progress["records"], progress["bytes"]) == (RECORDS, manifest["totals"]["bytes"])
    if format_type == "json":
        assert {record["emulation_id"] for record in records} == {ended[case]}
        assert len({record["data"]["user_id"] for record in records}) > 1
    own_id = {"user-profile": "user_id", "device-log": "log_id", "transaction": "transaction_id"}[domain]
    assert len({(record.get("data") or record)[own_id] for record in records}) == RECORDS
    if sink == "minio":
        assert (len(manifest["objects"]) == 1) == (sync_type == "grouped")
        assert (len(manifest["objects"]) == RECORDS) == (sync_type == "single")
        if sync_type == "chunked":
            assert all(each["bytes"] <= MAX_CHUNK_SIZE for each in manifest["objects"])


def in_s3(store: SeaweedFS, manifest: Json, bucket: str, format_type: str) -> list[Json]:
    """Check the manifest against the bucket, and return the records."""
    assert (manifest["sink"], manifest["bucket"], manifest["topic"]) == ("s3", bucket, None)
    there = readback.objects(store, bucket, manifest["id"])
    assert [each["key"] for each in manifest["objects"]] == [*there]
    records: list[Json] = []
    for listed, content in zip(manifest["objects"], there.values(), strict=True):
        assert listed["key"].endswith(f".{format_type}")
        assert listed["bytes"] == len(content)
        assert listed["checksum"] == readback.checksum(content)
        own: list[Any]
        if format_type == "json":
            own = [json.loads(line) for line in content.splitlines()]
        else:
            own = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
            assert all(None not in row and None not in row.values() for row in own)
        assert listed["records"] == len(own)
        records += own
    assert manifest["partitions"] == []
    totals = {"records": len(records), "bytes": sum(map(len, there.values())), "objects": len(there), "partitions": 0}
    assert manifest["totals"] == totals
    return records


def in_kafka(broker: Tansu, manifest: Json, topic: str, format_type: str) -> list[Json]:
    """Check the manifest against the topic, and return the records."""
    assert (manifest["sink"], manifest["bucket"], manifest["topic"]) == ("kafka", None, topic)
    assert manifest["objects"] == []
    assert len(manifest["partitions"]) == 3
    records: list[Json] = []
    size = 0
    for listed in manifest["partitions"]:
        found = readback.messages(broker, topic, [(listed["partition"], listed["first_offset"], listed["next_offset"])])
        own = [message for message in found if manifest["id"].encode() in message.value()]
        assert [own[0].offset(), own[-1].offset() + 1] == [listed["first_offset"], listed["next_offset"]]
        assert len(own) == listed["records"]
        assert sum(len(message.value()) for message in own) == listed["bytes"]
        size += listed["bytes"]
        for message in own:
            record = decoded(message.value(), format_type)
            assert isinstance(record, dict)
            key = message.key().decode()
            assert key == record["data"]["user_id"] if format_type == "json" else key in record.values()
            records.append(record)
    totals = {"records": len(records), "bytes": size, "objects": 0, "partitions": len(manifest["partitions"])}
    assert manifest["totals"] == totals
    return records


def decoded(value: bytes, format_type: str) -> Any:
    """Return a message as an object; a CSV row has no header, so that its columns are named by where they stand."""
    if format_type == "json":
        return json.loads(value)
    (row,) = csv.reader(io.StringIO(value.decode(), newline=""))
    # Column 2, after the envelope's two, is the record's own id in every domain.
    return {**dict(enumerate(row)), "log_id": row[2], "transaction_id": row[2], "user_id": row[2]}


def test_a_manifest_grows_while_the_emulation_runs(running: RunningService, s3_store: SeaweedFS) -> None:
    emulation_id = running.post(request(timeout=3600, max_records=None, rate=200, sync_type="single"))
    running.wait_for_records(emulation_id, 50)
    manifest = running.manifest(emulation_id)
    assert manifest["state"] == "processing"
    there = readback.objects(s3_store, "transactions", emulation_id)
    assert {each["key"] for each in manifest["objects"]} <= set(there)
    running.http.delete(f"/emulator/{emulation_id}")
    running.ended(emulation_id)


def test_an_unknown_emulation_has_no_manifest(running: RunningService) -> None:
    answer = running.http.get("/emulator/unknown/manifest")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Emulation ID unknown not found.")
