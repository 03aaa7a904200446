"""The messages between the service and its workers, over a pipe. Orders to a worker travel in lists, in order."""

from __future__ import annotations

from dataclasses import dataclass

from data_emulator.engine.outage import Outage
from data_emulator.engine.plan import Plan
from data_emulator.engine.run import Outcome
from data_emulator.model import Commit, Written


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
class Proceed:
    """To a worker: what it has prepared is stored."""


@dataclass(frozen=True)
class Shutdown:
    """To a worker: leave all emulations where they are, so that they can be gone on with, and end."""


@dataclass(frozen=True)
class Opened:
    """From a worker: from now on it will make commits of this kind of sink, any of which may be left open."""

    sink: str


@dataclass(frozen=True)
class Prepared:
    """From a worker: this is about to be committed. It waits for `Proceed`."""

    commit: Commit


@dataclass(frozen=True)
class Report:
    """The progress of an emulation, and at its end how it ended.

    :param elapsed_s: how long it has been emulating; while it runs, until its sink last took what it was given.
    :param records: accepted so far, acknowledged or not; during an outage those that are acknowledged.
    :param bytes: the same in bytes.
    :param written: objects acknowledged since the last report; partitions as they are, if they have changed since.
    :param outcome: `None` while it runs.
    :param outage: what it waits for, if it does.
    :param owed_records: the most records that it has ever accepted: if some are lost, they are made again.
    :param may_have_strays: at its end, whether more may lie in the sink than was acknowledged.
    :param is_late: it has ended before; only now is it known what is final of its last records.
    """

    emulation_id: str
    elapsed_s: float
    records: int
    bytes: int
    written: Written
    outcome: Outcome | None
    outage: Outage | None = None
    owed_records: int = 0
    may_have_strays: bool = False
    is_late: bool = False


@dataclass(frozen=True)
class Reports:
    """From a worker, twice a second: the progress of its emulations.

    :param settled: what became of the commit that was prepared last is known, and in these reports.
    """

    reports: list[Report]
    settled: bool
