from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from requests_mock.mocker import Mocker

from include.exceptions import (
    DataEmulatorConfigError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    TaskInterruptedError,
)
from include.operators.emulation import EmulationOperator
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator
from tests.support.running_task import FakeStore, TaskLife, running_task, until_killed

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


@pytest.mark.parametrize("kind", [str, lambda time: time])
def test_an_empty_interval_says_what_to_do(kind: Any, connect: Any, make_context: Any, requests_mock: Mocker) -> None:
    connect()
    midnight = kind(datetime(2026, 1, 1, tzinfo=UTC))
    operator = StartEmulatorOperator(task_id="t", **SIX, start_time=midnight, end_time=midnight)
    with pytest.raises(DataEmulatorConfigError) as caught:
        operator.execute(make_context())
    assert str(caught.value) == (
        "Cannot start an emulation: start_time and end_time are both 2026-01-01T00:00:00+00:00, an empty interval, as "
        'Airflow 3 gives the run of a cron schedule by default: use window="data_interval", or schedule the DAG with '
        "CronDataIntervalTimetable"
    )
    assert not requests_mock.called


class TestWindow:
    RUN = SimpleNamespace(
        data_interval_start=datetime(2026, 1, 1, tzinfo=UTC),
        data_interval_end=datetime(2026, 1, 2, tzinfo=UTC),
        run_type="scheduled",
    )

    def start(self, make_context: Any, **task: Any) -> str:
        operator = StartEmulatorOperator(task_id="t", **SIX, window="data_interval", max_records=5)
        context = {**make_context(**task), "dag_run": self.RUN, "dag": DAG("d")}
        return str(operator.execute(context))  # type: ignore[arg-type]

    def test_the_same_interval_is_made_once_whichever_run_asks(
        self, connect: Any, make_context: Any, requests_mock: Mocker
    ) -> None:
        connect()
        requests_mock.post(URL, status_code=201, json={"id": "e1"})
        for task in ({}, {"max_tries": 5}, {"run_id": "another"}):
            self.start(make_context, **task)
        keys, bodies = zip(
            *((each.headers["Idempotency-Key"], each.json()) for each in requests_mock.request_history), strict=True
        )
        assert len(set(keys)) == 1
        assert bodies[0] == bodies[1] == bodies[2]
        assert bodies[0]["start_time"] == "2026-01-01T00:00:00+00:00"
        assert bodies[0]["world_seed"] is None

    @pytest.mark.parametrize(
        ("state", "starts"), [("completed", 1), ("processing", 1), ("failed", 2), ("cancelled", 2)]
    )
    def test_what_was_in_vain_is_made_again(
        self, state: str, starts: int, connect: Any, make_context: Any, requests_mock: Mocker
    ) -> None:
        connect()
        replayed = {"status_code": 201, "json": {"id": "e1"}, "headers": {"Idempotency-Replayed": "true"}}
        requests_mock.post(URL, [replayed, {"status_code": 201, "json": {"id": "e2"}}])
        requests_mock.get(f"{URL}e1/status", json={"id": "e1", "status": {"global_status": state, "threads": {}}})
        assert self.start(make_context) == f"e{starts}"

    def test_another_window_is_refused(self, connect: Any, make_context: Any, requests_mock: Mocker) -> None:
        connect()
        with pytest.raises(DataEmulatorConfigError, match="window must be 'data_interval' or None, got 'day'"):
            StartEmulatorOperator(task_id="t", **SIX, window="day").execute(make_context())
        assert not requests_mock.called


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


# Never twice, never orphaned.

NOBODY = f"{URL}00000000-0000-0000-0000-000000000000"


