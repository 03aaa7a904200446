"""As many emulations as are allowed: some run, some wait in turn, more are asked to come back later."""

from collections.abc import Iterator

import pytest

from data_emulator.stack.processes import Supervisor
from tests.support.running_service import RunningService, endless, request, simultaneous_posts, wait_until

pytestmark = pytest.mark.integration

MAX_QUEUED = 3


@pytest.fixture(scope="module")
def limited(
    supervisor: Supervisor, sink_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """A service in which one emulation runs at a time. A test leaves nothing running in it."""
    limits = {"MAX_RUNNING": "1", "MAX_QUEUED": str(MAX_QUEUED), "MAX_WAIT_S": "1"}
    environment = {f"DATA_EMULATOR_{name}": value for name, value in limits.items()}
    service = RunningService(supervisor, tmp_path_factory.mktemp("limited"), {**sink_environment, **environment})
    try:
        service.start()
        yield service
    finally:
        service.end()


def cancel(service: RunningService, *ids: str) -> None:
    for each in ids:
        service.http.delete(f"/emulator/{each}")
    for each in ids:
        service.ended(each)


def test_one_runs_some_wait_and_more_are_told_when_to_come_again(limited: RunningService) -> None:
    running, *waiting = [limited.post(endless())] + [limited.post(request()) for _ in range(MAX_QUEUED)]
    assert limited.state(running) == "processing"
    for each in waiting:
        assert limited.status(each)["status"] == {"global_status": "queued", "threads": {"0": "started"}}

    before = limited.http.get("/emulator/").json()["total"]
    refused = limited.http.post("/emulator/", json=request())
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    assert limited.http.get("/emulator/").json()["total"] == before

    cancel(limited, running)
    for each in waiting:
        assert limited.ended(each)["status"]["global_status"] == "completed"
    assert limited.ended(limited.post(request()))["status"]["global_status"] == "completed"


def test_those_that_wait_run_in_turn_and_can_be_cancelled(limited: RunningService) -> None:
    running, *waiting = [limited.post(endless()) for _ in range(4)]
    answer = limited.http.delete(f"/emulator/{waiting[1]}")
    assert (answer.status_code, answer.json()["status"]["global_status"]) == (202, "cancelled")
    assert limited.manifest(waiting[1])["totals"]["records"] == 0
    for ending, following in ((running, waiting[0]), (waiting[0], waiting[2])):
        limited.http.delete(f"/emulator/{ending}")
        wait_until(lambda one=following: limited.state(one) == "processing", "the next one runs")
    assert [limited.state(each) for each in waiting] == ["cancelled", "cancelled", "processing"]
    cancel(limited, waiting[2])


def test_a_replay_is_answered_also_when_no_more_are_admitted(limited: RunningService) -> None:
    others = [limited.post(endless()) for _ in range(MAX_QUEUED)]
    answers = simultaneous_posts(limited, "the last place", endless(), 20)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert limited.http.post("/emulator/", json=endless()).status_code == 429
    cancel(limited, *others, answers[0].json()["id"])


def test_a_wait_is_capped_and_the_answer_says_so(limited: RunningService) -> None:
    emulation_id = limited.post(endless())
    answer = limited.http.get(f"/emulator/{emulation_id}/status", headers={"Prefer": "wait=3000"})
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.json()["status"]["global_status"] == "processing"
    cancel(limited, emulation_id)
