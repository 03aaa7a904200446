"""New emulations on their way in: those that arrive while others are being stored are stored by one commit."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from data_emulator.store import Emulation

_MOST: Final = 200
"""Taken in at a time, so that the first of very many need not wait for the last."""


@dataclass(frozen=True)
class Arrival:
    """An emulation that is to be started.

    :param idempotency_key: what its client calls the request, if anything.
    """

    emulation: Emulation
    idempotency_key: str | None


class Arrivals:
    """A queue, and the thread that takes in what is in it.

    :param take_in: returns for each arrival the emulation that was started, by this one or before by its key; or why it
        is refused. None of those it is called with has the key of another.
    """

    def __init__(self, take_in: Callable[[Sequence[Arrival]], Sequence[Emulation | Exception]]) -> None:
        self._take_in = take_in
        self._queue: deque[tuple[Arrival, asyncio.Future[Emulation]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="arrivals", daemon=True)

    def open(self) -> None:
        """Start to take in."""
        self._thread.start()

    def close(self) -> None:
        """Take in what has arrived, and no more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def add(self, emulation: Emulation, idempotency_key: str | None) -> Emulation:
        """Return the emulation that this one or its key has started, once it is stored; raise why it is refused."""
        taken_in: asyncio.Future[Emulation] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._queue.append((Arrival(emulation, idempotency_key), taken_in))
            self._changed.notify()
        return await taken_in

    def _serve(self) -> None:
        while waiting := self._next():
            results: Sequence[Emulation | Exception]
            try:
                results = self._take_in([arrival for arrival, _ in waiting])
            except Exception as error:
                results = [error] * len(waiting)
            for (_, taken_in), result in zip(waiting, results, strict=True):
                with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                    taken_in.get_loop().call_soon_threadsafe(_settle, taken_in, result)

    def _next(self) -> list[tuple[Arrival, asyncio.Future[Emulation]]]:
        """Wait for arrivals, and return them up to the first whose key is another's; none when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
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
