"""What Airflow answers when SQLite is locked is asked for again; what it refuses is not."""

import httpx
import pytest

from data_emulator.stack.airflow_api import AirflowApi, AirflowApiError

LOCKED = httpx.Response(500, json={"detail": {"reason": "Database error", "message": "Serious error"}})


def api_of(*answers: httpx.Response) -> tuple[AirflowApi, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    given = [httpx.Response(201, json={"access_token": "t"}), *answers]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return given.pop(0)

    api = AirflowApi("http://airflow")
    api._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    return api, asked


def test_a_request_that_met_a_locked_database_is_sent_again() -> None:
    api, asked = api_of(LOCKED, LOCKED, httpx.Response(200, json={"dag_run_id": "r"}))
    assert api.trigger("a_dag") == "r"
    assert len(asked) == 4


@pytest.mark.parametrize("answer", [httpx.Response(500, text="broken"), httpx.Response(409, text="Database error")])
def test_another_error_is_raised_at_once(answer: httpx.Response) -> None:
    api, asked = api_of(answer)
    with pytest.raises(AirflowApiError):
        api.trigger("a_dag")
    assert len(asked) == 2
