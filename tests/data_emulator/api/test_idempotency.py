"""One key starts one emulation, however often and from wherever it is sent."""

import httpx
import pytest

from tests.support.running_service import RunningService, request, simultaneous_posts

pytestmark = pytest.mark.integration


def test_the_same_key_and_body_give_the_same_emulation(running: RunningService) -> None:
    key = {"Idempotency-Key": "dag/run/task/0"}
    before = running.http.get("/emulator/").json()["total"]
    first = running.http.post("/emulator/", json=request(), headers=key)
    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    for _ in range(2):
        again = running.http.post("/emulator/", json=dict(reversed(request().items())), headers=key)
        assert again.status_code == 201
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == first.json()
        running.ended(first.json()["id"])  # the second time it is found after its end
    assert running.http.get("/emulator/").json()["total"] == before + 1


def test_the_same_key_and_another_body_are_refused(running: RunningService) -> None:
    key = {"Idempotency-Key": "the same"}
    emulation_id = running.post(request(), **key)
    absent = {name: value for name, value in request().items() if name != "rate"}
    given = (request(abandon_after=60), request(abandon_after=None))
    for other in (request(max_records=101), absent, *given):
        answer = running.http.post("/emulator/", json=other, headers=key)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert emulation_id in answer.json()["detail"]
    running.ended(emulation_id)


def test_without_a_key_each_post_starts_one(running: RunningService) -> None:
    ids = {running.post(request()) for _ in range(3)}
    assert len(ids) == 3
    for each in ids:
        running.ended(each)


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_cannot_be_kept_is_refused(http: httpx.Client, key: str) -> None:
    answer = http.post("/emulator/", json=request(), headers={"Idempotency-Key": key})
    assert answer.status_code == 422


def test_concurrent_posts_with_one_key_start_one_emulation(running: RunningService) -> None:
    before = running.http.get("/emulator/").json()["total"]
    answers = simultaneous_posts(running, "at once", request(), 20)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert running.http.get("/emulator/").json()["total"] == before + 1
    running.ended(answers[0].json()["id"])
