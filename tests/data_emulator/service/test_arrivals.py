"""New emulations that arrive together: stored together, each key once, nobody forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from data_emulator.service.arrivals import Arrival, Arrivals
from data_emulator.service.store.emulation import Emulation
from tests.support.new_emulation import emulation

PATIENCE_S = 30


class Door:
    """Takes in what arrives, once it is open; keeps what came together."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.together: list[list[Arrival]] = []
        self.error: Exception | None = None

    def take_in(self, arrivals: Sequence[Arrival]) -> list[Emulation | Exception]:
        self.together.append(list(arrivals))
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return [each.emulation for each in arrivals]

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, PATIENCE_S)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def arrivals(door: Door) -> Iterator[Arrivals]:
    opened = Arrivals(door.take_in)
    yield opened
    door.open.set()
    opened.close()


def coming(arrivals: Arrivals, new: list[Emulation], keys: list[str | None]) -> list[asyncio.Task[Emulation]]:
    return [asyncio.create_task(arrivals.add(each, key)) for each, key in zip(new, keys, strict=True)]


async def test_those_that_arrive_meanwhile_are_taken_in_together(door: Door, arrivals: Arrivals) -> None:
    new = [emulation() for _ in range(30)]
    first = coming(arrivals, new[:1], [None])
    await door.until_entered()
    others = coming(arrivals, new[1:], [None] * 29)
    await asyncio.sleep(0)
    door.open.set()
    assert await asyncio.gather(*first, *others) == new
    assert [len(together) for together in door.together] == [1, 29]


async def test_a_key_is_never_there_twice_at_a_time(door: Door, arrivals: Arrivals) -> None:
    keys = ["first", "a", "b", None, None, "a", "c", "a"]
    results = coming(arrivals, [emulation() for _ in keys], keys)
    await door.until_entered()
    door.open.set()
    await asyncio.gather(*results)
    taken_in = [[each.idempotency_key for each in together] for together in door.together]
    assert [key for together in taken_in for key in together] == keys
    for together in taken_in:
        named = [key for key in together if key is not None]
        assert len(named) == len(set(named))


async def test_an_error_reaches_all_who_came_together_and_nobody_else(door: Door, arrivals: Arrivals) -> None:
    first = coming(arrivals, [emulation()], [None])
    await door.until_entered()
    others = coming(arrivals, [emulation() for _ in range(3)], [None] * 3)
    await asyncio.sleep(0)
    door.error = OSError("the disk is full")
    door.open.set()
    for each in (*first, *others):
        with pytest.raises(OSError, match="the disk is full"):
            await each
    door.error = None
    one = emulation()
    assert await arrivals.add(one, None) == one


async def test_who_has_gone_keeps_nobody_from_an_answer(door: Door, arrivals: Arrivals) -> None:
    new = [emulation() for _ in range(3)]
    results = coming(arrivals, new, [None] * 3)
    await door.until_entered()
    results[1].cancel()
    door.open.set()
    assert [await results[0], await results[2]] == [new[0], new[2]]


async def test_what_is_being_taken_in_when_it_closes_is_taken_in(door: Door) -> None:
    arrivals = Arrivals(door.take_in)
    results = coming(arrivals, [emulation() for _ in range(5)], [None] * 5)
    await door.until_entered()
    door.open.set()
    await asyncio.to_thread(arrivals.close)
    await asyncio.wait_for(asyncio.gather(*results), PATIENCE_S)
