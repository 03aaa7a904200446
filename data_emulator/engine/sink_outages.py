"""The outages of one emulation's sink: when one begins, when it is over, and when to give up."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from typing import Final

from data_emulator.engine.outage import Outage, one_line
from data_emulator.errors import SinkError

_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 5.0
_MAX_IN_VAIN: Final = 5
"""So many outages in a row in which the emulation got no further than before are taken for one: a sink may take parts
of an object again and again, and never the last."""


class SinkOutages:
    """What a run knows of its sink's outages.

    An outage begins with a failure, and is over once the sink has acknowledged anything since. Progress is measured in
    acknowledged bytes, final or not.

    :param outage_s: how long an outage may last.
    :param final_bytes: what is final at first.
    """

    def __init__(self, outage_s: float, final_bytes: int) -> None:
        self._outage_s = outage_s
        self._outage: Outage | None = None
        self._gives_up_at = 0.0
        self._retries = 0
        self._final_bytes = final_bytes
        self._over_beyond_bytes: float = math.inf
        self._furthest_bytes = -1
        self._in_vain = 0
        self._in_vain_since = 0.0

    def current(self, acknowledged_bytes: int) -> Outage | None:
        """Return the outage that goes on, or `None`."""
        return None if acknowledged_bytes > self._over_beyond_bytes else self._outage

    @property
    def gives_up_in_s(self) -> float:
        """How much longer the sink is waited for; negative: no longer."""
        return self._gives_up_at - time.monotonic()

    def note_failure(self, error: SinkError, acknowledged_bytes: int) -> None:
        """Take in that the sink has failed. That begins an outage, or is one more failure of the one that goes on."""
        begins = self._outage is None or acknowledged_bytes > self._over_beyond_bytes
        if begins:
            self._begin(error)
        elif self._outage:
            self._outage = replace(self._outage, reason=one_line(str(error)))
        if acknowledged_bytes > self._furthest_bytes:
            self._furthest_bytes = acknowledged_bytes
            self._in_vain, self._in_vain_since = 0, time.monotonic()
        elif begins:
            self._in_vain += 1
            if self._in_vain >= _MAX_IN_VAIN:
                self._gives_up_at = min(self._gives_up_at, self._in_vain_since + self._outage_s)
        self._over_beyond_bytes = math.inf  # what arrives during the roll-back does not show that it is back

    def note_roll_back(self, error: SinkError, final_bytes: int) -> None:
        """Take in what is final after the failure: if that is more than before, the sink was there until now."""
        if final_bytes > self._final_bytes:
            self._begin(error)
        self._final_bytes = self._over_beyond_bytes = final_bytes

    def _begin(self, error: SinkError) -> None:
        now = time.time()
        self._outage = Outage(one_line(str(error)), now, now + self._outage_s)
        self._gives_up_at, self._retries = time.monotonic() + self._outage_s, 0

    def next_pause_s(self) -> float:
        """Return how long to wait before the sink is tried again: longer each time."""
        pause_s = min(_FIRST_RETRY_S * 2.0**self._retries, _LONGEST_RETRY_S)
        self._retries += 1
        return pause_s * random.uniform(0.5, 1.0)

    def error(self, error: SinkError) -> str:
        """Return the error of an emulation that this failure ends."""
        return str(error) if error.permanent or self._outage is None else self._outage.given_up(time.time())
