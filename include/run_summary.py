"""What became of each domain in a run of the DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DomainOutcome:
    """The end of one domain's chain.

    :param label: the domain's label in the grid
    :param completed: whether its emulation completed
    :param text: one line for the log
    """

    label: str
    completed: bool
    text: str


def domain_outcomes(
    domains: Sequence[Mapping[str, Any]], states: Mapping[str, Any], *, start_task_id: str, wait_task_id: str
) -> list[DomainOutcome]:
    """One outcome for each entry of the domain list, in its order.

    :param domains: as ``parse_domain_list`` gives them
    :param states: state by ``TASK_ID_MAPINDEX``, as ``get_task_states`` of a running task gives them for this run
    :param start_task_id: the mapped task that starts a domain's emulation
    :param wait_task_id: the mapped task that waits for it
    """
    outcomes = []
    for index, domain in enumerate(domains):
        label = str(domain["emulation_label"])
        start, wait = (states.get(f"{task_id}_{index}") for task_id in (start_task_id, wait_task_id))
        completed = wait == "success"
        what = (
            "completed" if completed else f"did not complete (start: {start or 'no state'}, wait: {wait or 'no state'})"
        )
        outcomes.append(DomainOutcome(label, completed, f"{label} to {domain['emulator_sync']}: {what}"))
    return outcomes
