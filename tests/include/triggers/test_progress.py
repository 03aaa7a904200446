"""When the status of many is asked for everything, for the logs: often for a young wait, and together for old ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from include.triggers import status_sources
from include.triggers.status_sources import StatusOfMany
from include.wire.status import EmulationState, EmulationStatus, Statuses


class Clock:
    """Passes as long as a long poll takes, and is what the looks go by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Client:
    """Holds each long poll to its end, and keeps what was asked for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.progress: list[tuple[float, int]] = []
        self.long_polls = 0

    async def get_statuses(self, ids: list[str], wait_s: int, *, minimal: bool) -> Statuses:
        if minimal:
            self.long_polls += 1
            self.clock.now += wait_s
        else:
            self.progress.append((self.clock.now - 1000.0, len(ids)))
        running = {each: EmulationStatus(each, EmulationState.PROCESSING) for each in ids}
        return Statuses({} if minimal else running, (), waited=minimal)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client(Clock())
    monkeypatch.setattr(status_sources, "time", client.clock)
    return client


async def look_for(client: Client, seconds: float, source: StatusOfMany, number: int) -> None:
    ends_at = client.clock.now + seconds
    while client.clock.now < ends_at:
        await source.look({f"e{each}": 10.0 for each in range(number)}, asyncio.Event())


def source_of(client: Client) -> StatusOfMany:
    any_client: Any = client
    return StatusOfMany(any_client)


async def test_a_young_wait_hears_every_quarter_of_a_minute_and_later_every_minute(client: Client) -> None:
    await look_for(client, 200, source_of(client), 1)
    assert [round(at) for at, _ in client.progress] == [0, 15, 30, 45, 60, 120, 180]


async def test_a_young_wait_among_many_is_asked_for_by_itself(client: Client) -> None:
    source = source_of(client)
    await look_for(client, 130, source, 999)
    client.progress.clear()
    await look_for(client, 100, source, 1000)
    assert client.progress == [(150, 1), (165, 1), (180, 1000), (195, 1), (240, 1000)]


async def test_a_thousand_old_waits_are_three_requests_a_minute(client: Client) -> None:
    source = source_of(client)
    await look_for(client, 120, source, 1000)
    client.progress.clear()
    client.long_polls = 0
    await look_for(client, 600, source, 1000)
    assert (len(client.progress), client.long_polls) == (10, 20)
