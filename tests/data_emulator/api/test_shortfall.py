"""What an emulation was asked for and did not make in its time: its status says so, or it fails if that is wanted."""

from typing import Any

import pytest

from tests.support.running_service import RunningService, request

pytestmark = pytest.mark.integration

SHORT = {"rate": 50, "max_records": 1_000_000, "timeout": 1}
"""What no service makes in a second at this rate."""


def test_a_completed_emulation_that_fell_short_says_what_was_asked_and_made(running: RunningService) -> None:
    status = running.ended(running.post(request(**SHORT)))
    assert status["status"]["global_status"] == "completed"
    made = status["progress"]["records"]
    assert 0 < made <= 50
    assert status["shortfall"] == {"asked": 1_000_000, "made": made}


@pytest.mark.parametrize("changes", [{}, {"rate": 50, "max_records": None, "timeout": 1}])
def test_one_that_made_what_was_asked_has_no_shortfall(running: RunningService, changes: dict[str, Any]) -> None:
    body = request(**changes, fail_if_short=True)
    created = running.http.post("/emulator/", json=body).json()
    assert created["fail_if_short"] is True
    status = running.ended(created["id"])
    assert (status["status"]["global_status"], status["shortfall"]) == ("completed", None)


def test_as_fast_as_it_goes_nothing_is_short(running: RunningService) -> None:
    status = running.ended(running.post(request(max_records=None, timeout=0)))
    assert (status["status"]["global_status"], status["shortfall"]) == ("completed", None)


def test_falling_short_is_a_failure_where_that_is_wanted_and_the_data_stays(running: RunningService) -> None:
    emulation_id = running.post(request(rate=None, max_records=1_000_000_000, timeout=1, fail_if_short=True))
    status = running.ended(emulation_id)
    made = status["progress"]["records"]
    assert (status["status"]["global_status"], status["shortfall"]) == ("failed", None)
    assert status["error"] == (
        f"its time was up after {made:,} of the 1,000,000,000 records asked for, which is a failure (fail_if_short)"
    )
    assert running.manifest(emulation_id)["totals"]["records"] == made > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            SHORT,
            "fail_if_short cannot be met: max_records 1000000 is more than rate 50 gives in timeout 1 s, which is 50",
        ),
        ({"rate": None, "max_records": None}, "fail_if_short needs a number of records to fall short of"),
    ],
)
def test_what_is_bound_to_fall_short_is_refused(running: RunningService, changes: dict[str, Any], told: str) -> None:
    answer = running.http.post("/emulator/", json=request(**changes, fail_if_short=True))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(told)
