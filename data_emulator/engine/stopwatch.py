"""How long an emulation has been emulating: a clock that stands still while it cannot write."""

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
        """What the clock shows."""
        return self._before_s + (0.0 if self._since is None else time.monotonic() - self._since)

    def pause(self) -> None:
        """Stop the clock; it may stand already."""
        self._before_s, self._since = self.elapsed_s, None

    def go_on(self) -> None:
        """Start the clock again; it may run already."""
        if self._since is None:
            self._since = time.monotonic()
