"""What is asked of Airflow is sent again while that can do no harm; what it refuses is not."""

import json

import httpx
import pytest

from data_emulator.stack import airflow_api
from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError, AirflowUnreachableError, TaskInstance

LOCKED = httpx.Response(500, json={"detail": {"reason": "Database error", "message": "Serious error"}})
BROKEN = httpx.Response(500, text="Internal Server Error")
CONFLICT = httpx.Response(409, json={"detail": "it exists"})
NO_ANSWER = httpx.ReadTimeout("timed out")


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "_FIRST_PAUSE_S", 0.0)


def api_of(*answers: httpx.Response | httpx.TransportError) -> tuple[AirflowApi, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    given = [httpx.Response(201, json={"access_token": "t"}), *answers]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = given.pop(0)
        if isinstance(found, httpx.TransportError):
            raise found
        return found

    api = AirflowApi("http://airflow")
    api._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    return api, asked


@pytest.mark.parametrize(
    "answers", [(LOCKED,), (BROKEN, BROKEN), (NO_ANSWER,), (BROKEN, CONFLICT), (NO_ANSWER, CONFLICT)]
)
def test_a_trigger_is_sent_again_for_the_same_run(answers: tuple[httpx.Response | httpx.TransportError, ...]) -> None:
    last = () if CONFLICT in answers else (httpx.Response(200, json={"dag_run_id": "r"}),)
    api, asked = api_of(*answers, *last)
    run_id = api.trigger("a_dag")
    bodies = [json.loads(request.content) for request in asked[1:]]
    assert len(bodies) == len(answers) + len(last)
    assert all(body == {"dag_run_id": run_id, "logical_date": None} for body in bodies)


def test_two_triggers_are_two_runs() -> None:
    api, _ = api_of(httpx.Response(200), httpx.Response(200))
    assert api.trigger("a_dag") != api.trigger("a_dag")


def test_a_connection_that_an_attempt_without_an_answer_created_is_there() -> None:
    api, asked = api_of(NO_ANSWER, CONFLICT)
    api.create_connection({"connection_id": "c"})
    assert len(asked) == 3


@pytest.mark.parametrize("answer", [BROKEN, NO_ANSWER])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_what_can_be_asked_twice_is(method: str, answer: httpx.Response | httpx.TransportError) -> None:
    api, asked = api_of(answer, httpx.Response(200, json=7))
    assert api.request(method, "/x") == 7
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "raised"), [(BROKEN, AirflowApiError), (NO_ANSWER, AirflowUnreachableError), (CONFLICT, AirflowApiError)]
)
def test_what_might_be_done_twice_is_sent_once(
    answer: httpx.Response | httpx.TransportError, raised: type[Exception]
) -> None:
    api, asked = api_of(answer)
    with pytest.raises(raised):
        api.request("POST", "/clearTaskInstances", {})
    assert len(asked) == 2


def test_a_refusal_is_raised_at_once() -> None:
    api, asked = api_of(httpx.Response(409, text="Database error"))
    with pytest.raises(AirflowApiError):
        api.request("GET", "/x")
    assert len(asked) == 2


def test_an_error_that_stays_is_raised_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    api, _ = api_of(*[BROKEN] * 1000)
    monkeypatch.setattr(airflow_api, "_RESENT_FOR_S", 0.05)
    monkeypatch.setattr(airflow_api, "_FIRST_PAUSE_S", 0.01)
    with pytest.raises(AirflowApiError, match="Airflow answered GET /api/v2/x with 500"):
        api.request("GET", "/x")


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (
            [
                {"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "A", "exc_value": "why"}]},
                {"event": "Task finished", "level": "info"},
            ],
            "why",
        ),
        ([{"event": "x", "error_detail": [{"exc_type": "KeyError", "exc_value": ""}]}], "KeyError"),
        (["::group::Log", {"event": "killed", "level": "error"}, {"event": "over", "level": "info"}], "killed"),
        (["no structure"], None),
    ],
)
def test_a_task_says_why_it_failed(log: list[object], error: str | None) -> None:
    api, _ = api_of(httpx.Response(200, json={"content": log}))
    assert api.task_error("d", "r", TaskInstance("t", -1, None, "failed", 1)) == error
