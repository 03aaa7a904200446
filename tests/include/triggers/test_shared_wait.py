"""The wait that triggers share: one request for all of them, and each hears what is its own."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from include.exceptions import DataEmulatorConfigError, DataEmulatorUnavailableError, EmulationNotFoundError
from include.triggers import shared_wait as module
from include.triggers import status_sources
from include.triggers.shared_wait import News, Refusal, Trouble, shared_wait
from include.wire.status import EmulationState, EmulationStatus

PATIENCE_S = 20
CONNECTION = "data_emulator_default"


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_PAUSE_S", 0.05)


class Emulator:
    """Emulations that end when a test says so, told of as this project's service does."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.requests: list[tuple[float, list[str], str]] = []
        self.held = 0
        self.holds = True
        self.failing: list[int] = []
        self.url = ""
        self._ended = asyncio.Event()

    def add(self, *ids: str) -> None:
        self.states.update(dict.fromkeys(ids, "processing"))

    def end(self, emulation_id: str, state: str = "completed") -> None:
        self.states[emulation_id] = state
        self._ended.set()

    async def handle(self, request: web.Request) -> web.Response:
        ids: list[str] = (await request.json())["ids"]
        prefer = request.headers.get("Prefer", "")
        self.requests.append((time.monotonic(), ids, prefer))
        if self.failing:
            return web.json_response({"detail": "out of order"}, status=self.failing.pop(0))
        headers = {}
        if self.holds and "wait=" in prefer:
            headers["Preference-Applied"] = "wait=30"
            self.held += 1
            try:
                async with asyncio.timeout(30):
                    while not any(self.states.get(each, "completed") != "processing" for each in ids):
                        self._ended.clear()
                        await self._ended.wait()
            finally:
                self.held -= 1
        chosen = [each for each in ids if each in self.states]
        if "return=minimal" in prefer:
            chosen = [each for each in chosen if self.states[each] != "processing"]
        bodies = [{"id": each, "status": {"global_status": self.states[each], "threads": {}}} for each in chosen]
        body = {"emulations": bodies, "not_found": [each for each in ids if each not in self.states]}
        return web.json_response(body, headers=headers)


@asynccontextmanager
async def running(emulator: Emulator) -> AsyncIterator[Emulator]:
    app = web.Application()
    app.router.add_post("/emulator/status", emulator.handle)
    async with TestServer(app) as server:
        emulator.url = str(server.make_url("")).rstrip("/")
        yield emulator


@pytest.fixture
async def emulator(connect: Any) -> AsyncIterator[Emulator]:
    async with running(Emulator()) as running_one:
        connect(running_one.url)
        yield running_one


async def heard(
    emulation_id: str, conn_id: str = CONNECTION, poll_interval_s: float = 3600, into: list[News] | None = None
) -> list[News]:
    """All that is heard of an emulation up to what is final; `into` has it as it comes."""
    news: list[News] = [] if into is None else into
    async with asyncio.timeout(PATIENCE_S), shared_wait(conn_id).follow(emulation_id, poll_interval_s) as queue:
        while True:
            news.append(await queue.get())
            last = news[-1]
            if isinstance(last, Refusal) or (isinstance(last, EmulationStatus) and last.state.is_terminal):
                return news


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def last_of(news: list[News]) -> tuple[str, str]:
    last = news[-1]
    assert isinstance(last, EmulationStatus)
    return last.emulation_id, last.state


async def test_hundreds_of_waits_are_one_request_and_each_hears_its_own_end(emulator: Emulator) -> None:
    ids = [f"e{number}" for number in range(300)]
    emulator.add(*ids)
    waits = [asyncio.create_task(heard(each)) for each in ids]
    await until(lambda: emulator.held == 1 and len(emulator.requests[-1][1]) == len(ids))
    asked_before = len(emulator.requests)
    assert asked_before <= 4
    for number, each in enumerate(ids[:150]):
        emulator.end(each, "failed" if number % 2 else "completed")
    ended = await asyncio.gather(*waits[:150])
    assert [last_of(news) for news in ended] == [
        (each, "failed" if number % 2 else "completed") for number, each in enumerate(ids[:150])
    ]
    await until(lambda: emulator.held == 1)
    assert len(emulator.requests) <= asked_before + 2, "what ended together was told together"
    assert sorted(emulator.requests[-1][1]) == sorted(ids[150:]), "what is over is not asked for again"
    assert not any(wait.done() for wait in waits[150:])
    for each in ids[150:]:
        emulator.end(each)
    await asyncio.gather(*waits[150:])


