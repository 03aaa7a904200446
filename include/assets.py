"""The asset that stands for emulated data, and the event that tells of one completed emulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.receipt import Receipt

#: Gets an event for every emulation that has completed: its partition is the domain, its extra the receipt.
EMULATIONS = Asset(name="emulations", uri="data-emulator://emulations", group="data-emulator")


def emit(context: Context, receipt: Receipt) -> None:
    """Let the running task, if it succeeds, emit the event of a completed emulation.

    The task needs ``outlets=[EMULATIONS]``. It must call this whenever it succeeds: Airflow makes an event of every
    success of a task with outlets, and one without a partition starts no run.

    :param context: of the running task
    :param receipt: of the emulation; one a task
    """
    event = context["outlet_events"][EMULATIONS]
    event.extra = receipt.as_dict()
    event.add_partitions(receipt.domain)
