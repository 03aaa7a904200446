"""Which deaths of workers count in a row against an emulation, and which do not as it got on in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_emulator.model import Checkpoint
from data_emulator.service.deaths import Deaths
from tests.support.new_emulation import emulation


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


def test_deaths_at_the_same_record_are_counted(deaths: Deaths) -> None:
    one = replace(emulation(), records=500)
    at = Checkpoint(elapsed_s=10.0, owed_records=1000)
    assert [deaths.count(one, at) for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("at", [Checkpoint(elapsed_s=11.5), Checkpoint(elapsed_s=10.0, records=1)])
def test_a_record_or_a_second_more_is_getting_on(deaths: Deaths, at: Checkpoint) -> None:
    one = emulation()
    assert deaths.count(one, Checkpoint(elapsed_s=10.0)) == 1
    assert deaths.count(one, Checkpoint(elapsed_s=10.5)) == 2
    assert deaths.count(one, replace(at, elapsed_s=at.elapsed_s + 0.5)) == 1


def test_while_records_are_made_again_to_come_further_is_getting_on(deaths: Deaths) -> None:
    one, at = emulation(), Checkpoint(elapsed_s=10.0, owed_records=1000)
    counted = [deaths.count(replace(one, records=each), at) for each in (300, 200, 400, 350, 400, 401)]
    assert counted == [1, 2, 1, 2, 3, 1]


def test_who_has_cost_too_many_is_told_how() -> None:
    one, at = emulation(), Checkpoint()
    deaths = Deaths()
    assert [deaths.given_up(one, at, "died") for _ in range(5)] == [None] * 4 + [
        "its worker process died 5 times in a row"
    ]
    deaths.forget(one.id)
    assert [deaths.given_up(one, at, "hung") for _ in range(2)] == [None, "its worker process hung 2 times in a row"]
