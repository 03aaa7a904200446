"""Determine which emulations a run of ``bronze_ingest_dag`` loads, and into which bucket."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from ..assets import EMULATIONS_BY_DOMAIN
from ..exceptions import DataEmulatorConfigError, DataEmulatorError, ReceiptError
from ..receipt import Receipt
from ..variables import read_variable
from .ingest import is_ingested

log = logging.getLogger(__name__)

BUCKET_VARIABLE = "bronze_bucket"
DEFAULT_BUCKET = "bronze"

#: How many of the latest events a run triggered by hand looks through. Airflow maps a task over 1,024 at most.
_MISSED_AT_MOST = 1000


def bronze_bucket() -> str:
    """Return the bucket of the bronze tables: the Variable ``bronze_bucket``, or ``bronze`` if that is not set.

    :raises DataEmulatorConfigError: when the Variable is empty
    :raises AirflowUnavailableError: when the Variable cannot be read just now
    """
    bucket = read_variable(BUCKET_VARIABLE)
    if bucket is None:
        return DEFAULT_BUCKET
    if not bucket.strip():
        raise DataEmulatorConfigError(
            f"Variable {BUCKET_VARIABLE!r} is empty: set it to the name of a bucket, or delete it"
        )
    return bucket.strip()


def receipts_of_run(context: Context, bucket: str) -> list[dict[str, Any]]:
    """Return the receipts of the emulations that this run loads, each once.

    They are those of the events that started the run. A run triggered by hand has no events: it takes those that
    started no run, for example while the DAG was paused, and whose emulations are not in bronze.

    :param context: of the running task, which needs ``inlets=[EMULATIONS_BY_DOMAIN]``
    :raises DataEmulatorError: when Airflow does not list the events just now, or as :func:`is_ingested` does
    """
    started_by: list[Any] = list(context["triggering_asset_events"].get(EMULATIONS_BY_DOMAIN, ()))
    key = context["dag_run"].partition_key
    if started_by:
        receipts = _unique([event.extra for event in started_by])
        log.info("%s: %d events of %d emulations triggered this run", key, len(started_by), len(receipts))
        return receipts
    missed = _unique(_missed(context, key))
    receipts = [each for each in missed if _is_missing(each, bucket)]
    log.info("%s: %d events triggered no run, %d are not in bronze", key or "All domains", len(missed), len(receipts))
    return receipts


def _missed(context: Context, key: str | None) -> Iterable[Any]:
    """Return the extras of recent events that triggered no run of this DAG, of one partition or all."""
    dag_id = context["ti"].dag_id
    try:
        events = list(context["inlet_events"][EMULATIONS_BY_DOMAIN].ascending(False).limit(_MISSED_AT_MOST))
    except AirflowRuntimeError as error:
        raise DataEmulatorError(
            f"Airflow does not list the events of asset {EMULATIONS_BY_DOMAIN.name!r}; it cannot while a run that one "
            f"of them started is queued: {error}"
        ) from error
    return [
        event.extra
        for event in events
        if event.partition_key is not None
        and event.partition_key == (key or event.partition_key)
        and not any(run.dag_id == dag_id for run in event.created_dagruns)
    ]


def _unique(extras: Iterable[Any]) -> list[dict[str, Any]]:
    """Return each emulation's receipt once, in order; invalid ones stay, so that loading them reports the error."""
    seen: dict[str, dict[str, Any]] = {}
    for extra in extras:
        receipt = dict(extra or {})
        seen.setdefault(str(receipt.get("id")), receipt)
    return list(seen.values())


def _is_missing(extra: Mapping[str, Any], bucket: str) -> bool:
    try:
        receipt = Receipt.from_dict(extra)
    except ReceiptError as error:
        log.warning("Skipping an event of asset %r: %s", EMULATIONS_BY_DOMAIN.name, error)
        return False
    return not is_ingested(receipt, bucket)
