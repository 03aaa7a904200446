"""One wait for all the emulations of a connection, however many triggers of a triggerer wait for them.

A task of the event loop asks the service for the status of all of them in one long poll, and hands each trigger what
concerns it. So a thousand waits are one open request. A service without the status of many (the original) is asked for
each emulation by itself, at its poll interval.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from include.connection import ConnectionSettings
from include.exceptions import DataEmulatorError, DataEmulatorRequestError, EmulationNotFoundError
from include.hooks.data_emulator_async import DataEmulatorAsyncHook, DataEmulatorClient
from include.wait_log import PROGRESS_EVERY_S
from include.wire.answer import request_error
from include.wire.status import EmulationStatus

#: How long the service is asked to hold one answer; below the 60 s after which proxies commonly give up.
LONG_POLL_S = 30
#: From one request to the next at the least: below two a second, and an end is known half a second after it at most.
MIN_PAUSE_S = 0.55
#: Share by which a poll interval varies, so that waits which began together spread out.
JITTER = 0.2

_MAX_IDS = 1000  # in one request; more are asked for side by side
_AT_A_TIME = 16  # requests to a service that tells of one emulation at a time
_NO_SUCH_ROUTE = (404, 405, 501)

#: What a trigger hears: a status; a refusal, which is final; what is in the way just now; or, by None, that it is over.
News = EmulationStatus | DataEmulatorRequestError | Exception | None
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class _Followed:
    """An emulation, and the triggers that wait for it.

    :param poll_interval_s: between two looks where the service does not hold its answer
    :param in_trouble: whether the triggers have heard that something is in the way
    """

    poll_interval_s: float
    listeners: list[asyncio.Queue[News]] = field(default_factory=list)
    next_look_at: float = 0.0
    in_trouble: bool = False

    def tell(self, news: News) -> None:
        for each in self.listeners:
            each.put_nowait(news)


class SharedWait:
    """Follows emulations while anybody listens. For one event loop; :func:`shared_wait` gives the one to use.

    What passes (no connection, timeouts, 429, 5xx, Airflow that cannot give the connection just now) is ridden out, by
    the connection's retry policy. The connection is read anew each time, so that a wait goes on with what was corrected
    in it. What the service refuses is final once it has refused it twice.

    :param data_emulator_conn_id: the Airflow connection
    """

    def __init__(self, data_emulator_conn_id: str) -> None:
        self._conn_id = data_emulator_conn_id
        self._followed: dict[str, _Followed] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._progress_due_at = 0.0
        self._tells_of_many = True

    @asynccontextmanager
    async def follow(self, emulation_id: str, poll_interval_s: float) -> AsyncIterator[asyncio.Queue[News]]:
        """Listen to what is heard of an emulation, until it is over, or the block ends."""
        news: asyncio.Queue[News] = asyncio.Queue()
        followed = self._followed.setdefault(emulation_id, _Followed(poll_interval_s))
        followed.listeners.append(news)
        self._joined.set()
        if self._task is None:
            # In a context of its own: Airflow writes what is logged in a trigger's context into that trigger's log.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
        try:
            yield news
        finally:
            followed.listeners.remove(news)
            if not followed.listeners and self._followed.get(emulation_id) is followed:
                del self._followed[emulation_id]
            if not self._followed and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        """Ask until cancelled."""
        failures = refusals = 0
        retry = ConnectionSettings.from_connection(self._conn_id, None, {}).retry
        while True:
            try:
                async with DataEmulatorAsyncHook(self._conn_id).open() as client:
                    retry = client.settings.retry
                    self._tells_of_many = True
                    self._progress_due_at = 0.0
                    while True:
                        asked_at = time.monotonic()
                        await self._ask(client)
                        failures = refusals = 0
                        self._over_it()
                        await asyncio.sleep(max(0.0, asked_at + MIN_PAUSE_S - time.monotonic()))
            except DataEmulatorRequestError as error:
                refusals += 1
                if refusals > 1:
                    self._end(list(self._followed), error)
                await asyncio.sleep(MIN_PAUSE_S)
            except Exception as error:
                failures += 1
                if failures == 1 and not isinstance(error, DataEmulatorError):
                    log.exception("Connection %s: it is asked again, but this was not foreseen", self._conn_id)
                self._in_trouble(error)
                await asyncio.sleep(max(MIN_PAUSE_S, retry.wait_s(failures, error)))

    async def _ask(self, client: DataEmulatorClient) -> None:
        """Ask once for all, or for those whose turn it is; and wait until there is something to tell, or to ask."""
        self._joined.clear()
        if self._tells_of_many:
            try:
                await self._ask_for_all(client)
                return
            except DataEmulatorRequestError as error:
                if error.http_status not in _NO_SUCH_ROUTE:
                    raise
                self._tells_of_many = False
        await self._ask_for_each(client)

    async def _ask_for_all(self, client: DataEmulatorClient) -> None:
        ids = list(self._followed)
        parts = [ids[start : start + _MAX_IDS] for start in range(0, len(ids), _MAX_IDS)]
        # Now and then all is told, for the logs; in between only what is over.
        minimal = time.monotonic() < self._progress_due_at
        wait_s = LONG_POLL_S if minimal else 0
        requests = [client.get_statuses(part, wait_s, minimal=minimal) for part in parts]
        answers = await self._first_of(requests) if minimal else await asyncio.gather(*requests)
        for answer in answers:
            for emulation_id, status in answer.found.items():
                self._tell(emulation_id, status)
            for emulation_id in answer.not_found:
                asked = f"Status of emulation {emulation_id}: the service"
                self._end([emulation_id], request_error(asked, 404, f"Emulation {emulation_id} not found"))
        if not minimal:
            self._progress_due_at = time.monotonic() + PROGRESS_EVERY_S
        elif answers and not any(answer.waited for answer in answers):
            await self._joined_within(self._pause_s(each.poll_interval_s for each in self._followed.values()))

    async def _ask_for_each(self, client: DataEmulatorClient) -> None:
        now = time.monotonic()
        due = [emulation_id for emulation_id, each in self._followed.items() if each.next_look_at <= now]
        for start in range(0, len(due), _AT_A_TIME):
            chosen = due[start : start + _AT_A_TIME]
            looks = [client.get_status(each, attempts=1) for each in chosen]
            found = await asyncio.gather(*looks, return_exceptions=True)
            for emulation_id, result in zip(chosen, found, strict=True):
                if isinstance(result, EmulationStatus):
                    self._tell(emulation_id, result)
                    if followed := self._followed.get(emulation_id):
                        followed.next_look_at = time.monotonic() + self._pause_s([followed.poll_interval_s])
                elif isinstance(result, EmulationNotFoundError):
                    self._end([emulation_id], result)
            # Those that were answered have heard it; with the others the round ends here.
            for result in found:
                if isinstance(result, BaseException) and not isinstance(result, EmulationNotFoundError):
                    raise result
        next_look_at = min((each.next_look_at for each in self._followed.values()), default=now + LONG_POLL_S)
        await self._joined_within(next_look_at - time.monotonic())

    async def _first_of(self, requests: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """The answers that are there once one is; none if somebody joins before: then all are asked for anew."""
        answers = [asyncio.ensure_future(request) for request in requests]
        joined = asyncio.ensure_future(self._joined.wait())
        try:
            await asyncio.wait((*answers, joined), return_when=asyncio.FIRST_COMPLETED)
            return [answer.result() for answer in answers if answer.done()]
        finally:
            for each in (*answers, joined):
                each.cancel()

    async def _joined_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._joined.wait(), max(0.0, seconds))

    def _pause_s(self, poll_intervals_s: Iterable[float]) -> float:
        return min(poll_intervals_s, default=0.0) * random.uniform(1 - JITTER, 1 + JITTER)

    def _tell(self, emulation_id: str, status: EmulationStatus) -> None:
        if status.state.is_terminal:
            self._end([emulation_id], status)
        elif followed := self._followed.get(emulation_id):
            followed.tell(status)

    def _end(self, emulation_ids: Iterable[str], news: News) -> None:
        """Tell what is final, and ask for these no more."""
        for emulation_id in emulation_ids:
            if followed := self._followed.pop(emulation_id, None):
                followed.tell(news)

    def _in_trouble(self, error: Exception) -> None:
        """Tell what is in the way, to each once."""
        for each in self._followed.values():
            if not each.in_trouble:
                each.in_trouble = True
                each.tell(error)

    def _over_it(self) -> None:
        for each in self._followed.values():
            if each.in_trouble:
                each.in_trouble = False
                each.tell(None)


_WAITS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedWait]] = WeakKeyDictionary()


def shared_wait(data_emulator_conn_id: str) -> SharedWait:
    """The wait that all triggers of this event loop share for a connection."""
    waits = _WAITS.setdefault(asyncio.get_running_loop(), {})
    return waits.setdefault(data_emulator_conn_id, SharedWait(data_emulator_conn_id))
