"""Start an emulation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.exceptions import DataEmulatorConfigError, DataEmulatorError
from include.operators import parameters
from include.operators.emulation import EmulationOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.hooks.data_emulator import DataEmulatorHook
    from include.idempotency import TaskMemory
    from include.window import Window
    from include.wire.request import EmulationRequest

_REQUIRED = ("emulator_sync", "emulation_domain", "format_type", "sync_type", "max_chunk_size", "timeout")
_MAX_RESTARTS = 20
_NOBODY = "00000000-0000-0000-0000-000000000000"


class StartEmulatorOperator(EmulationOperator):
    """Ask the Data Emulator Service for an emulation; returns its id, which is in XCom then.

    All parameters but ``cancel_on_kill`` are templated; the first six must be given, by themselves or in
    ``arguments``. A retry of the task finds the emulation that an earlier try started; clearing the task starts a new
    one, and cancels the old one if it still runs (:class:`include.idempotency.TaskMemory`). A task that is killed
    while it asks cancels what it may have started.

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
    :param window: ``"data_interval"`` for a backfill of the run's own data interval, or, where a cron schedule's run
        has an empty one, of the last whole period of the schedule (:mod:`include.window`). The same interval has the
        same data, and is made once: a task that is run again, or another run of the interval, finds its emulation
    :param start_time: with ``end_time``: spread the records over that time in the past, a backfill, as with
        ``"{{ data_interval_start }}"`` and ``"{{ data_interval_end }}"``; a `datetime` or ISO 8601, with a zone. The
        service has to know how many records there will be: from ``max_records``, or from ``rate`` and ``timeout``
    :param end_time: where the backfill ends, itself not included
    :param abandon_after: let the service cancel the emulation when nobody has asked for its status for that many
        seconds; None for never. For what a killed worker or a deleted run may leave behind, with nobody to cancel it
    :param cancel_on_kill: whether an emulation that this task started is cancelled when the task is killed meanwhile,
        or cleared later
    :param emulation_label: what the log and errors call the emulation; the domain by default
    :param data_emulator_conn_id: the Airflow connection
    :raises DataEmulatorConfigError: when a parameter is of the wrong type (no Airflow retries)
    :raises DataEmulatorRequestError: when the service refuses the request (no Airflow retries)
    :raises DataEmulatorUnavailableError: when the service cannot be reached or cannot answer just now
    """

    template_fields: Sequence[str] = (*parameters.START, *parameters.COMMON)

    def __init__(
        self,
        *,
        emulator_sync: str | None = None,
        emulation_domain: str | None = None,
        format_type: str | None = None,
        sync_type: str | None = None,
        max_chunk_size: int | str | None = None,
        timeout: int | str | None = None,
        rate: float | str | None = None,
        max_records: int | str | None = None,
        seed: int | str | None = None,
        compression: str | None = None,
        window: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        abandon_after: int | str | None = None,
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
        self.window = window
        self.start_time = start_time
        self.end_time = end_time
        self.abandon_after = abandon_after
        self._asked: tuple[EmulationRequest, str] | None = None
        if self.arguments is None and (missing := [name for name in _REQUIRED if getattr(self, name) is None]):
            raise ValueError(f"Task {self.task_id}: {', '.join(missing)} must be given, or arguments that have them")

    @property
    def label(self) -> str | None:
        """The label, or else the domain."""
        return self.emulation_label or self.emulation_domain

    def _execute(self, context: Context) -> Any:
        return self.start(context)

    def on_kill(self) -> None:
        """Cancel what has been asked for, whether or not the answer came."""
        if (asked := self._asked) is not None and self.cancel_on_kill:
            self.run_in_thread(lambda: self._cancel_asked(*asked))

    def _cancel_asked(self, request: EmulationRequest, key: str) -> None:
        hook = self.hook()
        if not _can_cancel(hook):
            # Nor does such a service know the key: to ask again for the id would start another emulation.
            self.log.warning("The service cannot cancel: what this task may have started runs on")
            return
        try:
            started = hook.find_or_start_emulation(request, key, attempts=1)
        except DataEmulatorError as error:
            self.log.warning("What this task may have started was not cancelled and runs on: %s", error)
        else:
            self.cancel(started.emulation_id, attempts=1)

    def start(self, context: Context) -> str:
        """Start the emulation, or find the one that an earlier try started, and return its id."""
        from include.idempotency import TaskMemory
        from include.wire.request import EmulationRequest

        window = self._window(context)
        request = EmulationRequest.from_arguments(window.arguments(vars(self), self.label) if window else vars(self))
        self.log.info("Starting emulation %s: %s", self.label, request.body())
        hook, memory = self.hook(), TaskMemory(context)
        key = window.idempotency_key(context, self.label, request.body()) if window else memory.idempotency_key()
        emulation_id = self._start(hook, request, key)
        self.log.info("Emulation %s runs for %d s", self.name_of(emulation_id), request.timeout)
        self._emulation_id = emulation_id
        if url := hook.settings.emulation_url(emulation_id):
            self.log.info("It is to be seen at %s", url)
        self._replace(context, memory, emulation_id)
        return emulation_id

    def _window(self, context: Context) -> Window | None:
        if self.window is None:
            return None
        from include.window import DATA_INTERVAL, Window

        if self.window != DATA_INTERVAL:
            raise DataEmulatorConfigError(f"window must be {DATA_INTERVAL!r} or None, got {self.window!r}")
        return Window.of_run(context)

    def _start(self, hook: DataEmulatorHook, request: EmulationRequest, key: str) -> str:
        """Start it under the first key whose emulation was not in vain: one may have been cancelled, by a try that was
        killed, or have failed.

        So each key stands for one emulation, and a retry after a kill still starts one that runs.
        """
        from include.wire.status import EmulationState

        for restart in range(_MAX_RESTARTS):
            self._asked = request, f"{key}/{restart}" if restart else key
            started = hook.find_or_start_emulation(*self._asked)
            state = hook.get_status(started.emulation_id).state if started.replayed else None
            if state not in (EmulationState.CANCELLED, EmulationState.FAILED):
                break
            self.log.info("Emulation %s has %s; starting another", started.emulation_id, state)
        if state is EmulationState.COMPLETED:
            self.log.info("Emulation %s has made this already: nothing is made twice", started.emulation_id)
        return started.emulation_id

    def _replace(self, context: Context, memory: TaskMemory, emulation_id: str) -> None:
        """Remember the emulation, and cancel the one that this task had started before it was cleared."""
        previous = memory.emulation_id
        memory.remember(emulation_id)
        if previous and previous != emulation_id and self.cancel_on_kill:
            # First the new id, so that a task that waits for the old one, and hears of its end, finds the new one.
            context["ti"].xcom_push(key="return_value", value=emulation_id)
            self.log.info("This task had started emulation %s before it was cleared", previous)
            self.cancel(previous)


def _can_cancel(hook: DataEmulatorHook) -> bool:
    try:
        hook.cancel(_NOBODY, attempts=1)
    except DataEmulatorError as error:
        return getattr(error, "http_status", None) == 404
    return False
