"""A service that is away for as long as a redeployment takes, and something in between that answers instead of it.

On a real scheduler and triggerer, like test_disturbances.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.stack import Stack
from tests.support.disturbing import CONNECTION, StartRun, ends_as, wait_until
from tests.support.door import Door

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
whole = pytest.mark.disturbance

LOGIN_PAGE = httpx.Response(302, headers={"Location": "https://login.example.com/"})
NO_SUCH_ROUTE = httpx.Response(404, headers={"Content-Type": "text/html"}, text="<h1>404 page not found</h1>")
REDEPLOYED_AFTER_S = 120
STRAYED_FOR_S = 2


@pytest.mark.parametrize(
    "answer", [pytest.param(NO_SUCH_ROUTE, id="404"), pytest.param(LOGIN_PAGE, id="302", marks=whole)]
)
def test_waits_go_on_after_answers_that_are_not_the_services(
    answer: httpx.Response, start_run: StartRun, door: Door
) -> None:
    runs = [start_run(timeout=30) for _ in range(3)]
    for run in runs:
        run.is_waited_for("wait")
    door.astray = answer
    wait_until(door.strayed.is_set)  # the long poll that is open when it begins is the service's still
    time.sleep(STRAYED_FOR_S)
    door.astray = None
    for run in runs:
        run.ends("success")
        assert run.task("wait")["try_number"] == 1
        ends_as(door, run.ids[0], "completed")


@whole
def test_a_polling_wait_goes_on_after_an_answer_that_is_not_the_services(start_run: StartRun, door: Door) -> None:
    run = start_run("polling", timeout=15)
    run.is_polled_for("wait")
    door.astray = NO_SUCH_ROUTE
    wait_until(door.strayed.is_set)
    time.sleep(STRAYED_FOR_S)
    door.astray = None
    run.ends("success")
    ends_as(door, run.ids[0], "completed")


@pytest.fixture
def default_policy(airflow: AirflowApi, door: Door) -> Iterator[None]:
    """The connection says nothing of retries meanwhile."""
    airflow.set_connection_extra(CONNECTION, {})
    yield
    airflow.set_connection_extra(CONNECTION, {"retry_attempts": 2, "backoff_base": 0.1})


@whole
@pytest.mark.usefixtures("default_policy")
def test_a_redeployment_of_the_service_uses_no_retries_of_airflows(
    start_run: StartRun, whole_stack: Stack, door: Door
) -> None:
    """A wait that polls, one that is deferred, and a start, are in the midst of it when the service goes."""
    polled, deferred = start_run("polling", timeout=20), start_run(timeout=20)
    polled.is_polled_for("wait")
    deferred.is_waited_for("wait")
    whole_stack.service.stop()
    started = start_run(timeout=5)
    time.sleep(REDEPLOYED_AFTER_S)
    whole_stack.service.start()
    for run in (polled, deferred, started):
        run.ends("success")
        assert [run.task(name)["try_number"] for name in ("start", "wait")] == [1, 1]
        assert len(run.ids) == 1
