"""A trigger that does nothing, to see what a trigger costs Airflow itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class SleepingTrigger(BaseTrigger):
    """Sleep so long, in seconds, then fire."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, and fire."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({})
