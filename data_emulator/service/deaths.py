"""Which emulations cost one worker process after the other: they are what kills it, and are given up."""

from __future__ import annotations

from typing import Final, Literal

from data_emulator.model import Checkpoint
from data_emulator.service.store.emulation import Emulation

_MOST: Final = {"died": 5, "hung": 2}
"""An emulation in whose turn workers die that often, without getting on in between, is given up: it is what kills them.
One that hung was killed for it: that takes long, and leaves less doubt whose records do it."""
_GETS_ON_S: Final = 1.0
"""Getting on is a record more that is written for good, or this much more time: some write their one object at the end.
While records are made again time stands still, and getting on is to come further than any worker before."""


class Deaths:
    """How many workers each emulation has cost in a row, without getting on in between."""

    def __init__(self) -> None:
        self._deaths: dict[str, tuple[int, Checkpoint, int]] = {}
        """How many it has cost, where it resumed then, and how many records it had made at most."""

    def given_up(self, emulation: Emulation, at: Checkpoint, how: Literal["died", "hung"]) -> str | None:
        """Count a worker that an emulation has cost; return the error of one that has cost too many.

        :param at: where it would resume.
        :param how: what the worker did in its turn.
        """
        times = self.count(emulation, at)
        return f"its worker process {how} {times} times in a row" if times >= _MOST[how] else None

    def forget(self, emulation_id: str) -> None:
        """Forget an emulation that has ended."""
        self._deaths.pop(emulation_id, None)

    def count(self, emulation: Emulation, at: Checkpoint) -> int:
        """Return how many workers the emulation has cost in a row, without getting on in between."""
        deaths, before, furthest = self._deaths.get(emulation.id, (0, at, emulation.records))
        takes_longer = at.elapsed_s - before.elapsed_s > _GETS_ON_S
        gets_on = at.records > before.records or takes_longer or emulation.records > furthest
        deaths = 1 if gets_on else deaths + 1
        self._deaths[emulation.id] = (deaths, at, max(furthest, emulation.records))
        return deaths
