"""Ingest every emulation that has completed into bronze, checked against its manifest.

What it does for its users is in the DAG's own docs below, which the UI shows too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context, task

from include.assets import EMULATIONS_BY_DOMAIN
from include.receipt import Receipt

DOCS = """
### Emulated data, checked and kept

`get_receipts` → for each emulation `ingest`

Each emulation that completes in `all_emulations_dag` starts a run here, with its domain as the partition key. `ingest`
reads exactly the objects or offsets that the emulation's manifest lists, compares records, bytes and SHA-256, and
writes one Parquet table:

    s3://bronze/<domain>/emulation_id=<id>/part-00000.parquet

The bucket is the Variable `bronze_bucket` (`bronze` without it) and has to exist. The store and the broker are those of
the connections `data_emulator_s3` and `data_emulator_kafka`, the service that of `data_emulator_default`.

Wrong or missing data fails `ingest` at once, with the object or partition and what was expected of it; nothing of that
emulation is in bronze then. A store, broker or service that is away is tried again. To ingest an emulation again, clear
its `ingest`: its table is replaced. Events that came while this DAG was paused start no run; trigger one by hand, and
it ingests what was missed.
"""


@dag(
    dag_id="bronze_ingest_dag",
    schedule=PartitionedAssetTimetable(assets=EMULATIONS_BY_DOMAIN),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    tags=["data-emulator", "lakehouse-lab"],
    default_args={
        "owner": "data-platform",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
    },
    doc_md=DOCS,
)
def bronze_ingest_dag() -> None:
    """Wire the tasks; what they need is imported when they run."""

    @task(inlets=[EMULATIONS_BY_DOMAIN])
    def get_receipts() -> list[dict[str, Any]]:
        """Collect the receipts of all emulations that this run is for."""
        from include.bronze.run import bronze_bucket, receipts_of_run

        return receipts_of_run(get_current_context(), bronze_bucket())

    # Each holds up to two row groups and a temporary file.
    @task(max_active_tis_per_dag=4, map_index_template="{{ task.op_kwargs['receipt'].get('id') }}")
    def ingest(receipt: dict[str, Any]) -> dict[str, Any]:
        """Ingest one emulation."""
        from include.bronze.ingest import ingest as ingest_emulation
        from include.bronze.run import bronze_bucket

        return ingest_emulation(Receipt.from_dict(receipt), bronze_bucket())

    ingest.expand(receipt=get_receipts())


bronze_ingest_dag()
