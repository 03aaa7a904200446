"""The two assets that stand for emulated data, and the events that tell of one completed emulation.

There are two because Airflow has two kinds of schedules by assets: an event with a partition starts no DAG with a plain
schedule, without a word, and one without a partition starts none that is partition-aware.
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
    """Let the running task, if it succeeds, emit the events of a completed emulation.

    Where it is not called, since there is no receipt, Airflow makes events all the same when the task succeeds: without
    an extra, and that of :data:`EMULATIONS_BY_DOMAIN` without a partition, so that it starts no run.

    :param context: of the running task
    :param receipt: of the emulation; one a task
    :param outlets: the task's, of which the two assets get an event
    """
    for asset in (EMULATIONS, EMULATIONS_BY_DOMAIN):
        if asset in outlets:
            context["outlet_events"][asset].extra = receipt.as_dict()
    if EMULATIONS_BY_DOMAIN in outlets:
        context["outlet_events"][EMULATIONS_BY_DOMAIN].add_partitions(receipt.domain)
