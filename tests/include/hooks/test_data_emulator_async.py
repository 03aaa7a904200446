from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from airflow.sdk.exceptions import AirflowFailException

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
from include.hooks.data_emulator_async import DataEmulatorAsyncHook
from include.wire.status import EmulationState
from tests.support.fake_service import Answer, cut_off, error, fake_service, hang, reset, status, text


async def test_only_the_users_headers_and_the_token_are_sent(connect: Any) -> None:
    async with fake_service(status("processing", held=True)) as service:
        connect(service.url, token="hunter2", retry_attempts=2, connect_timeout=3, **{"X-Team": "data", "X-Level": 7})
        async with DataEmulatorAsyncHook().open() as client:
            seen = await client.get_status("e1", wait_s=20)
    assert (seen.state, seen.waited) == (EmulationState.PROCESSING, True)
    assert service.asked == ["GET /emulator/e1/status"]
    headers = dict(service.requests[0].headers)
    for of_aiohttp in ("Host", "User-Agent", "Accept-Encoding"):
        headers.pop(of_aiohttp)
    assert headers == {
        "Accept": "application/json",
        "Authorization": "Bearer hunter2",
        "Prefer": "wait=20",
        "X-Level": "7",
        "X-Team": "data",
    }


async def test_an_id_cannot_lead_to_another_path(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorAnswerError, match=r"for emulation 'e1', not '\.\./admin"):
                await client.get_status("../admin?x", attempts=1)
    assert service.requests[0].raw_path == "/emulator/..%2Fadmin%3Fx/status"


async def test_one_connection_serves_a_whole_wait(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            for _ in range(5):
                await client.get_status("e1")
    assert len(service.connections) == 1


@pytest.mark.parametrize(
    "failure",
    [reset, cut_off, error(429), error(500), error(502), error(503), error(504), text("garbled"), status("paused")],
)
async def test_a_transient_failure_is_retried(failure: Answer, connect: Any) -> None:
    async with fake_service(failure, failure, status("completed")) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            assert (await client.get_status("e1")).state is EmulationState.COMPLETED
    assert len(service.requests) >= 3  # aiohttp itself repeats a GET once on a connection that it had kept open


async def test_the_attempts_are_the_connections_or_the_callers(connect: Any) -> None:
    async with fake_service(error(503, "starting")) as service:
        connect(service.url, retry_attempts=3)
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorUnavailableError, match=r"^starting \(503, GET"):
                await client.get_status("e1")
            assert len(service.requests) == 3
            with pytest.raises(DataEmulatorUnavailableError):
                await client.get_status("e1", attempts=1)
            assert len(service.requests) == 4


@pytest.mark.parametrize(("status_code", "times"), [(408, 3), (425, 3), (503, 1), (429, 1), (422, 1)])
async def test_the_status_codes_to_retry_are_the_connections(status_code: int, times: int, connect: Any) -> None:
    async with fake_service(error(status_code)) as service:
        connect(service.url, retry_status_codes=[408, 425], retry_attempts=3)
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorError) as caught:
                await client.get_status("e1")
    assert len(service.requests) == times
    assert isinstance(caught.value, AirflowFailException) is (times == 1)


@pytest.mark.parametrize("status_code", [400, 401, 404, 422, 501])
async def test_a_refusal_is_not_retried(status_code: int, connect: Any) -> None:
    async with fake_service(error(status_code, "not e1")) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorRequestError) as caught:
                await client.get_status("e1")
    assert caught.value.http_status == status_code
    assert isinstance(caught.value, EmulationNotFoundError) is (status_code == 404)
    assert len(service.requests) == 1


async def test_refused_connections_and_silence_are_connection_errors(connect: Any) -> None:
    async with fake_service(hang) as service:
        connect(service.url, retry_attempts=1, read_timeout=0.05, token="hunter2")
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorConnectionError, match=r"did not answer within 0\.05 s") as silent:
                await client.get_status("e1")
    async with DataEmulatorAsyncHook().open() as client:  # nobody listens there any more
        with pytest.raises(DataEmulatorConnectionError, match="refuses connections") as refused:
            await client.get_status("e1")
    for caught in (silent, refused):
        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.integration
async def test_the_port_of_an_s3_store_is_recognised(connect: Any, s3_store: SeaweedFS) -> None:
    connect(s3_store.endpoint, retry_attempts=1)
    async with DataEmulatorAsyncHook().open() as client:
        for look in (client.get_status("e1"), client.get_statuses(["e1"], 0, minimal=False)):
            with pytest.raises(DataEmulatorAnswerError, match="This is an S3 store, not a Data Emulator Service"):
                await look


@pytest.mark.parametrize(("status_code", "cancelled"), [(202, True), (409, False)])
async def test_cancelling(status_code: int, cancelled: bool, connect: Any) -> None:
    async with fake_service(status("processing"), delete=lambda r: web.Response(status=status_code)) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            assert await client.cancel("e1") is cancelled
    assert service.asked == ["DELETE /emulator/e1"]


async def test_cancelling_where_that_does_not_exist(connect: Any) -> None:
    async with fake_service(status("processing")) as service:
        connect(service.url)
        async with DataEmulatorAsyncHook().open() as client:
            with pytest.raises(DataEmulatorRequestError, match="405"):
                await client.cancel("e1")


async def test_a_connection_that_cannot_be_used(connect: Any) -> None:
    connect(read_timeout="long")
    with pytest.raises(DataEmulatorConfigError, match="read_timeout"):
        async with DataEmulatorAsyncHook().open():
            pass


async def test_a_file_of_certificates_that_is_not_there(connect: Any) -> None:
    connect("https://emulator", verify="/no/such/ca.pem")
    with pytest.raises(DataEmulatorConfigError, match=r"verify is '/no/such/ca.pem', .*No such file"):
        async with DataEmulatorAsyncHook().open():
            pass
