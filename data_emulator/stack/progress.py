"""How far the demo's run is: asked of Airflow and of the service, and shown while it changes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from rich.live import Live
from rich.table import Table

from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.console import console
from data_emulator.wire import EmulationStatus

START_TASK, WAIT_TASK = "emulate.start", "emulate.wait"
_LINE_INTERVAL_S = 5.0


@dataclass
class DomainProgress:
    """Where one domain is: its task in Airflow, and its emulation in the service once there is one.

    `task` is the state of the wait, or of the start before that; `error` is the service's reason for a failure.
    """

    domain: str
    task: str = "not yet mapped"
    emulation_id: str | None = None
    emulation: str = ""
    records: int = 0
    percent: float = 0.0
    error: str | None = None


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
        if task.task_id == WAIT_TASK and task.state is not None:
            domain.task = f"wait {task.state}"
        elif task.task_id == START_TASK and not domain.task.startswith("wait"):
            domain.task = f"start {task.state or 'scheduled'}"
        if task.task_id == START_TASK and task.state == "success" and domain.emulation_id is None:
            domain.emulation_id = airflow.return_value(dag_id, run_id, START_TASK, task.map_index)
    for domain in progress:
        if domain.emulation_id is not None:
            _update_emulation(domain, service)


def _update_emulation(domain: DomainProgress, service: httpx.Client) -> None:
    try:
        response = service.get(f"/emulator/{domain.emulation_id}/status")
    except httpx.TransportError as error:
        domain.error = f"the service gave no answer: {error!r}"
        return
    if response.is_success:
        status = EmulationStatus.model_validate_json(response.content)
        domain.emulation = status.status.global_status
        domain.records = status.progress.records
        domain.percent = status.progress.percent
        domain.error = status.error


class Display:
    """Shows progress: on a terminal as a table that changes in place, elsewhere as lines.

    Elsewhere a domain gets a line when a state of it changes, and at most every 5 s for its records alone.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said: dict[str, tuple[tuple[str, str], float]] = {}

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
            self._live.update(_table(progress), refresh=True)
        else:
            for domain in progress:
                self._show_line(domain)

    def _show_line(self, domain: DomainProgress) -> None:
        states = (domain.task, domain.emulation)
        said, said_at = self._said.get(domain.domain, (None, 0.0))
        now = time.monotonic()
        if states == said and (domain.emulation != "processing" or now < said_at + _LINE_INTERVAL_S):
            return
        self._said[domain.domain] = (states, now)
        emulation = f", emulation {domain.emulation}, {domain.records:,} records" if domain.emulation else ""
        self._say(f"{domain.domain}: task {domain.task}{emulation}")


def _table(progress: Sequence[DomainProgress]) -> Table:
    table = Table()
    for heading, width in (("domain", 14), ("Airflow task", 14), ("emulation", 10)):
        table.add_column(heading, min_width=width, no_wrap=True)
    for heading in ("records so far", "done"):
        table.add_column(heading, justify="right", no_wrap=True)
    for domain in progress:
        figures = (f"{domain.records:,}", f"{domain.percent:.0f}%") if domain.emulation else ("", "")
        table.add_row(domain.domain, domain.task, domain.emulation, *figures)
    return table
