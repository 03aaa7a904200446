"""Every exchange that was recorded with the original service, put through the hook."""

from __future__ import annotations

from typing import Any

import pytest
from requests_mock.mocker import Mocker

from include.exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorError,
    DataEmulatorRequestError,
    EmulationNotFoundError,
)
from include.hooks.data_emulator import DataEmulatorHook
from include.wire.call import Call
from include.wire.request import EmulationRequest
from include.wire.status import EmulationState, parse_started, parse_status
from tests.support.recorded_server import BY_NAME, EXCHANGES, body_text

BROKEN = "5 of 5 threads in error while the service reports 'processing'"

#: What the hook makes of each: an id; a state with its error; or an error with its status code and part of its message.
EXPECTED: dict[str, Any] = {
    "root": None,
    "status unknown uuid": (EmulationNotFoundError, 404, "00000000-0000-4000-8000-000000000000 not found"),
    "status non-uuid": (EmulationNotFoundError, 404, "not-a-uuid not found"),
    "status trailing slash": (DataEmulatorAnswerError, None, "redirect to http://127.0.0.1:8000/emulator/x/status"),
    "GET collection": (DataEmulatorAnswerError, None, "Method Not Allowed"),
    "POST no trailing slash": (DataEmulatorAnswerError, None, "redirect to http://127.0.0.1:8000/emulator/"),
    "POST {}": (DataEmulatorRequestError, 422, "body.emulator_sync: Field required; body.format_type: Field required"),
    "POST missing timeout": (DataEmulatorRequestError, 422, "body.timeout: Field required"),
    "POST malformed json": (DataEmulatorRequestError, 422, "body.5: JSON decode error"),
    "POST timeout 1.5": (DataEmulatorRequestError, 422, "body.timeout: Input should be a valid integer"),
    "POST bad emulator_sync": (DataEmulatorRequestError, 400, "Unsupported emulator sync type: rabbit"),
    "POST unknown domain kafka": (DataEmulatorRequestError, 400, "Domain not supported: orders"),
    "POST unknown domain minio": (DataEmulatorRequestError, 400, "invalid bucket name default_topic"),
    "POST timeout 0": "508afd92-2f1b-4eec-a175-1053c14ff425",
    "status after timeout 0": (EmulationState.COMPLETED, None),
    "POST minio user-profile json/grouped/1024": "025215a5-8151-4eec-b6f0-61f19cbd08f4",
    "status before minio user-profile json/grouped/1024": (EmulationState.PROCESSING, None),
    "status during minio user-profile json/grouped/1024": (EmulationState.PROCESSING, None),
    "status after minio user-profile json/grouped/1024": (EmulationState.COMPLETED, None),
    "POST kafka, broker unreachable": (DataEmulatorRequestError, 400, "Broker transport failure"),
    "POST minio, S3 unreachable": (DataEmulatorRequestError, 400, "Connection refused"),
    "POST minio, wrong secret": (DataEmulatorRequestError, 400, "SignatureDoesNotMatch"),
    "status completed after kill+restart": (EmulationNotFoundError, 404, "52be960e-5565-41eb-908d-52523b3e37a4"),
    "status minio single, every write denied": (EmulationState.FAILED, BROKEN),
}


def test_every_recorded_exchange_is_expected() -> None:
    assert list(EXPECTED) == [exchange["name"] for exchange in EXCHANGES]


def through_the_hook(hook: DataEmulatorHook, request: dict[str, Any]) -> Any:
    """Ask by the hook's method for it; what no method would send goes out by the hook as it was recorded."""
    method, path, body = request["method"], request["path"], request["body"]
    if path.startswith("/emulator/") and path.endswith("/status"):
        status = hook.get_status(path.split("/")[2])
        return status.state, status.error
    if method == "POST" and path == "/emulator/":
        try:
            emulation = EmulationRequest.from_arguments(body)
        except (DataEmulatorError, AttributeError):
            return hook._call(Call(method, path, json=body), parse_started, attempts=1)
        return hook.start_emulation(emulation, "key")
    if method == "POST":
        return hook._call(Call(method, path, json=body), parse_started, attempts=1)
    if path == "/":
        return hook._call(Call(method, path), lambda answer: None if answer.json_object() else "empty")
    return hook._call(Call(method, path), lambda answer: parse_status("x", answer), attempts=1)


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_exchange(name: str, connect: Any, requests_mock: Mocker) -> None:
    connect()
    exchange = BY_NAME[name]
    request, response = exchange["request"], exchange["response"]
    requests_mock.request(
        request["method"],
        f"http://emulator:8000{request['path']}",
        status_code=response["status"],
        headers=response["headers"],
        text=body_text(response),
    )
    expected = EXPECTED[name]
    if isinstance(expected, tuple) and isinstance(expected[0], type):
        kind, status_code, message = expected
        with pytest.raises(DataEmulatorError) as caught:
            through_the_hook(DataEmulatorHook(), request)
        assert type(caught.value) is kind
        assert getattr(caught.value, "http_status", None) == status_code
        assert message in str(caught.value)
    else:
        assert through_the_hook(DataEmulatorHook(), request) == expected
    assert requests_mock.call_count == 1


def test_the_recorded_start_is_what_the_hook_sends(connect: Any, requests_mock: Mocker) -> None:
    connect()
    request = BY_NAME["POST minio user-profile json/grouped/1024"]["request"]
    requests_mock.post("http://emulator:8000/emulator/", status_code=201, json={"id": "e1"})
    DataEmulatorHook().start_emulation(EmulationRequest.from_arguments(request["body"]), None)
    assert requests_mock.last_request.json() == request["body"]
