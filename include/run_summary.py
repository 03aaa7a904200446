"""Summarize the outcome of each domain in a run of the DAG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class DomainOutcome:
    """The outcome of one domain.

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
    failures: Sequence[Mapping[str, Any] | None],
    *,
    start_task_id: str,
    wait_task_id: str,
) -> list[DomainOutcome]:
    """Return one outcome for each entry of the domain list, in order.

    :param domains: as ``parse_domain_list`` gives them
    :param states: state by ``TASK_ID_MAPINDEX``, as ``get_task_states`` of a running task gives them for this run
    :param receipts: of the emulations that completed, in any order, as :class:`include.receipt.Receipt` describes them;
        which entry one belongs to, its label says. Airflow's list of what is not there is ``[None]``
    :param failures: why tasks have failed: ``label`` and ``reason``, in any order
    :param start_task_id: the mapped task that starts a domain's emulation
    :param wait_task_id: the mapped task that waits for it
    """
    outcomes = []
    receipt_of = {receipt["label"]: receipt for receipt in receipts if receipt is not None}
    reason_of = {failure["label"]: failure["reason"] for failure in failures if failure is not None}
    for index, domain in enumerate(domains):
        label = str(domain["emulation_label"])
        start, wait = (states.get(f"{task_id}_{index}") for task_id in (start_task_id, wait_task_id))
        completed = wait == "success"
        receipt = receipt_of.get(label) if completed else None
        if receipt is not None:
            what = f"completed, {_written(receipt)}"
        elif completed:
            what = "completed"
        elif reason := reason_of.get(label):
            what = f"did not complete: {reason}"
        else:
            what = f"did not complete (start: {start or 'not run'}, wait: {wait or 'not run'})"
        outcomes.append(DomainOutcome(label, completed, receipt, f"{label} to {domain['emulator_sync']}: {what}"))
    return outcomes


def verdict(outcomes: Sequence[DomainOutcome], min_completed: float) -> tuple[bool, str]:
    """Return whether enough domains completed, and a sentence about it.

    :param min_completed: the share of domains that must complete, above 0 and at most 1
    """
    failed = [outcome.text for outcome in outcomes if not outcome.completed]
    completed, all_ = len(outcomes) - len(failed), len(outcomes)
    summary = totals(outcomes)
    written = f"{summary['records']:,} records, {_size(summary['bytes'])}"
    if not failed:
        return True, f"All {all_} domains completed: {written}"
    needed = math.ceil(min_completed * all_ - 1e-9)  # 0.7 of 10 is 7.000000000000001 in floating point
    text = f"{completed} of {all_} domains completed, {needed} {'is' if needed == 1 else 'are'}"
    if completed >= needed:
        return True, f"{text} enough: {written}. Not completed: {'; '.join(failed)}"
    return False, f"{text} needed. Not completed: {'; '.join(failed)}"


def totals(outcomes: Sequence[DomainOutcome]) -> dict[str, int]:
    """Return the number of domains, how many completed, and the records and bytes of their receipts."""
    receipts = [outcome.receipt for outcome in outcomes if outcome.receipt is not None]
    return {
        "domains": len(outcomes),
        "completed": sum(outcome.completed for outcome in outcomes),
        "records": sum(receipt["records"] or 0 for receipt in receipts),
        "bytes": sum(receipt["bytes"] or 0 for receipt in receipts),
    }


def _written(receipt: Mapping[str, Any]) -> str:
    records, size = receipt["records"], receipt["bytes"]
    return (
        f"{'?' if records is None else f'{records:,}'} records, {'? bytes' if size is None else _size(size)} in "
        + str(receipt["place"])
    )


def _size(count: int) -> str:
    """Format a number of bytes for people: three digits and a decimal unit."""
    power = min(max(len(str(count)) - 1, 0) // 3, len(_UNITS) - 1)
    if power and round(count / 1000**power, 1) >= 1000 and power < len(_UNITS) - 1:
        power += 1
    return f"{count:,} {_UNITS[0]}" if power == 0 else f"{count / 1000**power:,.1f} {_UNITS[power]}"
