"""The two protocols by which a service tells of emulations: of many in one long poll, or of one at a time."""

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

#: How long the service is asked to hold one answer; below the 60 s after which proxies commonly give up.
LONG_POLL_S = 30
#: Share by which a poll interval varies, so that waits which began together spread out.
JITTER = 0.2
#: After so long a service that could not tell of many is asked again whether it can.
MANY_AGAIN_AFTER_S = 300.0

_MAX_IDS = 1000  # in one request; more are asked for side by side
_AT_A_TIME = 16  # requests to a service that tells of one emulation at a time
_NO_SUCH_ROUTE = (404, 405, 501)

T = TypeVar("T")


@dataclass
class Look:
    """What a look at emulations has found.

    :param found: by id, a status, or an error that concerns this emulation alone; those of which nothing is new are
        left out
    :param pause_s: how long to wait before the next look, unless somebody joins
    """

    found: dict[str, EmulationStatus | DataEmulatorError] = field(default_factory=dict)
    pause_s: float = 0.0


class StatusSource(Protocol):
    """A protocol by which emulations are looked at."""

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Look at emulations.

        :param poll_intervals_s: by id, the seconds between two looks where the service does not hold its answer
        :param joined: set when somebody begins to wait for another emulation; then the look may end with nothing found
        :raises DataEmulatorError: when the service does not tell of any
        """


class StatusOfMany:
    """One long poll for all emulations, which the service answers as soon as one of them is over.

    Now and then it is asked for everything, for the logs; in between only for what is over.
    """

    def __init__(self, client: DataEmulatorClient) -> None:
        self._client = client
        self._waited_since: dict[str, float] = {}
        self._progress_told_at = self._progress_of_all_told_at = float("-inf")

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Look at all of them; see :meth:`StatusSource.look`."""
        now = time.monotonic()
        self._waited_since = {each: self._waited_since.get(each, now) for each in poll_intervals_s}
        due, next_due_s = self._due(now)
        if due:
            look = _look_of(await asyncio.gather(*self._requests(due, 0, minimal=False)))
            if missing := set(due) - look.found.keys():
                raise DataEmulatorAnswerError(f"The status of many leaves {len(missing)} of {len(due)} emulations out")
            return look
        wait_s = max(1, min(LONG_POLL_S, math.ceil(next_due_s)))
        answers = await _first_of(self._requests(list(poll_intervals_s), wait_s, minimal=True), joined)
        look = _look_of(answers)
        if answers and not any(answer.waited for answer in answers):
            look.pause_s = _jittered_s(min(poll_intervals_s.values(), default=0.0))
        return look

    def _due(self, now: float) -> tuple[list[str], float]:
        """Those whose progress is due now, and the seconds until the next is.

        All are due together, and apart from that those whose wait is young: so a thousand waits are one request, and a
        few new ones among them a short one.
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
    """A request for each emulation at its poll interval, some at a time: all that the original service has."""

    def __init__(self, client: DataEmulatorClient) -> None:
        self._client = client
        self._next_look_at: dict[str, float] = {}

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Look at those whose turn it is; see :meth:`StatusSource.look`."""
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
    """The status of many where the service has that and answers it rightly, else of each."""

    def __init__(self, client: DataEmulatorClient) -> None:
        self._many = StatusOfMany(client)
        self._each = StatusOfEach(client)
        self._many_again_at = 0.0

    async def look(self, poll_intervals_s: Mapping[str, float], joined: asyncio.Event) -> Look:
        """Look by the better protocol that works; see :meth:`StatusSource.look`."""
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
    """Whether a look failed for a reason that need not be the emulation's own."""
    return not isinstance(error, EmulationNotFoundError)


async def _first_of(requests: Iterable[Coroutine[Any, Any, T]], joined: asyncio.Event) -> list[T]:
    """The answers that are there once one is; none if somebody joins before: then all are asked for anew."""
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
