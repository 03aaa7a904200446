"""The deadline of a wait."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .wire.status import EmulationState

#: Time in the service's queue does not count, but extends a wait by no more than this (or by the wait's own length, if
#: that is longer).
MAX_QUEUED_S = 3600.0


@dataclass
class WaitDeadline:
    """A deadline that moves while the emulation is queued, up to a fixed latest time.

    :param at: when the wait ends if the emulation is never queued, in Unix seconds
    :param latest: when it ends in any case, in Unix seconds
    """

    at: float
    latest: float
    _queued_s: float = field(default=0.0, init=False)
    _queued_since: float | None = field(default=None, init=False)

    def saw(self, state: EmulationState) -> None:
        """Record the state that the service has just reported."""
        now = time.time()
        self._queued_s = self._queued_until(now)
        self._queued_since = now if state is EmulationState.QUEUED else None

    def remaining_s(self) -> float:
        """Return the seconds left; 0 or less when the wait is over."""
        now = time.time()
        return min(self.at + self._queued_until(now), self.latest) - now

    def _queued_until(self, now: float) -> float:
        return self._queued_s + (0.0 if self._queued_since is None else max(0.0, now - self._queued_since))


def latest_end(deadline: float, wait_s: float) -> float:
    """Return the latest time to which queued time may move the deadline of a wait of ``wait_s`` seconds."""
    return deadline + max(MAX_QUEUED_S, wait_s)
