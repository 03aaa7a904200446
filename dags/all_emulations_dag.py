"""Emulate every domain in the list, each independently, and succeed only if all of them completed.

The DAG's docs below, which the UI shows too, describe it for users. To get the same tasks in your own DAG, use
``emulation_group``.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import CronTriggerTimetable, chain, dag

from include.emulations import emulation_group, form_params

#: As many as Airflow maps over: the pool limits how many tasks run, not Airflow's default of 16 per DAG.
MAX_DOMAINS = 1024

DOCS = """
### Production-like data for every domain

`start` → `get_domains` → for each domain `emulate.start` → `emulate.wait` → `end`

The domains come from the Airflow Variable `emulation_domains`, a JSON array of names or objects, read on every run:

    ["user-profile", {"emulation_domain": "transaction", "window": "data_interval", "max_records": 50000}]

If the Variable is not set, user-profile goes to minio for 30 s, and device-log and transaction to kafka for 60 s each.
A mistake in the list fails `get_domains` with a message that names the entry, the field and what is allowed. The fields
are described in the project's `docs/airflow.md`; editors can use `docs/emulation_domains.schema.json`, and
`python -m include.domain_list FILE` checks a file before Airflow reads it.

An entry with `"window": "data_interval"` generates the day that the run is for. To backfill a month:

    airflow backfill create --dag-id all_emulations_dag --from-date 2026-02-02 --to-date 2026-03-01

The pool `data_emulator` limits how many emulations run at a time. It must exist and include deferred tasks;
`check_pool` fails if it is missing. Each completed emulation emits events of the assets `emulations` and
`emulations_by_domain` with its receipt. In the form of a manual run you can override rate, duration and seed, or select
entries.

If a domain fails, the others keep running; `end` then names it with the reason and fails the run. To run one domain
again, clear its `emulate.start` together with the downstream tasks. The connection `data_emulator_default` names the
service, unless an entry names another connection.
"""


@dag(
    dag_id="all_emulations_dag",
    # Without a start date its first scheduled run is at the next midnight: unpaused to trigger a run, it does not start
    # another one for the midnight before. Only a midnight that has just been is made up for; the scheduler may be late.
    schedule=CronTriggerTimetable("@daily", timezone="UTC", run_immediately=timedelta(minutes=5)),
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
