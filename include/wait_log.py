"""What a wait tells in the task's log: progress now and then, an outage once, and the outage's end once."""

from __future__ import annotations

import time
from typing import Any

from include.wire.status import EmulationState, EmulationStatus

#: How often a running emulation's progress is logged.
PROGRESS_EVERY_S = 60.0


class WaitLog:
    """Remembers what was told last.

    :param log: the logger of the task or trigger
    :param name: what to call the emulation
    """

    def __init__(self, log: Any, name: str) -> None:
        self._log = log
        self._name = name
        self._told_at_s = 0.0
        self.state: EmulationState | None = None
        self.last_error: str | None = None

    def failed(self, error: Exception) -> None:
        """A look failed in passing."""
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
        if status.state is not self.state or now_s - self._told_at_s >= PROGRESS_EVERY_S:
            progress = f": {status.progress}" if status.progress else ""
            self._log.info("Emulation %s is %s%s", self._name, status.state, progress)
            self.state, self._told_at_s = status.state, now_s
