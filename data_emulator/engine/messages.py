"""What the service and its workers tell each other, over a pipe."""

from __future__ import annotations

from dataclasses import dataclass

from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome
from data_emulator.sinks.base import Written


@dataclass(frozen=True)
class Start:
    """To a worker: run this."""

    plan: Plan


@dataclass(frozen=True)
class Stop:
    """To a worker: end this emulation, and report this outcome."""

    emulation_id: str
    outcome: Outcome


@dataclass(frozen=True)
class Shutdown:
    """To a worker: end all emulations with this outcome, then yourself."""

    outcome: Outcome


@dataclass(frozen=True)
class Report:
    """From a worker: how far an emulation is, and at its end how it ended.

    :param started_at: when it started, in seconds since the Unix epoch.
    :param records: accepted by the sink so far, acknowledged or not.
    :param bytes: the same in bytes.
    :param written: objects acknowledged since the last report, partitions as they are.
    :param outcome: `None` while it runs.
    """

    emulation_id: str
    started_at: float
    records: int
    bytes: int
    written: Written
    outcome: Outcome | None
