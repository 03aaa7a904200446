"""Emulate every domain of the list, each on its own, and succeed only if all of them completed.

What it does for its users is in the DAG's own docs below, which the UI shows too.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, chain, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from include.assets import EMULATIONS
from include.operators.emulation_wait import RECEIPT_KEY
from include.operators.start_emulator import StartEmulatorOperator
from include.operators.status_emulation import StatusEmulationOperator

log = logging.getLogger(__name__)

#: Limits how many emulations run at a time: it has to count deferred tasks too.
POOL = "data_emulator"
#: The service cancels an emulation for whose status nobody has asked for an hour: a triggerer may be away for as long,
#: and what a deleted run left behind does not run for ever.
ABANDON_AFTER_S = 3600

#: As many as Airflow maps over: the pool limits how many tasks run, and not Airflow's 16 to a DAG.
MAX_DOMAINS = 1024

DOCS = """
### Production-like data for every domain

`start` → `get_domains` → for each domain `emulate.start` → `emulate.wait` → `end`

The domains come from the Airflow Variable `emulation_domains`, a JSON array of names or objects, read on every run:

    ["user-profile", {"emulation_domain": "transaction", "emulator_sync": "kafka", "timeout": 300}]

Without the Variable it is user-profile to minio for 30 s, device-log and transaction to kafka for 60 s each.
A mistake in it fails `get_domains` with a message that names the entry, the field and what is allowed.

At most as many emulations run at a time as the pool `data_emulator` has slots: it must exist, and include deferred
tasks. Each completed domain emits an event of the asset `emulations`, whose partition is the domain, with the receipt.
A manual run can override rate, duration and seed in its form.

A domain that fails leaves the others running; `end` then names it and fails the run. To run one domain again, clear its
`emulate.start` with everything downstream. The service is the one of the connection `data_emulator_default`.
"""


@dag(
    dag_id="all_emulations_dag",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_tasks=MAX_DOMAINS,
    tags=["data-emulator", "lakehouse-lab"],
    default_args={"owner": "data-platform", "retries": 1, "retry_delay": timedelta(seconds=30)},
    params={
        "rate": Param(
            None,
            type=["null", "number", "string"],
            title="Rate",
            description='Records a second for every domain, or "unlimited"; empty: as the list says.',
        ),
        "timeout": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Duration",
            description="Seconds to emulate every domain for; empty: as the list says.",
        ),
        "seed": Param(
            None,
            type=["null", "integer"],
            title="Seed",
            description="The same seed makes the same data; empty: as the list says.",
        ),
    },
    doc_md=DOCS,
)
def all_emulations_dag() -> None:
    """Wire the tasks."""

    @task(retries=5)
    def get_domains() -> list[dict[str, Any]]:
        """Read and check the list of domains."""
        # Here, and not above, since every task parses this file.
        from include.domain_list import VARIABLE, DomainListError, parse_domain_list, with_overrides
        from include.variables import read_variable

        params = get_current_context()["params"]
        overrides = {name: params[name] for name in ("rate", "timeout", "seed")}
        try:
            return with_overrides(parse_domain_list(read_variable(VARIABLE)), **overrides)
        except DomainListError as error:
            raise AirflowFailException(str(error)) from None

    @task_group
    def emulate(domain: dict[str, Any]) -> Any:
        """Emulate one domain: an entry of the list, which has parameters of both operators."""
        # Both are in the pool, with the same weight: Airflow then goes by the map index, so that a wait comes before
        # the starts of further domains, and about as many emulations run as the pool has slots.
        start_emulation = StartEmulatorOperator(
            task_id="start",
            arguments=domain,
            abandon_after=ABANDON_AFTER_S,
            map_index_template="{{ task.arguments.emulation_label }}",
            pool=POOL,
            weight_rule="absolute",
        )
        wait = StatusEmulationOperator(
            task_id="wait",
            prev_task_id="start",
            arguments=domain,
            map_index_template="{{ task.arguments.emulation_label }}",
            outlets=[EMULATIONS],
            pool=POOL,
            weight_rule="absolute",
        )
        chain(start_emulation, wait)
        return wait.output

    @task(trigger_rule="all_done", retries=0)
    def end(domains: list[dict[str, Any]] | None) -> dict[str, Any]:
        """Sum up what became of each domain, and fail unless all completed."""
        from include.run_summary import domain_outcomes, totals

        if domains is None:
            raise AirflowFailException("There is no list of domains: see the log of get_domains")
        ti = get_current_context()["ti"]
        start_task_id, wait_task_id = "emulate.start", "emulate.wait"
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[start_task_id, wait_task_id], run_ids=[ti.run_id])
        receipts = ti.xcom_pull(task_ids=[wait_task_id], key=RECEIPT_KEY)  # by one request for all that there are
        outcomes = domain_outcomes(
            domains, states.get(ti.run_id, {}), receipts, start_task_id=start_task_id, wait_task_id=wait_task_id
        )
        for outcome in outcomes:
            log.info(outcome.text)
        if failed := [outcome.text for outcome in outcomes if not outcome.completed]:
            raise AirflowFailException(f"{len(failed)} of {len(outcomes)} domains: " + "; ".join(failed))
        summary = totals(outcomes)
        log.info("All %(domains)d domains completed: %(records)s records, %(bytes)s bytes", summary)
        return summary

    domains = get_domains()
    emulations = emulate.expand(domain=domains)
    ended = end(domains)  # type: ignore[arg-type]  # at parse time an XComArg stands in for the list
    chain(EmptyOperator(task_id="start"), domains, emulations, ended)


all_emulations_dag()
