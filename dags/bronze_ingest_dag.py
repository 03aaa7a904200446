"""Load each completed emulation into a bronze table, checked against its manifest.

The DAG's docs below, which the UI shows too, describe it for users.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context, task

from include.assets import EMULATIONS_BY_DOMAIN
from include.receipt import Receipt

DOCS = """
### Completed emulations as bronze tables

`get_receipts` → for each emulation `ingest`

Each emulation that completes in `all_emulations_dag` triggers a run of this DAG, with its domain as the partition key.
`ingest` reads exactly the objects or offsets that the emulation's manifest lists, checks records, bytes and SHA-256,
and writes one Parquet table:

    s3://bronze/<domain>/emulation_id=<id>/part-00000.parquet

The Variable `bronze_bucket` names the bucket (default `bronze`), which must exist. The connections `data_emulator_s3`,
`data_emulator_kafka` and `data_emulator_default` name the S3 store, the Kafka broker and the service.

Wrong or missing data fails `ingest` at once, naming the object or partition and what was expected; nothing of that
emulation is in bronze then. If the store, broker or service is unavailable, the task is retried. To load an emulation
again, clear its `ingest`: the table is replaced. Emulations that complete while this DAG is paused trigger no run;
trigger one manually, and it loads what was missed.
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
    """Wire the tasks; they import what they need when they run."""

    @task(inlets=[EMULATIONS_BY_DOMAIN])
    def get_receipts() -> list[dict[str, Any]]:
        """Collect the receipts of all emulations in this run."""
        from include.bronze.run import bronze_bucket, receipts_of_run

        return receipts_of_run(get_current_context(), bronze_bucket())

    # Each uses memory for up to two row groups, and a temporary file.
    @task(max_active_tis_per_dag=4, map_index_template="{{ task.op_kwargs['receipt'].get('id') }}")
    def ingest(receipt: dict[str, Any]) -> dict[str, Any]:
        """Load one emulation into bronze."""
        from include.bronze.ingest import ingest as ingest_emulation
        from include.bronze.run import bronze_bucket

        return ingest_emulation(Receipt.from_dict(receipt), bronze_bucket())

    ingest.expand(receipt=get_receipts())


bronze_ingest_dag()
