"""A backfill over HTTP: the records in the store lie in the range; a range that makes no sense is refused by name."""

import json

import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.running_service import RunningService, request

pytestmark = pytest.mark.integration

RANGE = {"start_time": "2025-03-01T00:00:00+01:00", "end_time": "2025-03-08T00:00:00Z"}


def test_a_backfill_fills_its_range_in_order(running: RunningService, s3_store: SeaweedFS) -> None:
    answer = running.http.post("/emulator/", json=request(max_records=5000, **RANGE), headers={"Idempotency-Key": "a"})
    assert answer.status_code == 201, answer.text
    again = running.http.post("/emulator/", json=request(max_records=5000, **RANGE), headers={"Idempotency-Key": "a"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == answer.json()
    emulation_id = answer.json()["id"]
    assert running.ended(emulation_id)["status"]["global_status"] == "completed"
    (content,) = readback.objects(s3_store, "transactions", emulation_id).values()
    times = [json.loads(line)["data"]["timestamp"] for line in content.splitlines()]
    assert len(times) == 5000
    assert times == sorted(times)
    assert times[0].startswith("2025-03-01T") or times[0].startswith("2025-02-28T23")
    assert times[-1].startswith("2025-03-07T23")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"start_time": RANGE["start_time"]}, "end_time"),
        ({"start_time": RANGE["end_time"], "end_time": RANGE["start_time"]}, "end_time"),
        ({**RANGE, "end_time": "2999-01-01T00:00:00Z"}, "end_time"),
        ({**RANGE, "start_time": "2025-03-01T00:00:00"}, "start_time"),
        ({**RANGE, "rate": None, "max_records": None}, "max_records"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_by_name(
    running: RunningService, changes: dict[str, str | None], named: str
) -> None:
    answer = running.http.post("/emulator/", json=request(**changes))
    assert answer.status_code == 422
    assert named in json.dumps(answer.json()["detail"][0])
