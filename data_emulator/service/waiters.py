"""Who waits for which emulation to end."""

from __future__ import annotations

import asyncio


class Waiters:
    """Who waits for which emulation to end. Added and removed in the event loop, woken from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[str, set[asyncio.Event]] = {}
        self._released = False

    def add(self, emulation_ids: list[str]) -> asyncio.Event:
        """Return an event that is set when any of these emulations ends."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        if self._released:
            event.set()
        for emulation_id in emulation_ids:
            self._events.setdefault(emulation_id, set()).add(event)
        return event

    def remove(self, emulation_ids: list[str], event: asyncio.Event) -> None:
        """Forget an event."""
        for emulation_id in emulation_ids:
            waiting = self._events.get(emulation_id, set())
            waiting.discard(event)
            if not waiting:
                self._events.pop(emulation_id, None)

    def wake(self, emulation_ids: set[str] | list[str]) -> None:
        """Set the events of these emulations."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, list(emulation_ids))

    def release(self) -> None:
        """Set all events, and those that are still to come."""
        self._released = True
        self.wake(list(self._events))

    def _set(self, emulation_ids: list[str]) -> None:
        for emulation_id in emulation_ids:
            for event in self._events.get(emulation_id, ()):
                event.set()
