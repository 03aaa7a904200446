"""How far the demo's run is: asked of Airflow and of the service, and shown while it changes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from data_emulator.console import Clock, console
from data_emulator.model import State
from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.wire import EmulationStatus, Waiting

START_TASK, WAIT_TASK = "emulate.start", "emulate.wait"
_LINE_INTERVAL_S = 5.0
_FAILED_TASK = ("failed", "upstream_failed")
_STAGES = {State.QUEUED: "queued", State.PROCESSING: "generating"}


@dataclass
class DomainProgress:
    """Where one domain is: its two tasks in Airflow, and its emulation in the service once there is one.

    `start` and `wait` are Airflow's states of the tasks, `emulation` is the service's of the emulation, `outage` is set
    while the service waits for the store or the broker, and `error` is its reason for a failure.
    """

    domain: str
    start: str | None = None
    wait: str | None = None
    emulation_id: str | None = None
    emulation: State | None = None
    records: int = 0
    percent: float = 0.0
    outage: Waiting | None = None
    error: str | None = None

    @property
    def stage(self) -> str:
        """What is being done for the domain, in a word or two for those who do not know Airflow."""
        if self.start in _FAILED_TASK or self.wait in _FAILED_TASK:
            return "failed"
        if "up_for_retry" in (self.start, self.wait):
            return "trying again"
        if self.outage is not None:
            return "waiting"
        if self.emulation is not None:
            return _STAGES.get(self.emulation, str(self.emulation))
        return "starting" if self.start in ("running", "success") else "not started"

    @property
    def note(self) -> str | None:
        """What is wrong; of an outage, since when, and when it is given up."""
        if self.outage is None:
            return self.error
        since, until = (f"{at.astimezone():%H:%M:%S}" for at in (self.outage.since, self.outage.until))
        return f"{self.outage.reason} (since {since}, given up at {until})"


def update(
    progress: Sequence[DomainProgress], airflow: AirflowApi, service: httpx.Client, dag_id: str, run_id: str
) -> None:
    """Bring `progress`, in the order in which the domains are mapped, up to date.

    Raises StackError when Airflow cannot be asked. What the service does not answer stays as it was.
    """
    for task in airflow.task_instances(dag_id, run_id):
        if task.map_index < 0 or task.task_id not in (START_TASK, WAIT_TASK):
            continue
        domain = progress[task.map_index]
        if task.task_id == WAIT_TASK:
            domain.wait = task.state
            continue
        domain.start = task.state
        if task.state == "success" and domain.emulation_id is None:
            domain.emulation_id = airflow.return_value(dag_id, run_id, START_TASK, task.map_index)
    for domain in progress:
        if domain.emulation_id is not None:
            _update_emulation(domain, service)


def _update_emulation(domain: DomainProgress, service: httpx.Client) -> None:
    try:
        response = service.get(f"/emulator/{domain.emulation_id}/status")
    except httpx.TransportError:
        domain.error = "the service does not answer"
        return
    if response.is_success:
        status = EmulationStatus.model_validate_json(response.content)
        domain.emulation = status.status.global_status
        domain.records = status.progress.records
        domain.percent = status.progress.percent
        domain.outage = status.waiting
        domain.error = status.error


class Display:
    """Shows progress: on a terminal as a table that changes in place, elsewhere as lines.

    Elsewhere a domain gets a line when something else is being done for it, and at most every 5 s for its records.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said: dict[str, tuple[tuple[str, str | None], float]] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Sequence[DomainProgress]) -> None:
        """Show where every domain is."""
        if self._live is not None:
            self._live.update(table(progress, str(self._clock)), refresh=True)
        else:
            for domain in progress:
                self._show_line(domain)

    def _show_line(self, domain: DomainProgress) -> None:
        states = (domain.stage, domain.note)
        said, said_at = self._said.get(domain.domain, (None, 0.0))
        now = time.monotonic()
        if states == said and (domain.emulation != State.PROCESSING or now < said_at + _LINE_INTERVAL_S):
            return
        self._said[domain.domain] = (states, now)
        records = f", {domain.records:,} records" if domain.emulation else ""
        note = f": {domain.note}" if domain.note else ""
        self._clock.say(f"{domain.domain}: {domain.stage}{records}{note}")


def table(progress: Sequence[DomainProgress], clock: str) -> Group:
    """Return the table of a terminal, with what is wrong below it: no wider than 60 columns but for that."""
    grid = Table()
    for heading, width in (("domain", 12), ("state", 12)):
        grid.add_column(heading, min_width=width, no_wrap=True)
    for heading, width in (("records", 9), ("done", 4)):
        grid.add_column(heading, min_width=width, justify="right", no_wrap=True)
    for domain in progress:
        figures = (f"{domain.records:,}", f"{domain.percent:.0f}%") if domain.emulation else ("", "")
        grid.add_row(domain.domain, domain.stage, *figures)
    notes = [
        Text(f"{domain.domain}: {domain.note}", style="yellow" if domain.outage else "red")
        for domain in progress
        if domain.note
    ]
    return Group(Text(clock), grid, *notes)