class Service:
    """Starts one emulation a key, and cancels; mocked where requests leaves the process."""

    def __init__(self, mock: Mocker) -> None:
        self.ids: dict[str, str] = {}
        self.cancelled: list[str] = []
        mock.post(URL, json=self._start)
        mock.delete(re.compile(URL + "e[0-9]+"), status_code=202, json=self._cancel)
        mock.delete(NOBODY, status_code=404, json={"detail": "not found"})
        mock.get(re.compile(URL + "e[0-9]+/status"), json=self._status)

    def _start(self, request: Any, answer: Any) -> dict[str, Any]:
        key = request.headers["Idempotency-Key"]
        answer.status_code = 201
        if key in self.ids:
            answer.headers["Idempotency-Replayed"] = "true"
        return {"id": self.ids.setdefault(key, f"e{len(self.ids)}")}

    def _cancel(self, request: Any, answer: Any) -> dict[str, Any]:
        self.cancelled.append(request.path.rsplit("/", 1)[1])
        return {}

    def _status(self, request: Any, answer: Any) -> dict[str, Any]:
        return {"status": "cancelled" if request.path.split("/")[-2] in self.cancelled else "processing"}


@pytest.fixture
def service(connect: Any, requests_mock: Mocker) -> Service:
    connect(retry_attempts=1)
    return Service(requests_mock)


def start(**arguments: Any) -> StartEmulatorOperator:
    return StartEmulatorOperator(task_id="t", **SIX, **arguments)


def test_a_clear_cancels_the_one_before_when_the_new_one_is_known(service: Service) -> None:
    life = TaskLife()
    assert start().execute(life.context()) == "e0"
    life.clear()
    cleared = life.context()
    assert start().execute(cleared) == "e1"
    assert service.cancelled == ["e0"]
    # Whoever hears that e0 was cancelled finds e1 already.
    assert cleared["ti"].pushed["return_value"] == "e1"


def test_a_clear_leaves_the_one_before_alone_if_told_so(service: Service) -> None:
    life = TaskLife()
    start(cancel_on_kill=False).execute(life.context())
    life.clear()
    start(cancel_on_kill=False).execute(life.context())
    assert len(service.ids) == 2
    assert service.cancelled == []


class StoreThatEnds(FakeStore):
    """A store in which nothing is kept of the emulation's id before its task is told to end."""

    def __init__(self, task: StartEmulatorOperator) -> None:
        super().__init__()
        self.task = task

    def set(self, key: str, value: Any) -> None:
        if "id" in value:
            self.task.on_kill()
        super().set(key, value)


