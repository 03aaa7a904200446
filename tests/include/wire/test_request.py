from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.exceptions import DataEmulatorConfigError
from include.wire.request import EmulationRequest

SIX = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
}


def test_body_is_the_six_fields_when_nothing_else_is_given() -> None:
    assert EmulationRequest.from_arguments(SIX).body() == SIX


def test_optional_fields_are_sent_when_given() -> None:
    given = {"rate": 500, "max_records": 10, "seed": 0, "abandon_after": 900}
    assert EmulationRequest.from_arguments({**SIX, **given}).body() == {**SIX, **given}


def test_an_unlimited_rate_is_null_on_the_wire_and_an_absent_one_is_not_sent() -> None:
    assert EmulationRequest.from_arguments({**SIX, "rate": "unlimited"}).body()["rate"] is None
    assert "rate" not in EmulationRequest.from_arguments({**SIX, "rate": None}).body()


def test_numbers_out_of_templates_are_strings_and_become_numbers() -> None:
    templated = {"max_chunk_size": "2048", "timeout": "5", "rate": "1.5", "abandon_after": "10"}
    request = EmulationRequest.from_arguments({**SIX, **templated})
    assert (request.max_chunk_size, request.timeout, request.rate, request.abandon_after) == (2048, 5, 1.5, 10)


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert EmulationRequest.from_arguments({**SIX, "emulation_domain": " 123 "}).emulation_domain == "123"


def test_times_have_one_form() -> None:
    times = {"start_time": "20260101T000000Z", "end_time": datetime(2026, 1, 2, tzinfo=UTC)}
    body = EmulationRequest.from_arguments({**SIX, **times}).body()
    assert (body["start_time"], body["end_time"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"timeout": "soon"}, "timeout must be an integer, got 'soon'"),
        ({"timeout": 1.5}, "timeout must be an integer, got 1.5"),
        ({"timeout": True}, "timeout must be an integer, got True"),
        ({"emulator_sync": ""}, "emulator_sync must be a non-empty string, got ''"),
        ({"emulation_domain": None}, "emulation_domain must be a non-empty string, got None"),
        ({"rate": -1}, "rate must be"),
        ({"rate": "nan"}, "rate must be"),
        ({"seed": "x"}, r"seed must be an integer from -2\^63 to 2\^63 - 1, or null, got 'x'"),
        ({"abandon_after": 9}, "abandon_after must be an integer of at least 10, in seconds, got 9"),
        ({"abandon_after": "-1"}, "abandon_after must be an integer of at least 10, in seconds, got '-1'"),
        ({"abandon_after": 10.5}, "abandon_after must be an integer of at least 10, in seconds, got 10.5"),
        ({"abandon_after": True}, "abandon_after must be an integer of at least 10, in seconds, got True"),
        ({"compression": " "}, "compression must be a non-empty string, got ' '"),
        ({"start_time": "soon"}, "start_time must be a time with a time zone, like .*, got 'soon'"),
        ({"end_time": "2026-01-01 00:00"}, "end_time must be a time with a time zone, like .*, got '2026-01-01 00:00'"),
        ({"world_seed": "mine"}, "world_seed must be an integer from .*, or 'service', got 'mine'"),
        ({"emulation_domain": 5}, "emulation_domain must be a non-empty string, got 5"),
        ({"end_time": 5}, "end_time must be a time with a time zone, like .*, got 5"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(DataEmulatorConfigError, match=named):
        EmulationRequest.from_arguments({**SIX, **wrong})


def test_all_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(DataEmulatorConfigError) as caught:
        EmulationRequest.from_arguments({})
    assert all(name in str(caught.value) for name in SIX)
