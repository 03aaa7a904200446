"""Start an emulation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.types import RuntimeTaskInstanceProtocol

from include.connection import DEFAULT_CONN_NAME
from include.hooks.data_emulator import DataEmulatorHook
from include.wire.request import EmulationRequest

_MAX_KEY_CHARS = 200


class StartEmulatorOperator(BaseOperator):
    """Ask the Data Emulator Service for an emulation; returns its id, which is in XCom then.

    All parameters are templated. A retry of the task finds the emulation that an earlier try started; clearing the task
    starts a new one (see :func:`idempotency_key`).

    :param emulator_sync: the sink: ``minio`` (any S3 store) or ``kafka``
    :param emulation_domain: what to emulate, like ``user-profile``, ``device-log`` or ``transaction``
    :param format_type: ``json`` or ``csv``; this project's service also has ``parquet`` and ``avro``
    :param sync_type: ``grouped`` for one object at the end, ``chunked`` for objects of about ``max_chunk_size`` bytes,
        anything else for one object a record
    :param max_chunk_size: bytes
    :param timeout: how long to emulate, in seconds: a duration, not a deadline for the request
    :param rate: records a second, or ``"unlimited"``; None leaves it to the service
    :param max_records: stop after that many records; None for no such limit
    :param seed: the same seed makes the same data; None leaves it to the service
    :param compression: of objects in S3, one that the format has, like ``gzip``; None for the format's usual one
    :param start_time: with ``end_time``: spread the records over that time in the past, a backfill, as with
        ``"{{ data_interval_start }}"`` and ``"{{ data_interval_end }}"``; a `datetime` or ISO 8601, with a zone. The
        service has to know how many records there will be: from ``max_records``, or from ``rate`` and ``timeout``
    :param end_time: where the backfill ends, itself not included
    :param emulation_label: what the log, and a ``map_index_template`` that uses it, call the emulation; the domain by
        default
    :param data_emulator_conn_id: the Airflow connection
    :raises DataEmulatorConfigError: when a parameter is of the wrong type (no Airflow retries)
    :raises DataEmulatorRequestError: when the service refuses the request (no Airflow retries)
    :raises DataEmulatorUnavailableError: when the service cannot be reached or cannot answer just now
    """

    template_fields: Sequence[str] = (
        "emulator_sync",
        "emulation_domain",
        "format_type",
        "sync_type",
        "max_chunk_size",
        "timeout",
        "rate",
        "max_records",
        "seed",
        "compression",
        "start_time",
        "end_time",
        "emulation_label",
        "data_emulator_conn_id",
    )

    def __init__(
        self,
        *,
        emulator_sync: str,
        emulation_domain: str,
        format_type: str,
        sync_type: str,
        max_chunk_size: int | str,
        timeout: int | str,
        rate: float | str | None = None,
        max_records: int | str | None = None,
        seed: int | str | None = None,
        compression: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        emulation_label: str | None = None,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emulator_sync = emulator_sync
        self.emulation_domain = emulation_domain
        self.format_type = format_type
        self.sync_type = sync_type
        self.max_chunk_size = max_chunk_size
        self.timeout = timeout
        self.rate = rate
        self.max_records = max_records
        self.seed = seed
        self.compression = compression
        self.start_time = start_time
        self.end_time = end_time
        self.emulation_label = emulation_label
        self.data_emulator_conn_id = data_emulator_conn_id

    def execute(self, context: Context) -> str:
        """Start the emulation and return its id."""
        request = EmulationRequest.from_arguments(vars(self))
        label = self.emulation_label or request.emulation_domain
        self.log.info("Starting emulation %s: %s", label, request.body())
        hook = DataEmulatorHook(self.data_emulator_conn_id)
        emulation_id = hook.start_emulation(request, idempotency_key(context["ti"]))
        self.log.info("Emulation %s has id %s and runs for %d s", label, emulation_id, request.timeout)
        return emulation_id


def idempotency_key(ti: RuntimeTaskInstanceProtocol) -> str:
    """The key that is the same for all tries that mean one emulation, and another for every other emulation.

    ``max_tries`` stays the same over retries and is raised when a user clears the task: so a retry attaches to the
    emulation of the try before, and a clear starts afresh.

    :return: readable if it fits into an HTTP header as it is, else its SHA-256
    """
    key = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{ti.max_tries}"
    if key.isascii() and key.isprintable() and len(key) <= _MAX_KEY_CHARS:
        return key
    return hashlib.sha256(key.encode()).hexdigest()
