"""Virtual time for runs: what would take hours takes moments, and the same on every machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from data_emulator.engine.run import Outcome


class Clock(selectors.DefaultSelector):
    """An event loop's selector for which time passes only when there is nothing to do, and then at once.

    A nanosecond passes anyway, as it does for a real clock: what waits for less than that would wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            self.now_s += max(timeout or 0.0, 1e-9)
        return ready


def run_virtually(clock: Clock, work: Coroutine[Any, Any, Outcome | None]) -> Outcome | None:
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now_s  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
