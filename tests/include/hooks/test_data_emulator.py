from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowFailException
from requests_mock import ANY
from requests_mock.mocker import Mocker

from data_emulator.stack.seaweedfs import SeaweedFS
from include.exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorConfigError,
    DataEmulatorConnectionError,
    DataEmulatorError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    EmulationNotFoundError,
)
from include.hooks.data_emulator import DataEmulatorHook
from include.wire.request import EmulationRequest
from include.wire.status import EmulationState

SIX = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}
REQUEST = EmulationRequest.from_arguments(SIX)
BASE = "http://emulator:8000"
STATUS = f"{BASE}/emulator/e1/status"
PROCESSING = {"json": {"status": {"global_status": "processing", "threads": {}}}}


@pytest.fixture
def hook(connect: Any) -> DataEmulatorHook:
    connect()
    return DataEmulatorHook()


def test_starting_posts_the_request_with_the_slash_and_the_key(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/emulator/", status_code=201, json={"id": {"value": "e1"}})
    assert hook.start_emulation(REQUEST, "key-1") == "e1"
    sent = requests_mock.last_request
    assert sent.json() == SIX
    assert sent.headers["Idempotency-Key"] == "key-1"
    assert sent.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("https://emulator:8443", "https://emulator:8443/emulator/e1/status"),
        ("http://emulator", "http://emulator/emulator/e1/status"),
    ],
)
def test_the_base_url_follows_the_connection(url: str, sent_to: str, connect: Any, requests_mock: Mocker) -> None:
    connect(url)
    requests_mock.get(sent_to, **PROCESSING)
    assert DataEmulatorHook().get_status("e1").state is EmulationState.PROCESSING


