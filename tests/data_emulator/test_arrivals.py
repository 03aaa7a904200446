"""New emulations that arrive together: stored together, each key once, nobody forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from data_emulator.arrivals import Arrival, Arrivals
from tests.data_emulator.test_store import emulation

PATIENCE_S = 30


class Door:
    """Takes in what arrives, once it is open; keeps what came together."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.together: list[list[Arrival]] = []
        self.error: Exception | None = None

    def take_in(self, arrivals: Sequence[Arrival]) -> None:
        self.together.append(list(arrivals))
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        if self.error:
            arrivals[0].taken_in.set_result(arrivals[0].emulation)
            raise self.error
        for each in arrivals:
            each.taken_in.set_result(each.emulation)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def arrivals(door: Door) -> Iterator[Arrivals]:
    opened = Arrivals(door.take_in)
    opened.open()
    yield opened
    door.open.set()
    opened.close()


def test_those_that_arrive_meanwhile_are_taken_in_together(door: Door, arrivals: Arrivals) -> None:
    new = [emulation() for _ in range(30)]
    results = [arrivals.add(new[0], None)]
    assert door.entered.wait(PATIENCE_S)
    results += [arrivals.add(each, None) for each in new[1:]]
    door.open.set()
    assert [each.result(PATIENCE_S) for each in results] == new
    assert [len(together) for together in door.together] == [1, 29]


def test_a_key_is_never_there_twice_at_a_time(door: Door, arrivals: Arrivals) -> None:
    keys = ["first", "a", "b", None, None, "a", "c", "a"]
    results = [arrivals.add(emulation(), key) for key in keys]
    door.open.set()
    for each in results:
        each.result(PATIENCE_S)
    taken_in = [[each.idempotency_key for each in together] for together in door.together]
    assert [key for together in taken_in for key in together] == keys
    for together in taken_in:
        named = [key for key in together if key is not None]
        assert len(named) == len(set(named))


def test_an_error_reaches_all_who_have_no_answer_and_nobody_else(door: Door, arrivals: Arrivals) -> None:
    first = arrivals.add(emulation(), None)
    assert door.entered.wait(PATIENCE_S)
    others = [arrivals.add(emulation(), None) for _ in range(3)]
    door.error = OSError("the disk is full")
    door.open.set()
    assert first.exception(PATIENCE_S) is None
    assert others[0].exception(PATIENCE_S) is None
    for each in others[1:]:
        with pytest.raises(OSError, match="the disk is full"):
            each.result(PATIENCE_S)
    door.error = None
    assert arrivals.add(emulation(), None).exception(PATIENCE_S) is None


def test_what_has_arrived_is_taken_in_before_it_closes(door: Door) -> None:
    arrivals = Arrivals(door.take_in)
    arrivals.open()
    results = [arrivals.add(emulation(), None) for _ in range(5)]
    door.open.set()
    arrivals.close()
    assert all(each.done() for each in results)
