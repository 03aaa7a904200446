"""When a wait ends, if its emulation does not end before."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .wire.status import EmulationState

#: Time in the service's queue does not count; but no wait takes longer than it was meant to, and that much more (or
#: twice as long, if that is longer).
MAX_QUEUED_S = 3600.0


@dataclass
class WaitDeadline:
    """A deadline that moves while the emulation is queued, up to a latest moment that does not.

    :param at: when the wait ends if the emulation is never queued, in seconds since the epoch
    :param latest: when it ends anyway, likewise
    """

    at: float
    latest: float
    _queued_s: float = field(default=0.0, init=False)
    _queued_since: float | None = field(default=None, init=False)

    def saw(self, state: EmulationState) -> None:
        """Take note of the state that the service has told just now."""
        now = time.time()
        self._queued_s = self._queued_until(now)
        self._queued_since = now if state is EmulationState.QUEUED else None

    def remaining_s(self) -> float:
        """Return the seconds that are left, 0 or less when the wait is over."""
        now = time.time()
        return min(self.at + self._queued_until(now), self.latest) - now

    def _queued_until(self, now: float) -> float:
        return self._queued_s + (0.0 if self._queued_since is None else max(0.0, now - self._queued_since))


def latest_end(deadline: float, wait_s: float) -> float:
    """Return how far queued time may move the deadline of a wait of ``wait_s`` seconds."""
    return deadline + max(MAX_QUEUED_S, wait_s)