def test_a_host_that_carries_its_scheme(monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", '{"host": "https://emulator", "port": 8443}')
    requests_mock.get("https://emulator:8443/emulator/e1/status", **PROCESSING)
    assert DataEmulatorHook().get_status("e1").state is EmulationState.PROCESSING


def test_an_id_cannot_lead_to_another_path(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(ANY, **PROCESSING)
    hook.get_status("../admin?x=1")
    assert requests_mock.last_request.url == f"{BASE}/emulator/..%2Fadmin%3Fx%3D1/status"


def test_only_the_users_headers_and_the_token_are_sent(connect: Any, requests_mock: Mocker) -> None:
    connect(token="hunter2", connect_timeout=1.5, read_timeout=4, retry_attempts=2, **{"X-Team": "data", "X-Level": 7})
    requests_mock.get(STATUS, **PROCESSING)
    DataEmulatorHook().get_status("e1", wait_s=20)
    headers = dict(requests_mock.last_request.headers)
    for of_requests in ("User-Agent", "Accept-Encoding", "Connection"):
        headers.pop(of_requests)
    assert headers == {
        "Accept": "application/json",
        "Authorization": "Bearer hunter2",
        "Prefer": "wait=20",
        "X-Level": "7",
        "X-Team": "data",
    }
    # A long poll is allowed to last: its wait comes on top of the read timeout.
    assert requests_mock.last_request.timeout == (1.5, 24.0)


def test_no_token_means_no_authorization(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, **PROCESSING)
    hook.get_status("e1")
    assert "Authorization" not in requests_mock.last_request.headers


def test_the_token_wins_over_netrc(
    connect: Any, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine emulator login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    connect(token="hunter2")
    requests_mock.get(STATUS, **PROCESSING)
    DataEmulatorHook().get_status("e1")
    assert requests_mock.last_request.headers["Authorization"] == "Bearer hunter2"


def test_the_token_reaches_no_log_and_no_error(
    connect: Any, requests_mock: Mocker, capfd: pytest.CaptureFixture[str]
) -> None:
    connect(token="hunter2", retry_attempts=2)
    requests_mock.get(STATUS, exc=requests.ConnectionError("refused"))
    hook = DataEmulatorHook()
    with pytest.raises(DataEmulatorConnectionError) as caught:
        hook.get_status("e1")
    log = capfd.readouterr().out
    assert "Attempt 1 of 2 failed" in log
    assert "hunter2" not in log
    assert "hunter2" not in f"{caught.value!r} {vars(caught.value)} {hook!r} {hook.settings!r}"


def test_a_service_that_is_down_is_told_in_a_line_an_attempt_and_with_advice_in_the_end(
    connect: Any, capfd: pytest.CaptureFixture[str], closed_port: int
) -> None:
    connect(f"http://127.0.0.1:{closed_port}", retry_attempts=3)
    hook = DataEmulatorHook()
    with pytest.raises(DataEmulatorConnectionError) as caught:
        hook.get_status("e1")
    asked = f"(GET http://127.0.0.1:{closed_port}/emulator/e1/status)"
    what = f"127.0.0.1:{closed_port} refuses connections, so nothing listens there"
    told = [line for line in capfd.readouterr().out.splitlines() if "127.0.0.1" in line]
    assert len(told) == 2  # one for each attempt that another follows, and nothing of urllib3's or tenacity's
    for number, line in enumerate(told, start=1):
        assert f"Attempt {number} of 3 failed, retrying in 0.0 s: {what} {asked}" in line
    good, tested = hook.test_connection()
    assert not good
    assert str(caught.value) == f"{tested.removesuffix('.')} {asked}"
    assert tested.startswith(f"{what}: correct Host and Port, or start the service")


@pytest.mark.integration
@pytest.mark.parametrize("ask", ["get_status", "start_emulation"])
def test_the_port_of_an_s3_store_is_recognised(ask: str, connect: Any, s3_store: SeaweedFS) -> None:
    connect(s3_store.endpoint, retry_attempts=1)
    hook = DataEmulatorHook()
    with pytest.raises(DataEmulatorAnswerError) as caught:
        hook.get_status("e1") if ask == "get_status" else hook.start_emulation(REQUEST, "key")
    assert str(caught.value).startswith(
        "This is an S3 store, not a Data Emulator Service: set Host and Port of the connection to the service's (40"
    )


@pytest.mark.parametrize(
    "failure",
    [
        {"exc": requests.ConnectionError("refused")},
        {"exc": requests.ConnectTimeout("slow")},
        {"exc": requests.ReadTimeout("slow")},
        {"exc": requests.exceptions.ChunkedEncodingError("cut off")},
        {"status_code": 429, "headers": {"Retry-After": "0"}},
        {"status_code": 500},
        {"status_code": 502, "text": "<html>"},
        {"status_code": 503},
        {"status_code": 504},
        {"status_code": 200, "text": '{"status": "proc'},
        {"status_code": 200, "json": {"status": "paused"}},
    ],
    ids=str,
)
def test_a_transient_failure_is_retried(failure: dict[str, Any], hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, [failure, failure, PROCESSING])
    assert hook.get_status("e1").state is EmulationState.PROCESSING
    assert requests_mock.call_count == 3


def test_the_attempts_are_the_connections(connect: Any, requests_mock: Mocker) -> None:
    connect(retry_attempts=3)
    requests_mock.get(STATUS, status_code=503, json={"detail": "starting"})
    with pytest.raises(DataEmulatorUnavailableError, match=r"^starting \(503, GET"):
        DataEmulatorHook().get_status("e1")
    assert requests_mock.call_count == 3


@pytest.mark.parametrize(("status_code", "times"), [(408, 5), (425, 5), (503, 1), (429, 1), (422, 1)])
def test_the_status_codes_to_retry_are_the_connections(
    status_code: int, times: int, connect: Any, requests_mock: Mocker
) -> None:
    connect(retry_status_codes="408, 425", retry_attempts=5)
    requests_mock.get(STATUS, status_code=status_code, json={"detail": "because"})
    with pytest.raises(DataEmulatorError) as caught:
        DataEmulatorHook().get_status("e1")
    assert requests_mock.call_count == times
    # What is left after that is Airflow's: its retries for what may pass, none for what will not.
    assert isinstance(caught.value, AirflowFailException) is (times == 1)


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 409, 422, 501])
def test_a_refusal_is_not_retried(status_code: int, hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, status_code=status_code, json={"detail": "not e1"})
    with pytest.raises(DataEmulatorRequestError) as caught:
        hook.get_status("e1")
    assert caught.value.http_status == status_code
    assert requests_mock.call_count == 1


def test_a_post_is_tried_again_under_a_key_with_the_same_key(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    good = {"status_code": 201, "json": {"id": "e1"}, "headers": {"Idempotency-Replayed": "true"}}
    requests_mock.post(f"{BASE}/emulator/", [{"exc": requests.ReadTimeout}, {"status_code": 503}, good])
    assert hook.start_emulation(REQUEST, "key-1") == "e1"
    assert [sent.headers["Idempotency-Key"] for sent in requests_mock.request_history] == ["key-1"] * 3


@pytest.mark.parametrize("failure", [{"exc": requests.ReadTimeout}, {"status_code": 503}, {"text": "garbled"}], ids=str)
def test_a_post_without_a_key_is_sent_once(
    failure: dict[str, Any], hook: DataEmulatorHook, requests_mock: Mocker
) -> None:
    requests_mock.post(f"{BASE}/emulator/", **failure)
    with pytest.raises(DataEmulatorUnavailableError):
        hook.start_emulation(REQUEST, None)
    assert requests_mock.call_count == 1


def test_retry_after_is_waited_for_up_to_the_cap(
    connect: Any, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    connect(backoff_base=0, backoff_cap=20)
    busy = [{"status_code": 429, "headers": {"Retry-After": after}} for after in ("3", "600")]
    requests_mock.get(STATUS, [*busy, PROCESSING])
    DataEmulatorHook().get_status("e1")
    assert slept == [3.0, 20.0]


def test_a_garbled_answer_at_the_last_attempt(connect: Any, requests_mock: Mocker) -> None:
    connect(retry_attempts=1)
    requests_mock.get(STATUS, text="<html>Welcome to nginx</html>")
    with pytest.raises(DataEmulatorAnswerError, match=r"not JSON.*Welcome to nginx"):
        DataEmulatorHook().get_status("e1")


def test_a_long_poll_that_was_applied(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(STATUS, headers={"preference-applied": "wait=20"}, json={"status": "completed"})
    status = hook.get_status("e1", wait_s=20)
    assert (status.state, status.waited) == (EmulationState.COMPLETED, True)


@pytest.mark.parametrize(("status_code", "cancelled"), [(202, True), (204, True), (409, False)])
def test_cancelling(status_code: int, cancelled: bool, hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.delete(f"{BASE}/emulator/e1", status_code=status_code)
    assert hook.cancel("e1") is cancelled


def test_cancelling_where_that_does_not_exist(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.delete(f"{BASE}/emulator/e1", status_code=405, json={"detail": "Method Not Allowed"})
    with pytest.raises(DataEmulatorRequestError, match=r"Method Not Allowed \(405, DELETE"):
        hook.cancel("e1")


def test_the_manifest(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    body = {"emulation_domain": "transaction", "format_type": "json", "sink": "kafka", "topic": "transactions"}
    requests_mock.get(f"{BASE}/emulator/e1/manifest", json={**body, "totals": {"records": 1, "bytes": 2}})
    assert hook.get_manifest("e1").place == "kafka://transactions"


def test_the_manifest_of_a_service_without_any(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(f"{BASE}/emulator/e1/manifest", status_code=404, json={"detail": "Not Found"})
    with pytest.raises(DataEmulatorRequestError) as caught:
        hook.get_manifest("e1")
    assert not isinstance(caught.value, EmulationNotFoundError)


def test_testing_the_connection_asks_once(hook: DataEmulatorHook, requests_mock: Mocker) -> None:
    requests_mock.get(ANY, status_code=503)
    assert hook.test_connection()[0] is False
    assert requests_mock.call_count == 1  # somebody sits before the form


def test_a_connection_that_cannot_be_used(connect: Any) -> None:
    connect(read_timeout="long")
    with pytest.raises(DataEmulatorConfigError, match="read_timeout must be a number above 0, got 'long'"):
        DataEmulatorHook().get_status("e1")


def test_a_file_of_certificates_that_is_not_there(connect: Any) -> None:
    connect("https://emulator", verify="/no/such/ca.pem")
    with pytest.raises(
        DataEmulatorConfigError, match=r"'data_emulator_default': verify is '/no/such/ca.pem', .* No such file"
    ):
        DataEmulatorHook().get_status("e1")


def test_the_http_hooks_own_methods_use_the_connection_too(connect: Any, requests_mock: Mocker) -> None:
    connect(token="hunter2", **{"X-Team": "data"})
    requests_mock.get(f"{BASE}/domains", json=["user-profile"])
    hook = DataEmulatorHook()
    hook.method = "GET"
    assert hook.run("/domains").json() == ["user-profile"]
    assert requests_mock.last_request.headers["Authorization"] == "Bearer hunter2"
    assert requests_mock.last_request.headers["X-Team"] == "data"
    assert hook.url_from_endpoint("/domains") == f"{BASE}/domains"


def test_airflow_builds_the_hook_from_a_connection(connect: Any) -> None:
    connect()
    hook = DataEmulatorHook.get_hook("data_emulator_default")
    assert isinstance(hook, DataEmulatorHook)
    assert hook.data_emulator_conn_id == "data_emulator_default"
