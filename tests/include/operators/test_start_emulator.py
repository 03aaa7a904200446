from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from requests_mock.mocker import Mocker

from include.exceptions import DataEmulatorConfigError, DataEmulatorRequestError, DataEmulatorUnavailableError
from include.operators.start_emulator import StartEmulatorOperator, idempotency_key

URL = "http://emulator:8000/emulator/"
SIX: dict[str, Any] = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}


def test_the_articles_usage(connect: Any, make_context: Any, requests_mock: Mocker) -> None:
    connect()
    requests_mock.post(URL, status_code=201, json={"id": {"value": "e1"}})
    operator = StartEmulatorOperator(task_id="start_user_profile", **SIX)
    assert operator.execute(make_context(task_id="start_user_profile", map_index=2)) == "e1"
    assert requests_mock.last_request.json() == SIX
    assert requests_mock.last_request.headers["Idempotency-Key"] == "d/r/start_user_profile/2/1"


def test_optional_parameters_are_sent_if_given(connect: Any, make_context: Any, requests_mock: Mocker) -> None:
    connect()
    requests_mock.post(URL, status_code=201, json={"id": "e1"})
    StartEmulatorOperator(task_id="t", **SIX, rate="unlimited", max_records=5, seed=7).execute(make_context())
    assert requests_mock.last_request.json() == {**SIX, "rate": None, "max_records": 5, "seed": 7}


def test_every_parameter_is_templated(connect: Any, make_context: Any, requests_mock: Mocker) -> None:
    connect()
    requests_mock.post(URL, status_code=201, json={"id": "e1"})
    parameters = [*SIX, "rate", "max_records", "seed", "compression", "start_time", "end_time"]
    with DAG("d"):
        operator = StartEmulatorOperator(task_id="t", **{name: "{{ values." + name + " }}" for name in parameters})
    times = {"start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-01-02T00:00:00+00:00"}
    values = {**SIX, "rate": 2.5, "max_records": 5, "seed": 7, "compression": "gzip", **times}
    operator.render_template_fields({"values": values})  # type: ignore[arg-type]
    operator.execute(make_context())
    assert requests_mock.last_request.json() == values


def test_a_run_can_make_the_data_of_its_own_interval(connect: Any, make_context: Any, requests_mock: Mocker) -> None:
    connect()
    requests_mock.post(URL, status_code=201, json={"id": "e1"})
    with DAG("d"):
        operator = StartEmulatorOperator(
            task_id="t",
            **SIX,
            max_records=5,
            start_time="{{ data_interval_start }}",
            end_time=datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1))),
        )
    operator.render_template_fields({"data_interval_start": datetime(2026, 1, 1, tzinfo=UTC)})  # type: ignore[arg-type]
    operator.execute(make_context())
    sent = requests_mock.last_request.json()
    assert (sent["start_time"], sent["end_time"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+01:00")


def test_a_wrong_parameter_is_refused_before_anything_is_sent(
    connect: Any, make_context: Any, requests_mock: Mocker
) -> None:
    connect()
    with pytest.raises(DataEmulatorConfigError, match="timeout must be an integer, got 'soon'"):
        StartEmulatorOperator(task_id="t", **{**SIX, "timeout": "soon"}).execute(make_context())
    assert requests_mock.call_count == 0


def test_a_refusal_fails_the_task_without_airflows_retries(
    connect: Any, make_context: Any, requests_mock: Mocker
) -> None:
    connect()
    requests_mock.post(URL, status_code=400, json={"detail": "Domain not supported: orders"})
    with pytest.raises(DataEmulatorRequestError, match="Domain not supported: orders") as caught:
        StartEmulatorOperator(task_id="t", **SIX).execute(make_context())
    assert isinstance(caught.value, AirflowFailException)


def test_a_service_that_is_away_fails_the_task_with_airflows_retries(
    connect: Any, make_context: Any, requests_mock: Mocker
) -> None:
    connect(retry_attempts=2)
    requests_mock.post(URL, exc=requests.ConnectionError("refused"))
    with pytest.raises(DataEmulatorUnavailableError) as caught:
        StartEmulatorOperator(task_id="t", **SIX).execute(make_context())
    assert not isinstance(caught.value, AirflowFailException)
    assert requests_mock.call_count == 2


def ti(**fields: Any) -> Any:
    identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1, "try_number": 1}
    return SimpleNamespace(**{**identity, **fields})


def test_a_retry_has_the_key_of_the_try_before_it() -> None:
    assert idempotency_key(ti(try_number=1)) == idempotency_key(ti(try_number=2))


@pytest.mark.parametrize(
    "other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 3}, {"max_tries": 2}]
)
def test_everything_else_has_a_key_of_its_own(other: dict[str, Any]) -> None:
    assert idempotency_key(ti(**other)) != idempotency_key(ti())


@pytest.mark.parametrize("run_id", ["manuell für alle", "line\nbreak", "x" * 250])
def test_a_key_always_fits_into_a_header(run_id: str) -> None:
    key = idempotency_key(ti(run_id=run_id))
    assert key.isascii()
    assert key.isalnum()
    assert len(key) == 64
    assert key != idempotency_key(ti(run_id=run_id + "x"))
