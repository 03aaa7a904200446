"""DAGs that each kind of schedule by the assets of emulated data starts; their only task says what started the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, PartitionedAssetTimetable, dag, get_current_context, task

from include.assets import EMULATIONS, EMULATIONS_BY_DOMAIN
from include.receipt import Receipt


@task
def receipts(asset: Asset) -> list[str]:
    """The emulations whose events started the run."""
    events = get_current_context()["triggering_asset_events"].get(asset, ())
    return [Receipt.from_dict(event.extra).id for event in events]


def by_asset(dag_id: str, schedule: Any, asset: Asset) -> None:
    # Paused, or each emulation of every other test would start all of them.
    @dag(dag_id=dag_id, schedule=schedule, start_date=datetime(2025, 1, 1, tzinfo=UTC), is_paused_upon_creation=True)
    def started_by() -> None:
        receipts(asset)

    started_by()


by_asset("plain", [EMULATIONS], EMULATIONS)
by_asset("plain_or", EMULATIONS | Asset("another"), EMULATIONS)
by_asset("partitioned", PartitionedAssetTimetable(assets=EMULATIONS_BY_DOMAIN), EMULATIONS_BY_DOMAIN)
