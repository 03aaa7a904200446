"""Start an emulation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..exceptions import DataEmulatorConfigError, DataEmulatorError
from . import parameters
from .emulation import EmulationOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ..hooks.data_emulator import DataEmulatorHook
    from ..idempotency import TaskMemory
    from ..window import Window
    from ..wire.request import EmulationRequest
    from ..wire.status import EmulationState

_REQUIRED = ("emulator_sync", "emulation_domain", "format_type", "sync_type", "max_chunk_size", "timeout")
_MAX_RESTARTS = 20
_NOBODY = "00000000-0000-0000-0000-000000000000"


class StartEmulatorOperator(EmulationOperator):
    """Start an emulation and return its id, which is then in XCom.

    All parameters but ``cancel_on_kill`` are templated; the first six are required, directly or in ``arguments``. A
    retry finds the emulation that an earlier try started, unless that failed or was cancelled. Clearing the task starts
    a new one, and cancels the old one if it is still running (:mod:`include.idempotency`). A task that is marked or
    cleared while it sends the request cancels what it may have started.

    :param emulator_sync: the sink: ``minio`` (any S3 store), ``kafka`` or ``file`` (a folder on the service's machine)
    :param emulation_domain: what to emulate, like ``user-profile``, ``device-log`` or ``transaction``
    :param format_type: ``json`` or ``csv``; this project's service also has ``parquet`` and ``avro``
    :param sync_type: ``grouped`` for one object at the end, ``chunked`` for objects of about ``max_chunk_size`` bytes,
        anything else for one object a record
    :param max_chunk_size: bytes
    :param timeout: how long to emulate, in seconds: a duration, not a deadline for the request
    :param rate: records per second, or ``"unlimited"``; None leaves it to the service
    :param max_records: stop after that many records; None for no such limit
    :param seed: the same seed gives the same data; None leaves it to the service
    :param compression: of S3 objects, such as ``gzip``; None for the format's default
    :param window: ``"data_interval"`` for a backfill of the run's own data interval, or, if a cron schedule's run has
        an empty one, of the last whole period of the schedule (:mod:`include.window`). An interval is generated only
        once: a task that is run again, or another run of the same interval, finds its emulation
    :param start_time: with ``end_time``: spread the records over that time in the past, a backfill, as with
        ``"{{ data_interval_start }}"`` and ``"{{ data_interval_end }}"``; a `datetime` or ISO 8601, with a zone. The
        service has to know how many records there will be: from ``max_records``, or from ``rate`` and ``timeout``
    :param end_time: where the backfill ends, itself not included
    :param abandon_after: let the service cancel the emulation when nobody has requested its status for this many
        seconds; None for never. It stops what a killed worker or a deleted run would leave behind
    :param cancel_on_kill: whether to cancel the emulation when somebody marks or clears the task while it runs, or
        clears it later. A worker that stops (SIGTERM) cancels nothing: the next try finds the emulation
    :param emulation_label: the emulation's name in logs and errors; by default the domain
    :param data_emulator_conn_id: the Airflow connection
    :raises DataEmulatorConfigError: when a parameter is of the wrong type (no Airflow retries)
    :raises DataEmulatorRequestError: when the service refuses the request (no Airflow retries)
    :raises DataEmulatorUnavailableError: when the service cannot be reached or is temporarily unavailable
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
            raise ValueError(f"Task {self.task_id}: {', '.join(missing)} must be given, directly or in arguments")

    @property
    def label(self) -> str | None:
        """The label, by default the domain."""
        return self.emulation_label or self.emulation_domain

    def start(self, context: Context, *, done: bool) -> str:
        """Start the emulation, or find the one that an earlier try started, and return its id.

        :param done: whether the task is finished with that
        """
        from ..idempotency import TaskMemory
        from ..wire.request import EmulationRequest

        window = self._window(context)
        request = EmulationRequest.from_arguments(window.arguments(vars(self), self.label) if window else vars(self))
        self.log.info("Starting emulation %s: %s", self.label, request.body())
        fixed_key = window.idempotency_key(context, self.label, request.body()) if window else None
        hook, memory = self.hook(), TaskMemory(context, request.body(), fixed_key=fixed_key)
        url_of = hook.settings.emulation_url  # reads from Airflow, which an interruptible block must not do
        self._emulation_id = emulation_id = self._find_or_start(hook, request, memory)
        self.log.info("Emulation %s was accepted and will run for %d s", self.name_of(emulation_id), request.timeout)
        if url := url_of(emulation_id):
            self.log.info("Status: %s", url)
        if memory.previous_id not in (None, emulation_id) and self.cancel_on_kill:
            if done:  # so that a task that waits for the old one finds the new one when the old one ends
                context["ti"].xcom_push(key="return_value", value=emulation_id)
            self.log.info("This task started emulation %s earlier; cancelling that one", memory.previous_id)
            self.cancel(memory.previous_id)
        memory.remember(emulation_id, done=done)
        return emulation_id

    def _execute(self, context: Context) -> Any:
        return self.start(context, done=True)

    def _find_or_start(self, hook: DataEmulatorHook, request: EmulationRequest, memory: TaskMemory) -> str:
        """Start the emulation, under a new key if the key's earlier emulation has ended and is not the one meant."""
        for _ in range(_MAX_RESTARTS):
            self._asked = request, memory.idempotency_key()
            with self.interruptible():
                started = hook.find_or_start_emulation(*self._asked)
                state = hook.get_status(started.emulation_id).state if started.replayed else None
            if state is None or self._is_meant(state, memory):
                if state is not None and state.is_terminal:
                    self.log.info("Emulation %s has already generated this data; reusing it", started.emulation_id)
                break
            self.log.info(
                "Emulation %s is %s and is to be run again; starting another one", started.emulation_id, state
            )
            memory.turn_to_another()
        return started.emulation_id

    def _is_meant(self, state: EmulationState, memory: TaskMemory) -> bool:
        """Return whether to reuse an emulation that was already started under the key and is in this state."""
        from ..wire.status import EmulationState

        if state is EmulationState.COMPLETED:
            return memory.is_certainly_a_retry
        return not state.is_terminal

    def _cancel_own(self) -> None:
        """Cancel what was requested, whether or not the answer arrived."""
        if self._emulation_id is not None or self._asked is None:
            super()._cancel_own()
            return
        hook = self.hook()
        if not _can_cancel(hook):
            # Such a service ignores the key as well, so asking again for the id would start another emulation.
            self.log.warning(
                "The service does not support cancelling: an emulation that this task may have started keeps running"
            )
            return
        try:
            started = hook.find_or_start_emulation(*self._asked, attempts=1)
        except DataEmulatorError as error:
            self.log.warning("Could not cancel what this task may have started: %s", error)
        else:
            self.cancel(started.emulation_id, attempts=1)

    def _window(self, context: Context) -> Window | None:
        if self.window is None:
            return None
        from ..window import DATA_INTERVAL, Window

        if self.window != DATA_INTERVAL:
            raise DataEmulatorConfigError(f"window must be {DATA_INTERVAL!r} or None, got {self.window!r}")
        return Window.of_run(context)


def _can_cancel(hook: DataEmulatorHook) -> bool:
    try:
        hook.cancel(_NOBODY, attempts=1)
    except DataEmulatorError as error:
        return getattr(error, "http_status", None) == 404
    return False
