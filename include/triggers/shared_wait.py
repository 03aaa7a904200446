"""One wait for all emulations of a connection, shared by all triggers in a triggerer.

A single asyncio task requests the status of all emulations together (:mod:`include.triggers.status_sources`) and passes
each trigger its own news, so a thousand waits need one open request.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from ..exceptions import (
    DataEmulatorConfigError,
    DataEmulatorError,
    DataEmulatorRequestError,
    EmulationNotFoundError,
)
from ..hooks.data_emulator_async import DataEmulatorAsyncHook
from ..retry import RetryPolicy
from ..wire.status import EmulationStatus
from .status_sources import AnyStatus

#: Shortest pause between two requests: under two per second, and an end is known at most half a second later.
MIN_PAUSE_S = 0.55
#: How long the service must refuse before that is final: a token may be in the middle of being changed.
REFUSED_AFTER_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """A temporary problem with the wait; None means that it is over."""

    error: Exception | None


@dataclass(frozen=True)
class Refusal:
    """The end of a wait: the service refuses, or the connection is invalid."""

    error: DataEmulatorRequestError | DataEmulatorConfigError


News = EmulationStatus | Trouble | Refusal


@dataclass
class _Followed:
    """An emulation and the triggers that wait for it.

    :param poll_interval_s: seconds between two requests to a service without long polls
    :param in_trouble: whether the triggers were told of a temporary problem
    """

    poll_interval_s: float
    listeners: list[asyncio.Queue[News]] = field(default_factory=list)
    in_trouble: bool = False

    def tell(self, news: News) -> None:
        for each in self.listeners:
            each.put_nowait(news)


class SharedWait:
    """Follows emulations as long as anybody listens, in one event loop; get it from :func:`shared_wait`.

    Transient failures (no answer, an answer that is not the service's, 429, 5xx, a connection that Airflow temporarily
    cannot provide) are retried by the connection's retry policy until nobody listens any more. The connection is read
    again each time, so corrections take effect during a wait. A refusal is final once it has lasted for a minute; an
    unknown emulation and an invalid connection are final at once.

    :param data_emulator_conn_id: the Airflow connection
    """

    def __init__(self, data_emulator_conn_id: str) -> None:
        self._conn_id = data_emulator_conn_id
        self._followed: dict[str, _Followed] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, emulation_id: str, poll_interval_s: float) -> AsyncIterator[asyncio.Queue[News]]:
        """Subscribe to an emulation's news until it has ended or the block is left."""
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
        """Request statuses until cancelled."""
        failures = 0
        refused_since: float | None = None
        retry = RetryPolicy()
        while True:
            try:
                async with DataEmulatorAsyncHook(self._conn_id).open() as client:
                    retry = client.settings.retry
                    source = AnyStatus(client)
                    while True:
                        looked_at = time.monotonic()
                        await self._look(source)
                        failures, refused_since = 0, None
                        await asyncio.sleep(max(0.0, looked_at + MIN_PAUSE_S - time.monotonic()))
            except DataEmulatorConfigError as error:
                self._end(list(self._followed), Refusal(error))
                await asyncio.sleep(MIN_PAUSE_S)
            except Exception as error:
                failures += 1
                if isinstance(error, DataEmulatorRequestError):
                    refused_since = refused_since or time.monotonic()
                    if time.monotonic() >= refused_since + REFUSED_AFTER_S:
                        self._end(list(self._followed), Refusal(error))
                elif failures == 1 and not isinstance(error, DataEmulatorError):
                    log.exception("Connection %s: unexpected error; retrying", self._conn_id)
                for followed in self._followed.values():
                    self._trouble(followed, error)
                await asyncio.sleep(max(MIN_PAUSE_S, retry.wait_s(failures, error)))

    async def _look(self, source: AnyStatus) -> None:
        """Request statuses once, pass on the result, and wait until the next request is due."""
        self._joined.clear()
        intervals_s = {emulation_id: each.poll_interval_s for emulation_id, each in self._followed.items()}
        look = await source.look(intervals_s, self._joined)
        for emulation_id, followed in list(self._followed.items()):
            result = look.found.get(emulation_id)
            if isinstance(result, DataEmulatorError) and not isinstance(result, EmulationNotFoundError):
                self._trouble(followed, result)
                continue
            self._over_it(followed)
            if isinstance(result, EmulationNotFoundError):
                self._end([emulation_id], Refusal(result))
            elif result is not None and result.state.is_terminal:
                self._end([emulation_id], result)
            elif result is not None:
                followed.tell(result)
        with suppress(TimeoutError):
            async with asyncio.timeout(look.pause_s):  # wait_for can lose a cancellation
                await self._joined.wait()

    def _end(self, emulation_ids: Iterable[str], news: News) -> None:
        """Pass on the end of these emulations and stop following them."""
        for emulation_id in emulation_ids:
            if followed := self._followed.pop(emulation_id, None):
                followed.tell(news)

    def _trouble(self, followed: _Followed, error: Exception) -> None:
        """Report a temporary problem once."""
        if not followed.in_trouble:
            followed.in_trouble = True
            followed.tell(Trouble(error))

    def _over_it(self, followed: _Followed) -> None:
        if followed.in_trouble:
            followed.in_trouble = False
            followed.tell(Trouble(None))


_WAITS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedWait]] = WeakKeyDictionary()


def shared_wait(data_emulator_conn_id: str) -> SharedWait:
    """Return the wait that all triggers of this event loop share for a connection."""
    waits = _WAITS.setdefault(asyncio.get_running_loop(), {})
    return waits.setdefault(data_emulator_conn_id, SharedWait(data_emulator_conn_id))
