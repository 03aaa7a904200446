"""New emulations on their way in: those that arrive while others are being stored are stored by one commit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from data_emulator.store import Emulation

_MOST: Final = 200
"""Taken in at a time, so that the first of very many need not wait for the last."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """An emulation that is to be started.

    :param idempotency_key: what its client calls the request, if anything.
    :param taken_in: has the emulation once it is stored, or the one that its key has started before.
    """

    emulation: Emulation
    idempotency_key: str | None
    taken_in: Future[Emulation] = field(default_factory=Future)


class Arrivals:
    """A queue, and the thread that takes in what is in it.

    :param take_in: gives each arrival its result. None of those it is called with has the key of another.
    """

    def __init__(self, take_in: Callable[[Sequence[Arrival]], None]) -> None:
        self._take_in = take_in
        self._queue: deque[Arrival] = deque()
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

    def add(self, emulation: Emulation, idempotency_key: str | None) -> Future[Emulation]:
        """Return what will have the emulation that this one or its key has started, or why it is refused."""
        arrival = Arrival(emulation, idempotency_key)
        with self._changed:
            self._queue.append(arrival)
            self._changed.notify()
        return arrival.taken_in

    def _serve(self) -> None:
        while arrivals := self._next():
            try:
                self._take_in(arrivals)
            except Exception as error:
                for each in arrivals:
                    if not each.taken_in.done():
                        each.taken_in.set_exception(error)

    def _next(self) -> list[Arrival]:
        """Wait for arrivals, and return them up to the first whose key is another's; none when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            arrivals: list[Arrival] = []
            keys: set[str] = set()
            while self._queue and len(arrivals) < _MOST and self._queue[0].idempotency_key not in keys:
                arrival = self._queue.popleft()
                arrivals.append(arrival)
                if arrival.idempotency_key is not None:
                    keys.add(arrival.idempotency_key)
            return arrivals
