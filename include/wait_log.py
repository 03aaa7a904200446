"""What a wait tells in the task's log: progress now and then, an outage once, and the outage's end once."""

from __future__ import annotations

import time
from typing import Any

from .wire.status import EmulationState, EmulationStatus

#: How often the progress of an emulation is looked at and logged: in the first minute of its wait, and then.
FIRST_PROGRESS_EVERY_S, PROGRESS_EVERY_S = 15.0, 60.0
#: Looks are never exactly on time.
_ABOUT = 0.9


def progress_pause_s(waited_s: float) -> float:
    """Return the seconds between two looks at the progress of an emulation that has been waited for so long."""
    return FIRST_PROGRESS_EVERY_S if waited_s < PROGRESS_EVERY_S else PROGRESS_EVERY_S


class WaitLog:
    """Remembers what was told last.

    :param log: the logger of the task or trigger
    :param name: what to call the emulation
    """

    def __init__(self, log: Any, name: str) -> None:
        self._log = log
        self._name = name
        self._began_at_s = self._told_at_s = time.monotonic()
        self.state: EmulationState | None = None
        self.last_error: str | None = None

    def failed(self, error: Exception) -> None:
        """A look failed; it will be retried."""
        if self.last_error is None:
            self._log.warning("Still waiting for emulation %s, although: %s", self._name, error or type(error).__name__)
        self.last_error = str(error) or type(error).__name__

    def answered_again(self) -> None:
        """A look succeeded, whatever it told."""
        if self.last_error is not None:
            self._log.info("The Data Emulator Service answers again")
            self.last_error = None

    def answered(self, status: EmulationStatus) -> None:
        """A look told this."""
        self.answered_again()
        now_s = time.monotonic()
        pause_s = _ABOUT * progress_pause_s(self._told_at_s - self._began_at_s)
        if status.state is not self.state or now_s - self._told_at_s >= pause_s:
            progress = f": {status.progress}" if status.progress else ""
            self._log.info("Emulation %s is %s%s", self._name, status.state, progress)
            self.state, self._told_at_s = status.state, now_s
