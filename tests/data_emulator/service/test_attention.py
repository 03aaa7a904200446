"""Who has been asked for, and who is abandoned: in memory, without a thread or a query an emulation."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from data_emulator.model import State
from data_emulator.service import attention
from data_emulator.service.attention import Attention
from data_emulator.service.emulations import Emulations
from data_emulator.service.store.emulation import Emulation
from data_emulator.settings import Settings
from tests.support.in_process import Clock, wait_until
from tests.support.new_emulation import emulation


class Watched:
    """An `Attention`, its clock, and what it has called abandoned."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.abandoned: list[dict[str, str]] = []
        self.failures = 0
        self.attention = Attention(self._take, self.clock)
        self.attention.open()

    def _take(self, errors: Mapping[str, str]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.abandoned.append(dict(errors))

    def expect(self, *limits_s: int | None) -> list[str]:
        new = [with_limit(limit_s) for limit_s in limits_s]
        self.attention.expect(new)
        return [each.id for each in new]

    def asked(self, *ids: str) -> None:
        with self.attention.held(ids):
            pass


def with_limit(limit_s: int | None, **changes: Any) -> Emulation:
    return emulation(request=emulation().request.model_copy(update={"abandon_after": limit_s}), **changes)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(attention, "_SWEEP_S", 0.02)
    made = Watched()
    yield made
    made.attention.close()


def test_each_is_abandoned_once_when_its_own_time_is_over(watched: Watched) -> None:
    short, long, never = watched.expect(10, 20, None)
    for forward_s, abandoned in ((9.9, []), (0.2, [short]), (9.8, [short]), (0.2, [short, long]), (1e9, [short, long])):
        watched.clock.forward(forward_s)
        assert [key for errors in watched.abandoned for key in errors] == abandoned
    assert watched.abandoned[0] == {short: "nobody has asked for its status for 10 s (abandon_after)"}
    watched.asked(short, long, never)  # is too late, and no error


def test_who_asks_starts_the_time_anew_for_those_alone(watched: Watched) -> None:
    one, other, third = watched.expect(10, 10, 10)
    watched.clock.forward(9)
    watched.asked(one, "unknown", third)
    watched.clock.forward(9)
    assert [set(errors) for errors in watched.abandoned] == [{other}]
    watched.asked(one)
    watched.clock.forward(9)
    assert [set(errors) for errors in watched.abandoned] == [{other}, {third}]


def test_what_is_held_is_asked_for_until_the_last_lets_go(watched: Watched) -> None:
    (one,) = watched.expect(10)
    with watched.attention.held([one, one]):
        with watched.attention.held([one]):
            watched.clock.forward(1000)
        watched.clock.forward(1000)
    watched.clock.forward(9)
    assert watched.abandoned == []
    watched.clock.forward(1)
    assert [set(errors) for errors in watched.abandoned] == [{one}]


def test_what_has_ended_is_forgotten(watched: Watched) -> None:
    one, other = watched.expect(10, 10)
    with watched.attention.held([one]):
        watched.attention.forget({one, "unknown"})
    watched.clock.forward(10)
    assert [set(errors) for errors in watched.abandoned] == [{other}]
    assert not watched.attention._watches


def test_when_it_cannot_be_cancelled_it_is_tried_again(watched: Watched) -> None:
    (one,) = watched.expect(10)
    watched.failures = 2
    watched.clock.forward(10)
    wait_until(lambda: bool(watched.abandoned), "it is abandoned")
    assert [set(errors) for errors in watched.abandoned] == [{one}]


def test_a_thousand_cost_no_thread_and_are_abandoned_in_one_go(watched: Watched) -> None:
    threads = threading.active_count()
    ids = watched.expect(*[10] * 1000)
    with watched.attention.held(ids):
        watched.clock.forward(10)
        assert threading.active_count() == threads
    watched.clock.forward(10)
    assert [set(errors) for errors in watched.abandoned] == [set(ids)]


def test_a_thousand_that_are_queued_end_with_a_few_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_SWEEP_S", 0.02)
    clock = Clock()
    service = Emulations(Settings(database_url=f"sqlite:///{tmp_path / 'state.db'}"), clock)  # without its workers
    new = [with_limit(10 + number % 3) for number in range(1000)]
    service.store.add([(each, None) for each in new])
    service._dispatcher._queued.extend(each.id for each in new)
    service._attention.expect(new)
    statements: list[str] = []
    sa.event.listen(service.store._engine, "commit", lambda _: statements.append("commit"))
    sa.event.listen(service.store._engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    service._attention.open()
    clock.forward(9)
    assert statements == []
    clock.forward(3)
    assert 0 < statements.count("commit") < 10
    assert service.store.counts()[State.CANCELLED][0] == 1000
    assert {service.get(each.id).error for each in new} == {
        f"nobody has asked for its status for {limit_s} s (abandon_after)" for limit_s in (10, 11, 12)
    }
    assert not service._dispatcher._queued
    service._attention.close()
    service.store.close()
