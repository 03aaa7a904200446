"""Long polls: they answer when an emulation ends, and not before, unless the time is up."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from data_emulator.api.preferences import prefers_minimal, wait_preference
from tests.support.running_service import RunningService, endless, request

pytestmark = pytest.mark.integration

SOON_S = 40
"""Well before the 55 seconds that the requests here are willing to wait."""


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """No test here takes as long as a poll that nobody wakes."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SOON_S


def test_it_answers_when_the_emulation_ends(running: RunningService) -> None:
    emulation_id = running.post(request(max_records=None, timeout=1, rate=10))
    answer = running.http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=55"})
    assert answer.json()["status"]["global_status"] == "completed"
    assert answer.headers["Preference-Applied"] == "wait=55"


def test_it_answers_when_the_time_is_up(running: RunningService) -> None:
    emulation_id = running.post(endless())
    started = time.monotonic()
    answer = running.http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=1"})
    assert time.monotonic() - started >= 1
    assert answer.json()["status"]["global_status"] == "processing"
    running.http.delete(f"/emulator/{emulation_id}")
    running.ended(emulation_id)


def test_it_answers_at_once_when_the_emulation_has_ended_or_is_unknown(running: RunningService) -> None:
    emulation_id = running.post(request())
    running.ended(emulation_id)
    for known, path in ((True, emulation_id), (False, "unknown")):
        answer = running.http.get(f"/emulator/{path}/status", headers={"Prefer": "wait=55"})
        assert answer.status_code == (200 if known else 404)


def test_it_answers_when_the_emulation_is_cancelled(running: RunningService) -> None:
    emulation_id = running.post(endless())
    threading.Timer(0.5, lambda: running.http.delete(f"/emulator/{emulation_id}")).start()
    answer = running.http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=55"})
    assert answer.json()["status"]["global_status"] == "cancelled"


def test_without_a_preference_none_is_applied(running: RunningService) -> None:
    emulation_id = running.post(request())
    for headers in ({}, {"Prefer": "respond-async"}, {"Prefer": "wait=soon"}):
        assert "Preference-Applied" not in running.http.get(f"/emulator/{emulation_id}/status", headers=headers).headers
    running.ended(emulation_id)


def test_many_are_answered_as_soon_as_one_of_them_ends(running: RunningService) -> None:
    slow, short = running.post(endless()), running.post(request(max_records=None, timeout=1, rate=10))
    answer = running.http.post(
        "/emulator/status", json={"ids": [slow, "unknown", short]}, headers={"Prefer": "wait=55"}
    )
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=55"
    body = answer.json()
    assert [each["id"] for each in body["emulations"]] == [slow, short]
    assert [each["status"]["global_status"] for each in body["emulations"]] == ["processing", "completed"]
    assert body["not_found"] == ["unknown"]
    running.http.delete(f"/emulator/{slow}")
    running.ended(slow)


def test_many_are_told_of_only_when_they_have_ended_if_that_is_preferred(running: RunningService) -> None:
    slow, short = running.post(endless()), running.post(request(max_records=None, timeout=1, rate=10))
    headers = {"Prefer": "wait=55, return=minimal"}
    answer = running.http.post("/emulator/status", json={"ids": [slow, short]}, headers=headers)
    assert answer.headers["Preference-Applied"] == "wait=55, return=minimal"
    assert [each["id"] for each in answer.json()["emulations"]] == [short]
    assert answer.json()["not_found"] == []
    headers = {"Prefer": "wait=1; return=minimal"}
    answer = running.http.post("/emulator/status", json={"ids": [slow]}, headers=headers)
    assert answer.json() == {"emulations": [], "not_found": []}
    # One that is unknown is told of at once: its client would wait for it in vain.
    answer = running.http.post(
        "/emulator/status", json={"ids": [slow, "unknown"]}, headers={"Prefer": headers["Prefer"]}
    )
    assert answer.json() == {"emulations": [], "not_found": ["unknown"]}
    answer = running.http.post("/emulator/status", json={"ids": [slow]}, headers={"Prefer": "return=minimal"})
    assert answer.headers["Preference-Applied"] == "return=minimal"
    running.http.delete(f"/emulator/{slow}")
    running.ended(slow)


@pytest.mark.parametrize(
    ("prefer", "minimal"),
    [
        ("return=minimal", True),
        ("wait=3,return=minimal", True),
        ('Return="Minimal"; x=1', True),
        ("return=representation", False),
        ("noreturn=minimal", False),
        (None, False),
    ],
)
def test_what_counts_as_a_preference_for_little(prefer: str | None, minimal: bool) -> None:
    assert prefers_minimal(prefer) is minimal


def test_many_unknown_ones_are_answered_at_once(http: httpx.Client) -> None:
    answer = http.post("/emulator/status", json={"ids": ["a", "b"]}, headers={"Prefer": "wait=55"})
    assert answer.json() == {"emulations": [], "not_found": ["a", "b"]}


def test_many_need_at_least_one(http: httpx.Client) -> None:
    assert http.post("/emulator/status", json={"ids": []}).status_code == 422
    assert http.post("/emulator/status", json={}).status_code == 422


def test_hundreds_of_waiters_leave_the_service_responsive(running: RunningService) -> None:
    emulation_id = running.post(endless())
    answers: list[httpx.Response] = []

    def wait() -> None:
        answers.append(own.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=55"}))

    # One client: to make a hundred of them would keep a busy machine for longer than the service.
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=running.http.base_url, timeout=60, trust_env=False, limits=limits) as own:
        threads = [threading.Thread(target=wait) for _ in range(100)]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        assert running.http.get(f"/emulator/{emulation_id}/status").status_code == 200
        assert running.http.get("/healthz").status_code == 200
        assert time.monotonic() - started < 30  # and not only when the waiters have their answers
        running.http.delete(f"/emulator/{emulation_id}")
        for thread in threads:
            thread.join(60)
    assert [answer.json()["status"]["global_status"] for answer in answers] == ["cancelled"] * 100


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=5", 5),
        ("wait=5, respond-async", 5),
        ("respond-async; wait=5", 5),
        ("wait=90", 60),
        ("wait=999999999", 60),
        ("wait=0", 0),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("await=5", None),
        ("wait", None),
    ],
)
def test_the_preference_is_read_as_rfc_7240_writes_it(header: str | None, seconds: int | None) -> None:
    assert wait_preference(header, 60.0) == seconds
