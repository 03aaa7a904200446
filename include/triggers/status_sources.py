"""The two ways to request statuses: one long poll for many emulations, or one request per emulation."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ..exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorError,
    DataEmulatorRequestError,
    EmulationNotFoundError,
)
from ..hooks.data_emulator_async import DataEmulatorClient
from ..wait_log import PROGRESS_EVERY_S, progress_pause_s
from ..wire.answer import request_error
from ..wire.status import EmulationStatus, Statuses

#: Length of a long poll; below the 60 s after which proxies commonly time out.
LONG_POLL_S = 30
#: Random share of a poll interval, so that waits which began together spread out.
JITTER = 0.2
#: Seconds after which the request for many is tried again at a service that did not support it.
MANY_AGAIN_AFTER_S = 300.0

_MAX_IDS = 1000  # in one request; more are asked for side by side
_AT_A_TIME = 16  # requests to a service that tells of one emulation at a time
_NO_SUCH_ROUTE = (404, 405, 501)

T = TypeVar("T")


@dataclass
class Look:
    """The result of one look at emulations.

    :param found: by id, a status or an error that concerns this emulation alone; emulations without news are left out
    :param pause_s: how long to wait before the next look, unless somebody joins
    """

    found: dict[str, EmulationStatus | DataEmulatorError] = field(default_factory=dict)
    pause_s: float = 0.0


class StatusSource(Protocol):
    """A way to request the status of emulations."""

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Request statuses.

        :param poll_intervals_s: by id, the seconds between two requests to a service without long polls
        :param joined: set when another emulation joins the wait; the look may then end without a result
        :raises DataEmulatorError: when no status could be read
        """


class StatusOfMany:
    """One long poll for all emulations, answered as soon as one of them has ended.

    From time to time it requests all statuses, for the progress in the logs; otherwise only those that have ended.
    """

    def __init__(self, client: DataEmulatorClient) -> None:
        self._client = client
        self._waited_since: dict[str, float] = {}
        self._progress_told_at = self._progress_of_all_told_at = float("-inf")

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Request all of them; see :meth:`StatusSource.look`."""
        now = time.monotonic()
        self._waited_since = {each: self._waited_since.get(each, now) for each in poll_intervals_s}
        due, next_due_s = self._due(now)
        if due:
            look = _look_of(await asyncio.gather(*self._requests(due, 0, minimal=False)))
            if missing := set(due) - look.found.keys():
                raise DataEmulatorAnswerError(f"The status of many lacks {len(missing)} of {len(due)} emulations")
            return look
        wait_s = max(1, min(LONG_POLL_S, math.ceil(next_due_s)))
        answers = await _first_of(self._requests(list(poll_intervals_s), wait_s, minimal=True), joined)
        look = _look_of(answers)
        if answers and not any(answer.waited for answer in answers):
            look.pause_s = _jittered_s(min(poll_intervals_s.values(), default=0.0))
        return look

    def _due(self, now: float) -> tuple[list[str], float]:
        """Return the emulations whose progress is due now, and the seconds until the next ones are.

        All are due together, and young waits more often in between: a thousand waits are one request, and a few new
        ones among them a short one.
        """
        young = [each for each, since in self._waited_since.items() if now - since < PROGRESS_EVERY_S]
        all_due_s = self._progress_of_all_told_at + PROGRESS_EVERY_S - now
        young_due_s = self._progress_told_at + progress_pause_s(0.0) - now if young else all_due_s
        if all_due_s <= 0:
            self._progress_told_at = self._progress_of_all_told_at = now
            return list(self._waited_since), 0.0
        if young_due_s <= 0:
            self._progress_told_at = now
            return young, 0.0
        return [], min(all_due_s, young_due_s)

    def _requests(self, ids: list[str], wait_s: int, *, minimal: bool) -> list[Coroutine[Any, Any, Statuses]]:
        parts = [ids[start : start + _MAX_IDS] for start in range(0, len(ids), _MAX_IDS)]
        return [self._client.get_statuses(part, wait_s, minimal=minimal) for part in parts]


class StatusOfEach:
    """One request per emulation at its poll interval, some at a time; the original service has nothing else."""

    def __init__(self, client: DataEmulatorClient) -> None:
        self._client = client
        self._next_look_at: dict[str, float] = {}

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Request those that are due; see :meth:`StatusSource.look`."""
        now = time.monotonic()
        self._next_look_at = {each: self._next_look_at.get(each, now) for each in poll_intervals_s}
        due = [each for each, at in self._next_look_at.items() if at <= now]
        look = Look()
        for start in range(0, len(due), _AT_A_TIME):
            chosen = due[start : start + _AT_A_TIME]
            results = await asyncio.gather(*(self._look_at(each) for each in chosen))
            look.found.update(zip(chosen, results, strict=True))
            failures = [each for each in results if isinstance(each, DataEmulatorError) and _concerns_all(each)]
            if len(failures) == len(chosen):
                raise failures[0]
            for each in chosen:
                self._next_look_at[each] = time.monotonic() + _jittered_s(poll_intervals_s[each])
        look.pause_s = max(0.0, min(self._next_look_at.values(), default=now) - time.monotonic())
        return look

    async def _look_at(self, emulation_id: str) -> EmulationStatus | DataEmulatorError:
        try:
            return await self._client.get_status(emulation_id, attempts=1)
        except DataEmulatorError as error:
            return error


class AnyStatus:
    """The status of many if the service supports that, otherwise of each."""

    def __init__(self, client: DataEmulatorClient) -> None:
        self._many = StatusOfMany(client)
        self._each = StatusOfEach(client)
        self._many_again_at = 0.0

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Use the better way that works; see :meth:`StatusSource.look`."""
        if time.monotonic() >= self._many_again_at:
            try:
                return await self._many.look(poll_intervals_s, joined)
            except DataEmulatorAnswerError:
                pass
            except DataEmulatorRequestError as error:
                if error.http_status not in _NO_SUCH_ROUTE:
                    raise
            self._many_again_at = time.monotonic() + MANY_AGAIN_AFTER_S
        return await self._each.look(poll_intervals_s, joined)


def _look_of(answers: Iterable[Statuses]) -> Look:
    look = Look()
    for answer in answers:
        look.found.update(answer.found)
        for emulation_id in answer.not_found:
            detail = f"Emulation {emulation_id} not found"
            look.found[emulation_id] = request_error("the status of many", 404, detail)
    return look


def _concerns_all(error: DataEmulatorError) -> bool:
    """Return whether a failure may concern more than the one emulation."""
    return not isinstance(error, EmulationNotFoundError)


async def _first_of(requests: Iterable[Coroutine[Any, Any, T]], joined: asyncio.Event) -> list[T]:
    """Return the answers available once the first arrives; none if another emulation joins before."""
    answers = [asyncio.ensure_future(request) for request in requests]
    joining = asyncio.ensure_future(joined.wait())
    try:
        await asyncio.wait((*answers, joining), return_when=asyncio.FIRST_COMPLETED)
        return [answer.result() for answer in answers if answer.done()]
    finally:
        for each in (*answers, joining):
            each.cancel()


def _jittered_s(poll_interval_s: float) -> float:
    return poll_interval_s * random.uniform(1 - JITTER, 1 + JITTER)