@pytest.mark.parametrize(
    ("state", "cancels"),
    [
        ("failed", True),
        ("success", True),
        ("restarting", True),
        (None, True),
        ("running", False),
        ("up_for_retry", False),
        (RuntimeError("Airflow is away"), False),
    ],
)
@pytest.mark.parametrize("answered", [True, False])
def test_a_signal_cancels_what_was_asked_for_only_if_somebody_ended_the_task(
    answered: bool,
    state: Any,
    cancels: bool,
    service: Service,
    requests_mock: Mocker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("include.operators.interruption._CANCELLED_WITHIN_S", 0.1)
    life, task = TaskLife(), start()

    def killed(request: Any, answer: Any) -> dict[str, Any]:
        Service._start(service, request, answer)
        requests_mock.post(URL, json=service._start)
        task.on_kill()  # in a signal's handler, which is where Airflow calls it
        raise AssertionError("the try went on")

    if answered:
        context = running_task(StoreThatEnds(task), state=state)
        task.execute(context)
        life.store = context["task_state_store"]
    else:
        requests_mock.post(URL, json=killed)
        with pytest.raises(TaskInterruptedError):
            task.execute(running_task(life.store, state=state))
    until_killed()
    assert service.cancelled == (["e0"] if cancels else [])
    life.retry()
    assert start().execute(life.context()) == ("e1" if cancels else "e0")


def test_a_task_that_has_asked_for_nothing_cancels_nothing(service: Service, requests_mock: Mocker) -> None:
    start().on_kill()
    task = start(cancel_on_kill=False)
    task.execute(running_task(FakeStore()))
    asked = requests_mock.call_count
    task.on_kill()
    assert requests_mock.call_count == asked
    assert service.cancelled == []


def test_a_start_that_has_succeeded_is_not_concerned_by_its_processes_end(service: Service) -> None:
    task = start()
    task.execute(running_task(FakeStore(), state="success"))
    task.on_kill()
    until_killed()
    assert service.cancelled == []


def test_a_service_that_is_away_when_the_task_is_killed_is_told_of(
    service: Service, requests_mock: Mocker, capfd: pytest.CaptureFixture[str]
) -> None:
    task = start()
    requests_mock.delete(f"{URL}e0", exc=requests.ConnectionError("refused"))
    task.execute(running_task(StoreThatEnds(task), state="failed"))
    until_killed()
    assert "Could not cancel" in capfd.readouterr().out


def test_the_link_leads_to_the_emulation(connect: Any, requests_mock: Mocker) -> None:
    connect(service_url="https://emulator.example.com/")
    Service(requests_mock)
    task = start()
    task.execute(running_task(FakeStore()))
    url = "https://emulator.example.com/emulator/e0/status"
    (link,) = start().operator_extra_links
    assert link.get_link(start(), ti_key=None) == "", "before it is started"
    assert link.get_link(task, ti_key=None) == url  # type: ignore[arg-type]


# All arguments in one mapping, as a mapped task group hands them over.


def render(task: EmulationOperator, **context: Any) -> None:
    task.render_template_fields(context)  # type: ignore[arg-type]


def test_arguments_can_come_in_one_mapping_that_is_known_when_the_task_runs(
    connect: Any, make_context: Any, requests_mock: Mocker
) -> None:
    connect()
    requests_mock.post(URL, status_code=201, json={"id": "e1"})
    with DAG("d", render_template_as_native_obj=True):
        task = StartEmulatorOperator(task_id="t", arguments="{{ entry }}", timeout=7, seed=3)
    entry = {**SIX, "rate": 5, "seed": None, "poll_interval": 3, "emulation_label": "profiles"}
    render(task, entry=entry)
    task.execute(make_context())
    assert requests_mock.last_request.json() == {**SIX, "rate": 5.0, "seed": 3}
    assert task.label == "profiles"


def test_a_wait_takes_its_own_out_of_the_same_mapping(connect: Any) -> None:
    connect()
    with DAG("d", render_template_as_native_obj=True):
        task = StatusEmulationOperator(task_id="t", prev_task_id="start", arguments="{{ entry }}")
    render(task, entry={**SIX, "poll_interval": 3, "wait_timeout": 90, "emulation_label": "profiles"})
    with pytest.raises(TaskDeferred):
        task.execute(running_task(xcoms={("start", -1): "e1"}))
    assert (task.poll_interval, task.wait_timeout, task.label) == (3, 90, "profiles")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**SIX, "tiemout": 3, "speed": 1}, "arguments contains unknown parameters: 'speed', 'tiemout'"),
        ("user-profile", "arguments must be a mapping of parameters, got 'user-profile'"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: Any, message: str, make_context: Any) -> None:
    with pytest.raises(DataEmulatorConfigError, match=message):
        StartEmulatorOperator(task_id="t", arguments=arguments).execute(make_context())


def test_what_arguments_lack_is_named_when_the_task_runs(connect: Any, make_context: Any) -> None:
    connect()
    with DAG("d"):
        task = StartEmulatorOperator(task_id="t", arguments={"emulation_domain": "orders"})
    render(task)
    with pytest.raises(DataEmulatorConfigError, match="emulator_sync must be a non-empty string, got None"):
        task.execute(make_context())


def test_what_is_given_nowhere_is_named_when_the_file_is_read() -> None:
    with pytest.raises(ValueError, match="Task t: format_type, timeout must be given, directly or in arguments"):
        StartEmulatorOperator(task_id="t", **{**SIX, "format_type": None, "timeout": None})
