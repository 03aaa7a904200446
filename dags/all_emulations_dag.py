"""Emulate every domain of the list, each on its own, and succeed only if all of them completed.

What it does for its users is in the DAG's own docs below, which the UI shows too. A DAG of your own gets the same by
``emulation_group``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import chain, dag

from include.emulations import emulation_group, form_params

#: As many as Airflow maps over: the pool limits how many tasks run, and not Airflow's 16 to a DAG.
MAX_DOMAINS = 1024

DOCS = """
### Production-like data for every domain

`start` → `get_domains` → for each domain `emulate.start` → `emulate.wait` → `end`

The domains come from the Airflow Variable `emulation_domains`, a JSON array of names or objects, read on every run:

    ["user-profile", {"emulation_domain": "transaction", "window": "data_interval", "max_records": 50000}]

Without the Variable it is user-profile to minio for 30 s, device-log and transaction to kafka for 60 s each.
A mistake in it fails `get_domains` with a message that names the entry, the field and what is allowed. The fields are
in the project's `docs/airflow.md`; an editor checks a list by its `docs/emulation_domains.schema.json`, and
`python -m include.domain_list FILE` checks a file before Airflow reads it.

An entry with `"window": "data_interval"` makes the day that the run is for. Last month, day by day, in a shell:

    airflow backfill create --dag-id all_emulations_dag --from-date 2026-02-02 --to-date 2026-03-01

At most as many emulations run at a time as the pool `data_emulator` has slots: it must exist, and include deferred
tasks; `check_pool` fails if it is missing. Each completed domain emits an event of the asset `emulations`, whose
partition is the domain, with the receipt. A manual run can override rate, duration and seed in its form, or emulate
only some entries.

A domain that fails leaves the others running; `end` then names it with its reason, and fails the run. To run one domain
again, clear its `emulate.start` with everything downstream. The service is the one of the connection
`data_emulator_default`, unless an entry names another.
"""


@dag(
    dag_id="all_emulations_dag",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_tasks=MAX_DOMAINS,
    tags=["data-emulator", "lakehouse-lab"],
    default_args={"owner": "data-platform", "retries": 1, "retry_delay": timedelta(seconds=30)},
    params=form_params(),
    doc_md=DOCS,
)
def all_emulations_dag() -> None:
    """Wire the tasks."""
    chain(EmptyOperator(task_id="start"), emulation_group(prefix_group_id=False, with_form=True))


all_emulations_dag()