async def test_more_than_fit_into_one_request_are_asked_for_side_by_side(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_sources, "_MAX_IDS", 10)
    ids = [f"e{number}" for number in range(25)]
    emulator.add(*ids)
    waits = [asyncio.create_task(heard(each)) for each in ids]
    await until(lambda: emulator.held == 3)
    assert sorted(each for _, asked, _ in emulator.requests[-3:] for each in asked) == sorted(ids)
    for each in reversed(ids):
        emulator.end(each)
        await asyncio.sleep(0)
    assert [last_of(news) for news in await asyncio.gather(*waits)] == [(each, "completed") for each in ids]


async def test_ends_one_after_the_other_do_not_make_a_request_each(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIN_PAUSE_S", 0.3)
    ids = [f"e{number}" for number in range(60)]
    emulator.add(*ids)
    waits = [asyncio.create_task(heard(each)) for each in ids]
    await until(lambda: emulator.held == 1)
    for each in ids:
        emulator.end(each)
        await asyncio.sleep(0.02)
    await asyncio.gather(*waits)
    times = [asked_at for asked_at, _, _ in emulator.requests]
    assert all(later - earlier > 0.25 for earlier, later in pairwise(times))


async def test_who_joins_is_asked_for_although_the_answer_is_being_held(emulator: Emulator) -> None:
    emulator.add("old", "new")
    old = asyncio.create_task(heard("old"))
    await until(lambda: emulator.held == 1)
    new = asyncio.create_task(heard("new"))
    await until(lambda: emulator.requests[-1][1] == ["old", "new"] and emulator.held == 1)
    emulator.end("new")
    assert last_of(await new) == ("new", "completed")
    assert not old.done()
    emulator.end("old")
    await old


async def test_an_emulation_that_is_forgotten_ends_only_its_own_wait(emulator: Emulator) -> None:
    emulator.add("there")
    there, gone = asyncio.create_task(heard("there")), asyncio.create_task(heard("gone"))
    (refusal,) = [each for each in await gone if isinstance(each, Refusal)]
    assert isinstance(refusal.error, EmulationNotFoundError)
    assert "gone" in refusal.error.detail
    assert not there.done()
    emulator.end("there")
    assert last_of(await there) == ("there", "completed")


async def test_an_outage_is_told_to_each_once_and_so_is_its_end(emulator: Emulator) -> None:
    emulator.add("a", "b")
    emulator.failing = [503, 429, 500, 502]
    waits = [asyncio.create_task(heard(each)) for each in ("a", "b")]
    await until(lambda: emulator.held == 1)
    emulator.end("a")
    emulator.end("b")
    for news in await asyncio.gather(*waits):
        first, last = [each for each in news if isinstance(each, Trouble)]
        assert isinstance(first.error, DataEmulatorUnavailableError)
        assert last == Trouble(None)


async def test_a_refusal_is_final_only_when_it_lasts(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token may just have been changed, at both ends."""
    emulator.add("a")
    emulator.failing = [401, 401, 401, 401]
    wait = asyncio.create_task(heard("a"))
    await until(lambda: emulator.held == 1)
    emulator.end("a")
    news = await wait
    assert last_of(news) == ("a", "completed")
    assert any(isinstance(each, Trouble) and "401" in str(each.error) for each in news)

    monkeypatch.setattr(module, "REFUSED_AFTER_S", 0.2)
    emulator.add("b")
    emulator.failing = [401] * 1000
    refusal = (await heard("b"))[-1]
    assert isinstance(refusal, Refusal)
    assert "401" in str(refusal.error)


async def test_a_connection_that_cannot_be_used_ends_the_wait_at_once(emulator: Emulator, connect: Any) -> None:
    emulator.add("a")
    connect(emulator.url, verify=7)
    (refusal,) = await heard("a")
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.error, DataEmulatorConfigError)
    assert "verify must be" in str(refusal.error)


@pytest.mark.parametrize("token", ["hunter2\n", "hun ter2"])
async def test_no_secret_of_a_connection_that_cannot_be_used_is_told(
    token: str, emulator: Emulator, connect: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    connect(emulator.url, token=token)
    (refusal,) = await heard("a")
    assert isinstance(refusal, Refusal)
    assert "ter2" not in f"{refusal} {refusal.error!r} {capfd.readouterr()}"


async def test_a_connection_that_is_corrected_is_used_from_then_on(connect: Any) -> None:
    async with running(Emulator()) as emulator:
        emulator.add("a")
        connect("http://127.0.0.1:9")  # nobody listens on the discard port
        news: list[News] = []
        wait = asyncio.create_task(heard("a", into=news))
        await until(lambda: len(news) > 0)
        connect(emulator.url)
        await until(lambda: emulator.held == 1)
        emulator.end("a")
        await wait
    assert isinstance(news[0], Trouble)
    assert last_of(news) == ("a", "completed")


async def test_a_connection_that_airflow_cannot_give_just_now_is_waited_for(
    emulator: Emulator, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.add("a")
    monkeypatch.setenv("AIRFLOW_CONN_DATA_EMULATOR_DEFAULT", "{")
    news: list[News] = []
    wait = asyncio.create_task(heard("a", into=news))
    await until(lambda: len(news) > 0)
    connect(emulator.url)
    await until(lambda: emulator.held == 1)
    emulator.end("a")
    await wait
    assert isinstance(news[0], Trouble)
    assert last_of(news) == ("a", "completed")


async def test_several_may_wait_for_the_same_and_one_may_leave(emulator: Emulator) -> None:
    emulator.add("a")
    first, second, third = (asyncio.create_task(heard("a")) for _ in range(3))
    await until(lambda: emulator.held == 1)
    second.cancel()
    await asyncio.sleep(0)
    emulator.end("a")
    assert last_of(await first) == last_of(await third) == ("a", "completed")
    assert all(ids == ["a"] for _, ids, _ in emulator.requests)


async def test_nothing_is_asked_when_nobody_waits_any_more(emulator: Emulator) -> None:
    before = asyncio.all_tasks()
    emulator.add("a")
    wait = asyncio.create_task(heard("a"))
    await until(lambda: emulator.held == 1)
    wait.cancel()
    await until(lambda: emulator.held == 0 or asyncio.all_tasks() <= before | {wait})
    asked = len(emulator.requests)
    await asyncio.sleep(0.3)
    assert len(emulator.requests) == asked

    emulator.end("a")
    assert last_of(await heard("a")) == ("a", "completed"), "and asked again when somebody comes"


async def test_each_connection_has_its_own(emulator: Emulator, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Emulator()) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", f"data-emulator://{other.url.removeprefix('http://')}")
        emulator.add("a")
        other.add("a")
        here, there = asyncio.create_task(heard("a")), asyncio.create_task(heard("a", "other"))
        await until(lambda: emulator.held == other.held == 1)
        other.end("a", "failed")
        assert last_of(await there) == ("a", "failed")
        assert not here.done()
        emulator.end("a")
        assert last_of(await here) == ("a", "completed")


async def test_a_service_that_does_not_hold_its_answers_is_asked_at_the_poll_interval(emulator: Emulator) -> None:
    emulator.holds = False
    emulator.add("a")
    wait = asyncio.create_task(heard("a", poll_interval_s=0.5))
    await until(lambda: len(emulator.requests) >= 5)
    emulator.end("a")
    await wait
    # The first tells of progress; from then on there is the interval, less its jitter, however slow the machine is.
    polled_at = [asked_at for asked_at, _, _ in emulator.requests[1:]]
    assert all(later - earlier > 0.35 for earlier, later in pairwise(polled_at))


async def test_progress_is_asked_for_now_and_then(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_sources, "PROGRESS_EVERY_S", 0.0)
    emulator.add("a")
    wait = asyncio.create_task(heard("a"))
    await until(lambda: len(emulator.requests) >= 3)
    emulator.end("a")
    states = [each.state for each in await wait if isinstance(each, EmulationStatus)]
    assert states.count(EmulationState.PROCESSING) >= 2
    assert all("minimal" not in prefer for _, _, prefer in emulator.requests)


async def test_it_does_not_run_in_the_context_of_the_trigger_that_came_first(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow tells by the context into which trigger's log a line goes."""
    trigger: contextvars.ContextVar[str] = contextvars.ContextVar("trigger", default="none")
    seen: list[str] = []
    original = module.DataEmulatorAsyncHook.open

    def spied(self: Any) -> Any:
        seen.append(trigger.get())
        return original(self)

    monkeypatch.setattr(module.DataEmulatorAsyncHook, "open", spied)
    trigger.set("first")
    emulator.add("a")
    emulator.end("a")
    await heard("a")
    assert seen == ["none"]
