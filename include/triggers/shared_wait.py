"""One wait for all the emulations of a connection, however many triggers of a triggerer wait for them.

A task of the event loop looks at all of them together (:mod:`include.triggers.status_sources`), and hands each trigger
what concerns it. So a thousand waits are one open request.
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

#: From one request to the next at the least: below two a second, and an end is known half a second after it at most.
MIN_PAUSE_S = 0.55
#: How long a service has to refuse until that is final: a token may just be changed at both ends.
REFUSED_AFTER_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """Something is in the way just now; None tells that nothing is any more."""

    error: Exception | None


@dataclass(frozen=True)
class Refusal:
    """The end of a wait: the service refuses to tell, or the connection cannot be used."""

    error: DataEmulatorRequestError | DataEmulatorConfigError


News = EmulationStatus | Trouble | Refusal


@dataclass
class _Followed:
    """An emulation, and the triggers that wait for it.

    :param poll_interval_s: seconds between two looks where the service does not hold its answer
    :param in_trouble: whether the triggers have heard that something is in the way
    """

    poll_interval_s: float
    listeners: list[asyncio.Queue[News]] = field(default_factory=list)
    in_trouble: bool = False

    def tell(self, news: News) -> None:
        for each in self.listeners:
            each.put_nowait(news)


class SharedWait:
    """Follows emulations while anybody listens. For one event loop; :func:`shared_wait` gives the one to use.

    Transient failures (no answer, an answer that is not the service's, 429, 5xx, Airflow that cannot give the
    connection just now) are retried by the connection's retry policy until nobody listens any more. The connection is
    read anew each time, so that a wait goes on with what was corrected in it. What the service refuses is final once it
    has refused it for a minute; an emulation that it does not know, and a connection that cannot be used, at once.

    :param data_emulator_conn_id: the Airflow connection
    """

    def __init__(self, data_emulator_conn_id: str) -> None:
        self._conn_id = data_emulator_conn_id
        self._followed: dict[str, _Followed] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

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
        """Look until cancelled."""
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
                    log.exception("Connection %s: it is asked again, but this was not foreseen", self._conn_id)
                for followed in self._followed.values():
                    self._trouble(followed, error)
                await asyncio.sleep(max(MIN_PAUSE_S, retry.wait_s(failures, error)))

    async def _look(self, source: AnyStatus) -> None:
        """Look once, tell what was found, and wait until it is time for the next look."""
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
        """Tell what is final, and look at these no more."""
        for emulation_id in emulation_ids:
            if followed := self._followed.pop(emulation_id, None):
                followed.tell(news)

    def _trouble(self, followed: _Followed, error: Exception) -> None:
        """Tell what is in the way, once."""
        if not followed.in_trouble:
            followed.in_trouble = True
            followed.tell(Trouble(error))

    def _over_it(self, followed: _Followed) -> None:
        if followed.in_trouble:
            followed.in_trouble = False
            followed.tell(Trouble(None))


_WAITS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedWait]] = WeakKeyDictionary()


def shared_wait(data_emulator_conn_id: str) -> SharedWait:
    """The wait that all triggers of this event loop share for a connection."""
    waits = _WAITS.setdefault(asyncio.get_running_loop(), {})
    return waits.setdefault(data_emulator_conn_id, SharedWait(data_emulator_conn_id))
