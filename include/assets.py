"""The two assets for emulated data, and the events that announce a completed emulation.

There are two because Airflow has two kinds of asset schedules: an event with a partition silently triggers no DAG with
a plain schedule, and one without a partition triggers no partition-aware DAG.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow.sdk import Context

    from .receipt import Receipt

#: Gets an event for every emulation that has completed, with the receipt as its extra: for ``schedule=[EMULATIONS]``.
EMULATIONS = Asset(name="emulations", uri="data-emulator://emulations", group="data-emulator")

#: Gets the same event, partitioned by domain: for ``schedule=PartitionedAssetTimetable(assets=EMULATIONS_BY_DOMAIN)``.
EMULATIONS_BY_DOMAIN = Asset(
    name="emulations_by_domain", uri="data-emulator://emulations/by-domain", group="data-emulator"
)


def emit(context: Context, receipt: Receipt, outlets: Collection[Any]) -> None:
    """Emit the events of a completed emulation when the running task succeeds.

    Without a receipt this is not called, and Airflow still creates events when the task succeeds: without an extra, and
    for :data:`EMULATIONS_BY_DOMAIN` without a partition, so that it triggers no run.

    :param context: of the running task
    :param receipt: of the emulation; one a task
    :param outlets: the task's, of which the two assets get an event
    """
    for asset in (EMULATIONS, EMULATIONS_BY_DOMAIN):
        if asset in outlets:
            context["outlet_events"][asset].extra = receipt.as_dict()
    if EMULATIONS_BY_DOMAIN in outlets:
        context["outlet_events"][EMULATIONS_BY_DOMAIN].add_partitions(receipt.domain)
