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


def answer(status_code: int, text: str, **headers: str) -> Answer:
    return Answer("GET http://e/x", status_code, headers, text)


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        (400, DataEmulatorRequestError),
        (401, DataEmulatorRequestError),
        (404, EmulationNotFoundError),
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
    assert str(caught.value).startswith(f"GET http://e/x answered {status_code}: because")
    # Airflow's own retries are for what may pass only.
    assert isinstance(caught.value, AirflowFailException) is not isinstance(caught.value, DataEmulatorUnavailableError)


def test_the_policy_says_which_status_codes_are_passing() -> None:
    passing = frozenset({404, 418})
    for status_code, kind in [(418, DataEmulatorUnavailableError), (404, DataEmulatorUnavailableError)]:
        with pytest.raises(kind):
            Answer("GET http://e/x", status_code, {}, "", passing).json_object()
    for status_code in (429, 503):
        with pytest.raises(DataEmulatorRequestError) as caught:
            Answer("GET http://e/x", status_code, {}, "", passing).json_object()
        assert caught.value.http_status == status_code


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
    assert retry_after_s(None) is None
