"""A task group that emulates every domain in a list: the core of ``all_emulations_dag``, for use in any DAG.

::

    with DAG("nightly", schedule="@daily"):
        prepare() >> emulation_group("emulations", domains="nightly_domains") >> report()
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, TaskGroup, chain, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from .assets import EMULATIONS, EMULATIONS_BY_DOMAIN
from .defaults import DEFAULT_CONN_NAME
from .operators.emulation import FAILURE_KEY
from .operators.emulation_wait import RECEIPT_KEY
from .operators.pool_check import PoolCheckOperator
from .operators.start_emulator import StartEmulatorOperator
from .operators.status_emulation import StatusEmulationOperator

log = logging.getLogger(__name__)

#: Limits how many emulations run at a time, so it must count deferred tasks too.
DEFAULT_POOL = "data_emulator"
#: Airflow's built-in pool.
AIRFLOWS_POOL = "default_pool"
#: The Airflow Variable that holds the list.
DEFAULT_VARIABLE = "emulation_domains"
#: The service cancels an emulation whose status nobody has requested for an hour: long enough for a triggerer to be
#: down, short enough that a deleted run does not leave one running for ever.
ABANDON_AFTER_S = 3600

#: Waits take precedence over all starts, of any run, so that no emulation is abandoned because its wait has no slot.
_WAIT_WEIGHT, _START_WEIGHT, _CHECK_WEIGHT = 3, 2, 1
#: Tasks that call only Airflow are retried for as long as an ordinary redeployment takes.
_RETRIES, _RETRY_DELAY = 5, timedelta(seconds=30)

#: The largest integer that browsers, where the form is shown, represent exactly.
_MAX_SAFE_INTEGER = 2**53 - 1


def emulation_group(
    group_id: str = "emulations",
    domains: str | Sequence[str | Mapping[str, Any]] = DEFAULT_VARIABLE,
    *,
    data_emulator_conn_id: str = DEFAULT_CONN_NAME,
    pool: str = DEFAULT_POOL,
    abandon_after: int = ABANDON_AFTER_S,
    min_completed: float = 1.0,
    with_form: bool = False,
    prefix_group_id: bool = True,
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """Add tasks that read a list of domains, emulate each one independently, and summarize; call it inside a DAG.

    ``get_domains`` -> for each domain ``emulate.start`` -> ``emulate.wait`` -> ``end``. If a domain fails, the others
    keep running, and ``end`` names it with its reason. ``check_pool`` fails if no task gets a slot in the pool.

    :param group_id: of the group; with ``prefix_group_id`` its tasks' ids begin with it, so that a DAG can have several
    :param domains: the list, or the name of the Airflow Variable that holds it, which is read on every run
    :param data_emulator_conn_id: the Airflow connection of entries that name none
    :param pool: of starts and waits; it should count deferred tasks
    :param abandon_after: seconds after which the service cancels an emulation whose status nobody has requested
    :param min_completed: the share of domains that must complete, such as 0.9 for 9 out of 10
    :param with_form: whether the DAG has :func:`form_params`, whose values in a run override the list
    :param default_args: of the group's tasks, beside those of the DAG
    """
    if not 0 < min_completed <= 1:
        raise ValueError(
            f"min_completed is a share of the domains and must be above 0 and at most 1, got {min_completed!r}"
        )
    entries = domains if isinstance(domains, str) else list(domains)

    defaults: Any = default_args or {}
    with TaskGroup(group_id, prefix_group_id=prefix_group_id, default_args=defaults) as group:

        @task(retries=_RETRIES, retry_delay=_RETRY_DELAY)
        def get_domains() -> list[dict[str, Any]]:
            """Read and validate the list of domains."""
            return domains_of_run(entries, with_form=with_form)

        @task_group
        def emulate(domain: dict[str, Any]) -> Any:
            """Emulate one domain: an entry of the list, with parameters for both operators."""
            common: dict[str, Any] = {
                "arguments": domain,
                "data_emulator_conn_id": data_emulator_conn_id,
                "map_index_template": "{{ task.arguments.emulation_label }}",
                "pool": pool,
                "weight_rule": "absolute",
            }
            start = StartEmulatorOperator(
                task_id="start", abandon_after=abandon_after, priority_weight=_START_WEIGHT, **common
            )
            wait = StatusEmulationOperator(
                task_id="wait",
                prev_task_id="start",
                outlets=[EMULATIONS, EMULATIONS_BY_DOMAIN],
                priority_weight=_WAIT_WEIGHT,
                deferrable=True,
                **common,
            )
            chain(start, wait)
            return wait.output

        @task(trigger_rule="all_done", retries=_RETRIES, retry_delay=_RETRY_DELAY)
        def end(domains: list[dict[str, Any]] | None) -> dict[str, Any]:
            """Summarize the outcome of each domain, and fail unless enough completed."""
            return sum_up(domains, min_completed)

        listed = get_domains()
        emulations = emulate.expand(domain=listed)
        ended = end(listed)  # type: ignore[arg-type]  # at parse time an XComArg stands in for the list
        chain(listed, emulations, ended)
        if pool != AIRFLOWS_POOL:
            check = PoolCheckOperator(
                task_id="check_pool",
                watched_pool=pool,
                start_task_id=group.child_id("emulate.start"),  # type: ignore[no-untyped-call]
                wait_task_id=group.child_id("emulate.wait"),  # type: ignore[no-untyped-call]
                priority_weight=_CHECK_WEIGHT,
                weight_rule="absolute",
            )
            chain(listed, check, ended)
    return group


def form_params() -> dict[str, Param]:
    """Return the DAG params for :func:`emulation_group` with ``with_form``: the form of a manual run."""
    return {
        "rate": Param(
            None,
            type=["null", "number", "string"],
            exclusiveMinimum=0,
            maximum=1_000_000_000,
            pattern=r"^(unlimited|[0-9]+(\.[0-9]+)?)$",
            title="Rate",
            description='Records per second for every domain, or "unlimited". Empty: as in the list.',
        ),
        "timeout": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=_MAX_SAFE_INTEGER,
            title="Duration",
            description="Seconds to emulate each domain for. Empty: as in the list.",
        ),
        "seed": Param(
            None,
            type=["null", "integer"],
            minimum=-_MAX_SAFE_INTEGER,
            maximum=_MAX_SAFE_INTEGER,
            title="Seed",
            description="The same seed gives the same data; at most 2^53 - 1, because browsers round larger numbers. "
            "Empty: as in the list.",
        ),
        "only": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "minLength": 1},
            title="Only",
            description="Labels of the entries to emulate, one per line. An entry's label is its domain unless "
            "the list sets one. Empty: all entries.",
        ),
    }


# What follows runs in tasks, and imports what it needs there: every task parses the DAG file.


def domains_of_run(domains: str | list[Any], *, with_form: bool) -> list[dict[str, Any]]:
    """Read and validate the list, with the overrides of the run's form applied."""
    from airflow.sdk.configuration import conf

    from .domain_list import DomainListError, check_entries, parse_domain_list, with_overrides
    from .variables import read_variable
    from .window import Window

    context = get_current_context()
    max_entries = conf.getint("core", "max_map_length", fallback=1024)
    try:
        if isinstance(domains, str):
            entries = parse_domain_list(read_variable(domains), variable=domains, max_entries=max_entries)
        else:
            entries = check_entries(domains, max_entries=max_entries)
        if with_form:
            entries = with_overrides(entries, **{name: context["params"].get(name) for name in form_params()})
    except DomainListError as error:
        raise AirflowFailException(str(error)) from None
    if any(entry["window"] for entry in entries):
        window = Window.of_run(context)  # so that a run without an interval fails here once, and not in every start
        log.info("This run generates data for %s to %s", window.start.isoformat(), window.end.isoformat())
    return entries


