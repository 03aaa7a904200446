"""As many emulations as are allowed: some run, some wait in turn, more are asked to come back later."""

import pytest

from tests.data_emulator.conftest import ServiceFactory
from tests.data_emulator.running_service import endless, request, wait_until

pytestmark = pytest.mark.integration


def test_one_runs_one_waits_and_more_are_told_when_to_come_again(serve: ServiceFactory) -> None:
    service = serve(MAX_RUNNING=1, MAX_QUEUED=1)
    first, second = service.post(endless()), service.post(request())
    assert (service.state(first), service.state(second)) == ("processing", "queued")
    assert service.status(second)["status"]["threads"] == {"0": "started"}

    refused = service.http.post("/emulator/", json=request())
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    assert service.http.get("/emulator/").json()["total"] == 2

    service.http.delete(f"/emulator/{first}")
    assert service.ended(second)["status"]["global_status"] == "completed"
    assert service.state(first) == "cancelled"
    assert service.ended(service.post(request()))["status"]["global_status"] == "completed"


def test_those_that_wait_run_in_turn_and_can_be_cancelled(serve: ServiceFactory) -> None:
    service = serve(MAX_RUNNING=1)
    first, *waiting = [service.post(endless()) for _ in range(4)]
    answer = service.http.delete(f"/emulator/{waiting[1]}")
    assert (answer.status_code, answer.json()["status"]["global_status"]) == (202, "cancelled")
    assert service.manifest(waiting[1])["totals"]["records"] == 0
    for running, following in ((first, waiting[0]), (waiting[0], waiting[2])):
        service.http.delete(f"/emulator/{running}")
        wait_until(lambda one=following: service.state(one) == "processing", "the next one runs")
    assert [service.state(each) for each in waiting] == ["cancelled", "cancelled", "processing"]
