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
    :param receipt: what was written, None if it did not complete or the service gives no receipts
    :param text: one line for the log
    """

    label: str
    completed: bool
    receipt: Mapping[str, Any] | None
    text: str


def domain_outcomes(
    domains: Sequence[Mapping[str, Any]],
    states: Mapping[str, Any],
    receipts: Sequence[Mapping[str, Any] | None],
    *,
    start_task_id: str,
    wait_task_id: str,
) -> list[DomainOutcome]:
    """One outcome for each entry of the domain list, in its order.

    :param domains: as ``parse_domain_list`` gives them
    :param states: state by ``TASK_ID_MAPINDEX``, as ``get_task_states`` of a running task gives them for this run
    :param receipts: of the emulations that completed, in any order, as :class:`include.receipt.Receipt` describes them;
        which entry one belongs to, its label says. Airflow's list of what is not there is ``[None]``
    :param start_task_id: the mapped task that starts a domain's emulation
    :param wait_task_id: the mapped task that waits for it
    """
    outcomes = []
    by_label = {receipt["label"]: receipt for receipt in receipts if receipt is not None}
    for index, domain in enumerate(domains):
        label = str(domain["emulation_label"])
        receipt = by_label.get(label)
        start, wait = (states.get(f"{task_id}_{index}") for task_id in (start_task_id, wait_task_id))
        completed = wait == "success"
        what = f"did not complete (start: {start or 'no state'}, wait: {wait or 'no state'})"
        if completed:
            what = "completed" if receipt is None else f"completed, {_written(receipt)}"
        outcomes.append(
            DomainOutcome(
                label, completed, receipt if completed else None, f"{label} to {domain['emulator_sync']}: {what}"
            )
        )
    return outcomes


def totals(outcomes: Sequence[DomainOutcome]) -> dict[str, int]:
    """How many domains there are, and the records and bytes of their receipts."""
    receipts = [outcome.receipt for outcome in outcomes if outcome.receipt is not None]
    return {
        "domains": len(outcomes),
        "records": sum(receipt["records"] or 0 for receipt in receipts),
        "bytes": sum(receipt["bytes"] or 0 for receipt in receipts),
    }


def _written(receipt: Mapping[str, Any]) -> str:
    records, size = receipt["records"], receipt["bytes"]
    return (
        f"{'?' if records is None else f'{records:,}'} records, {'?' if size is None else f'{size:,}'} bytes in "
        + str(receipt["place"])
    )
