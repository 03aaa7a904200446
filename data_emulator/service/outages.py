"""Which emulations wait for a sink that is away. Kept in memory: after a restart it is noticed anew."""

from __future__ import annotations

from data_emulator.engine.outage import Outage


class Outages:
    """The outages by emulation, as workers report them. May be used from any thread."""

    def __init__(self) -> None:
        self._outages: dict[str, Outage] = {}

    def note(self, emulation_id: str, outage: Outage | None) -> None:
        """Take in what an emulation waits for; `None`: for nothing any more."""
        if outage is None:
            self._outages.pop(emulation_id, None)
        else:
            self._outages[emulation_id] = outage

    def of(self, emulation_id: str) -> Outage | None:
        """Return what an emulation waits for, or `None`."""
        return self._outages.get(emulation_id)