def sum_up(domains: list[dict[str, Any]] | None, min_completed: float) -> dict[str, Any]:
    """Log the outcome of each domain and return the totals; fail unless enough completed."""
    from .run_summary import domain_outcomes, totals, verdict

    if domains is None:
        raise AirflowFailException("There is no list of domains; see the log of get_domains")
    ti = get_current_context()["ti"]
    start_task_id, wait_task_id = (f"{ti.task_id.removesuffix('end')}emulate.{name}" for name in ("start", "wait"))
    tasks = [start_task_id, wait_task_id]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=tasks, run_ids=[ti.run_id]).get(ti.run_id, {})
    # Each by one request for all that there are.
    receipts = ti.xcom_pull(task_ids=[wait_task_id], key=RECEIPT_KEY)
    all_succeeded = all(state == "success" for state in states.values())
    failures = [] if all_succeeded else ti.xcom_pull(task_ids=tasks, key=FAILURE_KEY)
    outcomes = domain_outcomes(
        domains, states, receipts, failures, start_task_id=start_task_id, wait_task_id=wait_task_id
    )
    for outcome in outcomes:
        log.info(outcome.text)
    enough, text = verdict(outcomes, min_completed)
    if not enough:
        raise AirflowFailException(text)
    log.info(text)
    return totals(outcomes)
