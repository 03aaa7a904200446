from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorError,
    DataEmulatorRequestError,
    DataEmulatorUnavailableError,
    EmulationNotFoundError,
)
from include.wire.answer import Answer, retry_after_s
from include.wire.call import Call, cancel_call, manifest_call, status_call, statuses_call

URL = "http://e/x"


def answer(status_code: int, text: str, call: Call | None = None, **headers: str) -> Answer:
    return Answer(call or status_call("e1"), URL, status_code, headers, text)


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (400, DataEmulatorRequestError),
        (401, DataEmulatorRequestError),
        (409, DataEmulatorRequestError),
        (422, DataEmulatorRequestError),
        (501, DataEmulatorRequestError),
        (429, DataEmulatorUnavailableError),
        (500, DataEmulatorUnavailableError),
        (502, DataEmulatorUnavailableError),
        (503, DataEmulatorUnavailableError),
        (504, DataEmulatorUnavailableError),
    ],
)
def test_a_status_code_has_its_error(status_code: int, kind: type[DataEmulatorError]) -> None:
    with pytest.raises(DataEmulatorError) as caught:
        answer(status_code, '{"detail": "because"}').json_object()
    assert type(caught.value) is kind
    # The reason comes first: a log cuts at the right.
    assert str(caught.value).startswith("because")
    assert str(caught.value).endswith(f"({status_code}, GET {URL})")
    # Airflow's own retries are for what may pass only.
    assert isinstance(caught.value, AirflowFailException) is not isinstance(caught.value, DataEmulatorUnavailableError)


def test_an_emulation_is_unknown_only_if_the_service_names_it() -> None:
    named = '{"detail": "Emulation ID e1 not found."}'
    for call in (status_call("e1"), cancel_call("e1"), manifest_call("e1")):
        with pytest.raises(EmulationNotFoundError):
            answer(404, named, call).raise_for_status()
    for text in ('{"detail": "Not Found"}', '{"detail": "Emulation ID e2 not found."}', "<html>", ""):
        with pytest.raises(DataEmulatorAnswerError):
            answer(404, text).raise_for_status()


@pytest.mark.parametrize(
    ("status_code", "text", "location"),
    [
        (302, "", "https://sso.example.com/login?next=%2F"),
        (307, "", "/emulator/e1/status"),
        (404, "<html>404 Not Found</html>", ""),
        (404, '{"detail": "Not Found"}', ""),
        (405, '{"detail": "Method Not Allowed"}', ""),
        (401, "<html>Please log in</html>", ""),
        (403, "Forbidden", ""),
        (400, "The plain HTTP request was sent to HTTPS port", ""),
        (418, "", ""),
    ],
)
def test_a_refusal_that_is_not_the_services_is_transient(status_code: int, text: str, location: str) -> None:
    """A proxy's page, a login page, a server that is being set up: none of them speaks for the service."""
    with pytest.raises(DataEmulatorAnswerError, match="not an answer from a Data Emulator Service") as caught:
        answer(status_code, text, status_call("e1"), Location=location).raise_for_status()
    assert not isinstance(caught.value, AirflowFailException)
    assert "next=" not in str(caught.value)


@pytest.mark.parametrize("status_code", [404, 405, 501])
def test_a_route_that_a_service_may_lack_is_refused(status_code: int) -> None:
    for call in (statuses_call(["e1"], 0, minimal=False), cancel_call("e1"), manifest_call("e1")):
        with pytest.raises(DataEmulatorRequestError) as caught:
            answer(status_code, '{"detail": "Not Found"}', call).raise_for_status()
        assert caught.value.http_status == status_code
        assert type(caught.value) is DataEmulatorRequestError


def test_the_policy_says_which_status_codes_are_transient() -> None:
    transient = frozenset({404, 418})
    for status_code in (418, 404):
        with pytest.raises(DataEmulatorUnavailableError):
            Answer(status_call("e1"), URL, status_code, {}, "", transient).json_object()
    for status_code in (500, 503):
        with pytest.raises(DataEmulatorRequestError) as caught:
            Answer(status_call("e1"), URL, status_code, {}, "", transient).json_object()
        assert caught.value.http_status == status_code


def test_a_secret_that_the_service_echoes_is_not_shown() -> None:
    for status_code in (400, 503, 200, 404):
        with pytest.raises(DataEmulatorError) as caught:
            Answer(
                status_call("e1"), URL, status_code, {}, "you sent hunter2, hunter2!", secrets=("hunter2",)
            ).json_object()
        assert "hunter2" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_a_nesting_beyond_what_python_reads_is_not_understood() -> None:
    with pytest.raises(DataEmulatorAnswerError):
        answer(200, "[" * 1_000_000).json_object()
    with pytest.raises(DataEmulatorAnswerError):
        answer(404, "[" * 1_000_000).json_object()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"detail": "Domain not supported: orders"}', "Domain not supported: orders"),
        ('{"detail": [{"loc": ["body", "timeout"], "msg": "Field required"}]}', "body.timeout: Field required"),
        ('{"detail": [{"msg": "a"}, {"msg": "b"}]}', "a; b"),
        ('{"title": "x"}', '{"title": "x"}'),
        ("<html>nginx</html>", "<html>nginx</html>"),
        ("", "no reason given"),
        ("[1]", "[1]"),
    ],
)
def test_the_reason_is_read_from_every_shape_of_error(text: str, detail: str) -> None:
    assert answer(400, text).detail() == detail


def test_a_huge_body_does_not_flood_the_log() -> None:
    assert len(answer(500, "x" * 100_000).detail()) < 1100


@pytest.mark.parametrize("text", ["", "<html>", '{"id": "a', "[]", "null"])
def test_a_body_that_is_no_json_object_is_garbled(text: str) -> None:
    with pytest.raises(DataEmulatorAnswerError):
        answer(200, text).json_object()


def test_retry_after_is_carried_by_the_error() -> None:
    with pytest.raises(DataEmulatorUnavailableError) as caught:
        answer(429, "", **{"Retry-After": "7"}).json_object()
    assert caught.value.retry_after_s == 7.0


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    earlier = format_datetime(datetime.now(UTC) - timedelta(seconds=100), usegmt=True)
    assert 90 < (retry_after_s(later) or 0) <= 100
    assert retry_after_s(earlier) == 0.0
    assert retry_after_s("soon") is None
    assert retry_after_s("9" * 400) is None
    assert retry_after_s("Mon, 01 Jan 99999 00:00:00 GMT") is None
    assert retry_after_s(None) is None
