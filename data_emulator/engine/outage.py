"""An outage of a sink, and how long it is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Outage:
    """What an emulation waits for. Times are Unix seconds.

    :param reason: what is away and why, in one line.
    :param since: when that was noticed.
    :param until: when the emulation fails, if it has not come back.
    """

    reason: str
    since: float
    until: float

    def given_up(self, at: float) -> str:
        """Return the error of an emulation that fails at this time because of the outage."""
        return (
            f"{self.reason}. That has been so since {iso(self.since)}: the service gave up after "
            f"{at - self.since:.0f} s (set by DATA_EMULATOR_SINK_OUTAGE_S)"
        )


def one_line(text: str) -> str:
    """Return a reason in one line, without a full stop."""
    return " ".join(text.split()).rstrip(".")


def iso(at: float) -> str:
    """Return a time as ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
