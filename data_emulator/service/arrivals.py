"""Batch new emulations: those that arrive during a commit are stored together by the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from data_emulator.service.store.emulation import Emulation

_MOST: Final = 200
"""Taken in at a time, so that the first of very many need not wait for the last."""


@dataclass(frozen=True)
class Arrival:
    """An emulation to be started.

    :param idempotency_key: what its client calls the request, if anything.
    """

    emulation: Emulation
    idempotency_key: str | None


class Arrivals:
    """A queue in front of a blocking function: a thread calls it with everything that has arrived since the last call.

    :param take_in: returns for each arrival the emulation that was started, by this one or before by its key; or why it
        is refused. None of those it is called with has the key of another.
    """

    def __init__(self, take_in: Callable[[Sequence[Arrival]], Sequence[Emulation | Exception]]) -> None:
        self._take_in = take_in
        self._queue: deque[tuple[Arrival, asyncio.Future[Emulation]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="arrivals")
        self._serving: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Finish pending arrivals, and accept no more."""
        self._thread.shutdown()

    async def add(self, emulation: Emulation, idempotency_key: str | None) -> Emulation:
        """Return the stored emulation that this arrival or its key has started; raise if it is refused."""
        taken_in: asyncio.Future[Emulation] = asyncio.get_running_loop().create_future()
        self._queue.append((Arrival(emulation, idempotency_key), taken_in))
        if self._serving is None:
            # A task of its own: that the client of one is gone must not keep the others waiting.
            self._serving = asyncio.create_task(self._serve())
        return await taken_in

    async def _serve(self) -> None:
        try:
            while self._queue:
                waiting = self._next()
                results: Sequence[Emulation | Exception]
                try:
                    # One message to the thread and one back, whatever their number: each makes the two wait for each
                    # other.
                    results = await asyncio.get_running_loop().run_in_executor(
                        self._thread, self._take_in, [arrival for arrival, _ in waiting]
                    )
                except Exception as error:
                    results = [error] * len(waiting)
                for (_, taken_in), result in zip(waiting, results, strict=True):
                    _settle(taken_in, result)
        finally:
            self._serving = None

    def _next(self) -> list[tuple[Arrival, asyncio.Future[Emulation]]]:
        """Return the pending arrivals, up to the first with a repeated key."""
        chosen: list[tuple[Arrival, asyncio.Future[Emulation]]] = []
        keys: set[str] = set()
        while self._queue and len(chosen) < _MOST:
            key = self._queue[0][0].idempotency_key
            if key in keys:
                break
            if key is not None:
                keys.add(key)
            chosen.append(self._queue.popleft())
        return chosen


def _settle(taken_in: asyncio.Future[Emulation], result: Emulation | Exception) -> None:
    if taken_in.done():  # its client is gone
        return
    if isinstance(result, Exception):
        taken_in.set_exception(result)
    else:
        taken_in.set_result(result)
