"""A sink goes away while emulations write to it: their status says so, and in the end they fail with the reason."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Supervisor
from data_emulator.stack.seaweedfs import Credentials, SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.data_emulator.conftest import ServiceFactory
from tests.support import readback
from tests.support.missing import missing
from tests.support.running_service import Json, RunningService, endless, request, wait_until

pytestmark = pytest.mark.integration

FAILED = {"global_status": "failed", "threads": {"0": "error"}}


def waiting(service: RunningService, emulation_id: str) -> Json:
    """Wait until an emulation waits for its sink, and return what its status says of that."""
    wait_until(lambda: service.status(emulation_id)["waiting"] is not None, "the outage is in the status")
    body: Json = service.status(emulation_id)["waiting"]
    return body


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_broker_that_dies(serve: ServiceFactory, kafka_broker: Tansu) -> None:
    service = serve(SINK_TIMEOUT_S=2, SINK_OUTAGE_S=5)
    # One would go on for an hour, one ends while the broker is away: both have records that nobody took.
    ids = [
        service.post(endless(emulator_sync="kafka")),
        service.post(request(emulator_sync="kafka", max_records=None, rate=200, timeout=4)),
    ]
    for each in ids:
        service.wait_for_records(each, 100)
    kafka_broker.kill()
    try:
        for each in ids:
            assert f"Kafka at {kafka_broker.bootstrap_servers}" in waiting(service, each)["for"]
        for each in ids:
            status = service.ended(each)
            assert status["status"] == FAILED
            assert kafka_broker.bootstrap_servers in status["error"]
            assert "s (set by DATA_EMULATOR_SINK_OUTAGE_S)" in status["error"]
            assert status["waiting"] is None
        refused = service.http.post("/emulator/", json=request(emulator_sync="kafka"))
        assert refused.status_code == 400
        assert kafka_broker.bootstrap_servers in refused.json()["detail"]
    finally:
        kafka_broker.start()
    for each in ids:
        manifest = service.manifest(each)
        ranges = [(part["partition"], part["first_offset"], part["next_offset"]) for part in manifest["partitions"]]
        found = readback.messages(kafka_broker, "transactions", ranges)
        own = {message.value() for message in found if each.encode() in message.value()}
        assert len(own) == manifest["totals"]["records"] == service.status(each)["progress"]["records"]
    again = service.post(request(emulator_sync="kafka"))
    assert service.ended(again)["status"]["global_status"] == "completed"


def test_a_store_that_dies(serve: ServiceFactory, s3_store: SeaweedFS) -> None:
    service = serve(SINK_TIMEOUT_S=1, SINK_OUTAGE_S=1)
    ids = [
        service.post(request(sync_type=each, max_records=None, rate=100, timeout=4))
        for each in ("grouped", "chunked", "single")
    ]
    for each in ids:
        service.wait_for_records(each, 50)
    s3_store.kill()
    try:
        for each in ids:
            status = service.ended(each)
            assert status["status"] == FAILED
            assert f"S3 object {each}/part-" in status["error"]
            assert f"{s3_store.endpoint} does not answer. That has been so since 20" in status["error"]
        assert re.search(r"emulation falls back.*was_at_records|was_at_records.*emulation falls back", service.output())
        refused = service.http.post("/emulator/", json=request())
        assert refused.status_code == 400
        assert s3_store.endpoint in refused.json()["detail"]
    finally:
        s3_store.start()
    for each in ids:
        there = readback.objects(s3_store, "transactions", each)
        manifest = service.manifest(each)
        assert {one["key"] for one in manifest["objects"]} <= set(there)
        for one in manifest["objects"]:
            assert one["checksum"] == readback.checksum(there[one["key"]])
    again = service.post(request())
    assert service.ended(again)["status"]["global_status"] == "completed"


def test_a_store_that_hangs_is_waited_for_and_every_status_says_so(serve: ServiceFactory, s3_store: SeaweedFS) -> None:
    service = serve(SINK_TIMEOUT_S=1, SINK_OUTAGE_S=600)
    emulation_id = service.post(request(max_records=None, rate=100, timeout=2))
    os.kill(s3_store.pid, signal.SIGSTOP)
    try:
        told = waiting(service, emulation_id)
        since, until = time_of(told["since"]), time_of(told["until"])
        assert told["for"] == f"S3 object {emulation_id}/part-000000000.json: {s3_store.endpoint} does not answer"
        assert timedelta(0) <= datetime.now(UTC) - since < timedelta(minutes=5)
        assert until - since == timedelta(seconds=600)
        one = service.status(emulation_id)
        (of_many,) = service.http.post("/emulator/status", json={"ids": [emulation_id]}).json()["emulations"]
        (listed,) = service.http.get("/emulator/").json()["emulations"]
        assert shown_in_docs().keys() == one.keys()
        assert shown_in_docs()["waiting"].keys() == told.keys()
        for status in (one, of_many, listed):
            assert status["waiting"] == told
            assert status["error"] is None
            assert status["status"]["global_status"] == "processing"
            assert (status["progress"]["records"], status["progress"]["percent"]) == (0, 0.0)
    finally:
        os.kill(s3_store.pid, signal.SIGCONT)
    status = service.ended(emulation_id)
    assert status["status"]["global_status"] == "completed"
    assert status["waiting"] is None
    assert status["progress"]["records"] == 200


def shown_in_docs() -> Json:
    """Return the status that the documentation shows for an emulation that waits."""
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    _, _, section = page.partition("### When its sink is away")
    shown = re.search(r"```json\n(.*?)```", section, flags=re.DOTALL)
    assert shown is not None
    body: Json = json.loads(shown[1])
    return body


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        missing("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_with_a_full_disk_is_named_and_the_emulation_goes_on_when_there_is_room(
    serve: ServiceFactory, supervisor: Supervisor, small_disk: Path, tmp_path: Path
) -> None:
    with PortReservation(SeaweedFS.PORT_COUNT) as reservation:
        ports = reservation.ports
    store = SeaweedFS(
        supervisor,
        data_dir=small_disk / "seaweedfs",
        log_path=tmp_path / "seaweedfs.log",
        ports=ports,
        credentials=Credentials.kept_in(tmp_path / "credentials.json"),
        buckets=["transactions"],
    )
    store.start()
    try:
        service = serve(
            S3_ENDPOINT=store.endpoint,
            S3_ACCESS_KEY_ID=store.access_key_id,
            S3_SECRET_ACCESS_KEY=store.secret_access_key,
        )
        fill(small_disk / "ballast")
        emulation_id = service.post(request(max_records=2000))
        told = waiting(service, emulation_id)
        assert f"{store.endpoint} answers 500 InternalError" in told["for"]
        assert told["for"].endswith("a full disk is a usual reason")
        status = service.status(emulation_id)
        assert (status["progress"]["records"], status["progress"]["percent"]) == (0, 0.0)
        (small_disk / "ballast").unlink()
        assert service.ended(emulation_id)["status"]["global_status"] == "completed"
    finally:
        store.stop()


def test_a_folder_on_a_full_disk_is_waited_for_until_there_is_room(serve: ServiceFactory, small_disk: Path) -> None:
    service = serve(FILE_ROOT=small_disk)
    emulation_id = service.post(endless(emulator_sync="file", sync_type="chunked", max_chunk_size=20_000))
    service.wait_for_records(emulation_id, 100)
    fill(small_disk / "ballast")
    told = waiting(service, emulation_id)
    assert told["for"].startswith(f"file {small_disk}/transactions/{emulation_id}/part-")
    assert "No space left on device" in told["for"]
    (small_disk / "ballast").unlink()
    wait_until(lambda: service.status(emulation_id)["waiting"] is None, "the outage is over")
    service.http.delete(f"/emulator/{emulation_id}")
    assert service.ended(emulation_id)["status"]["global_status"] == "cancelled"


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(65_536))
