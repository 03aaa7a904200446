"""What a wait writes to the task's log: regular progress, and the start and end of an outage once each.

The service can be away, and so can the store or broker that the emulation writes to, which the service reports.
"""

from __future__ import annotations

import time
from typing import Any

from .wire.status import EmulationState, EmulationStatus, Waiting

#: Seconds between two progress messages: in the first minute of a wait, and after that.
FIRST_PROGRESS_EVERY_S, PROGRESS_EVERY_S = 15.0, 60.0
#: Status requests are never exactly on time.
_ABOUT = 0.9


def progress_pause_s(waited_s: float) -> float:
    """Return the seconds until progress is next requested, for an emulation waited for this long."""
    return FIRST_PROGRESS_EVERY_S if waited_s < PROGRESS_EVERY_S else PROGRESS_EVERY_S


class WaitLog:
    """Logs the course of one wait, without repetitions.

    :param log: the logger of the task or trigger
    :param name: the emulation's name in the log
    """

    def __init__(self, log: Any, name: str) -> None:
        self._log = log
        self._name = name
        self._began_at_s = self._told_at_s = time.monotonic()
        self.state: EmulationState | None = None
        self.last_error: str | None = None
        self._waiting: Waiting | None = None

    @property
    def in_the_way(self) -> str | None:
        """What holds the emulation up, or the wait for it; None if nothing is known to."""
        return self.last_error or (str(self._waiting) if self._waiting else None)

    def failed(self, error: Exception) -> None:
        """Record a failed status request, which will be retried."""
        if self.last_error is None:
            self._log.warning(
                "Still waiting for emulation %s, but its status cannot be read for now: %s",
                self._name,
                error or type(error).__name__,
            )
        self.last_error = str(error) or type(error).__name__

    def answered_again(self) -> None:
        """Record that the service answers."""
        if self.last_error is not None:
            self._log.info("The Data Emulator Service answers again")
            self.last_error = None

    def answered(self, status: EmulationStatus) -> None:
        """Record a status."""
        self.answered_again()
        now_s = time.monotonic()
        pause_s = _ABOUT * progress_pause_s(self._told_at_s - self._began_at_s)
        if status.state is not self.state or now_s - self._told_at_s >= pause_s:
            progress = f": {status.progress}" if status.progress else ""
            self._log.info("Emulation %s is %s%s", self._name, status.state, progress)
            self.state, self._told_at_s = status.state, now_s
        self._tell_outage(status.waiting)

    def _tell_outage(self, waiting: Waiting | None) -> None:
        before, self._waiting = self._waiting, waiting
        if waiting and not (before and before.since == waiting.since):
            self._log.warning("Emulation %s is waiting: %s", self._name, waiting)
        elif before and not waiting:
            self._log.info("Emulation %s continues: its sink is available again", self._name)
