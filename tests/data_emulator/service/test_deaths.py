"""Which deaths of workers count in a row against an emulation, and which do not as it got on in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_emulator.model import Checkpoint
from data_emulator.service.dispatcher import Dispatcher
from data_emulator.service.store.store import Store
from data_emulator.settings import Settings
from tests.support.new_emulation import emulation


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[Dispatcher]:
    store = Store(f"sqlite:///{tmp_path / 'state.db'}")
    yield Dispatcher(Settings(), store, lambda _: None, lambda _: None)
    store.close()


def test_deaths_at_the_same_record_are_counted(dispatcher: Dispatcher) -> None:
    one = replace(emulation(), records=500)
    at = Checkpoint(elapsed_s=10.0, owed_records=1000)
    assert [dispatcher._count_death(one, at) for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("at", [Checkpoint(elapsed_s=11.5), Checkpoint(elapsed_s=10.0, records=1)])
def test_a_record_or_a_second_more_is_getting_on(dispatcher: Dispatcher, at: Checkpoint) -> None:
    one = emulation()
    assert dispatcher._count_death(one, Checkpoint(elapsed_s=10.0)) == 1
    assert dispatcher._count_death(one, Checkpoint(elapsed_s=10.5)) == 2
    assert dispatcher._count_death(one, replace(at, elapsed_s=at.elapsed_s + 0.5)) == 1


def test_while_records_are_made_again_to_come_further_is_getting_on(dispatcher: Dispatcher) -> None:
    one, at = emulation(), Checkpoint(elapsed_s=10.0, owed_records=1000)
    counted = [dispatcher._count_death(replace(one, records=each), at) for each in (300, 200, 400, 350, 400, 401)]
    assert counted == [1, 2, 1, 2, 3, 1]
