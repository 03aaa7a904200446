"""The time that an emulation has run: a clock that pauses while it cannot write."""

from __future__ import annotations

import time


class Stopwatch:
    """A clock in seconds.

    :param elapsed_s: what it shows at first, running.
    """

    def __init__(self, elapsed_s: float) -> None:
        self._before_s = elapsed_s
        self._since: float | None = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """The elapsed seconds."""
        return self._before_s + (0.0 if self._since is None else time.monotonic() - self._since)

    def pause(self) -> None:
        """Pause the clock; harmless if it is paused already."""
        self._before_s, self._since = self.elapsed_s, None

    def pause_at(self, elapsed_s: float) -> None:
        """Pause the clock, and set it."""
        self._before_s, self._since = elapsed_s, None

    def go_on(self) -> None:
        """Resume the clock; harmless if it runs already."""
        if self._since is None:
            self._since = time.monotonic()
