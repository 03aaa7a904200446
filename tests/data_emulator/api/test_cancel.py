"""Cancelling: it ends, as cancelled, and what it had written is accounted for."""

import httpx
import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu
from tests.support import readback
from tests.support.running_service import RunningService, endless, request

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("sync_type", ["grouped", "chunked", "single"])
def test_what_was_written_to_s3_is_in_the_manifest(
    running: RunningService, s3_store: SeaweedFS, sync_type: str
) -> None:
    emulation_id = running.post(endless(sync_type=sync_type))
    running.wait_for_records(emulation_id)
    answer = running.http.delete(f"/emulator/{emulation_id}")
    assert answer.status_code == 202
    assert answer.json()["id"] == emulation_id
    status = running.ended(emulation_id)
    assert status["status"] == {"global_status": "cancelled", "threads": {"0": "finished"}}
    manifest = running.manifest(emulation_id)
    assert manifest["state"] == "cancelled"
    there = readback.objects(s3_store, "transactions", emulation_id)
    assert {each["key"]: each["checksum"] for each in manifest["objects"]} == {
        key: readback.checksum(content) for key, content in there.items()
    }
    lines = sum(content.count(b"\n") for content in there.values())
    assert lines == manifest["totals"]["records"] == status["progress"]["records"] > 0


def test_what_was_written_to_kafka_is_in_the_manifest(running: RunningService, kafka_broker: Tansu) -> None:
    emulation_id = running.post(endless(emulator_sync="kafka"))
    running.wait_for_records(emulation_id)
    running.http.delete(f"/emulator/{emulation_id}")
    status = running.ended(emulation_id)
    assert status["status"]["global_status"] == "cancelled"
    ranges = [
        (each["partition"], each["first_offset"], each["next_offset"])
        for each in running.manifest(emulation_id)["partitions"]
    ]
    own = [
        message
        for message in readback.messages(kafka_broker, "transactions", ranges)
        if emulation_id.encode() in message.value()
    ]
    assert len(own) == status["progress"]["records"] > 0


def test_cancelling_right_after_the_start_works_every_time(running: RunningService) -> None:
    ids = []
    for _ in range(15):
        ids.append(running.post(endless()))
        assert running.http.delete(f"/emulator/{ids[-1]}").status_code == 202
    assert {running.ended(each)["status"]["global_status"] for each in ids} == {"cancelled"}


def test_what_has_ended_cannot_be_cancelled(running: RunningService) -> None:
    done, cancelled = running.post(request()), running.post(endless())
    running.ended(done)
    running.http.delete(f"/emulator/{cancelled}")
    running.ended(cancelled)
    for emulation_id, state in ((done, "completed"), (cancelled, "cancelled")):
        answer = running.http.delete(f"/emulator/{emulation_id}")
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert state in answer.json()["detail"]
        assert running.state(emulation_id) == state


def test_what_is_unknown_cannot_be_cancelled(http: httpx.Client) -> None:
    answer = http.delete("/emulator/unknown")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Emulation ID unknown not found.")
