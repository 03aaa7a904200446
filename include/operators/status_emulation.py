"""Wait for an emulation to complete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context

from include.assets import emit
from include.connection import DEFAULT_CONN_NAME
from include.exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorConfigError,
    DataEmulatorError,
    DataEmulatorRequestError,
    EmulationCancelledError,
    EmulationFailedError,
    EmulationTimeoutError,
)
from include.hooks.data_emulator import DataEmulatorHook
from include.receipt import Receipt
from include.triggers.emulation import EmulationTrigger
from include.wait_log import WaitLog
from include.wire.answer import request_error
from include.wire.status import EmulationState, EmulationStatus, parse_emulation_id

#: How much longer than the trigger's own deadline Airflow waits before it fails the task by itself: the backstop for a
#: triggerer that is down when the deadline passes.
_BACKSTOP_S = 300.0


class StatusEmulationOperator(BaseOperator):
    """Wait until an emulation is over; returns its id if it completed.

    The wait ends after ``wait_timeout`` seconds if that is given, else after ``poll_interval * max_retries`` seconds;
    both are counted from the start of each try of the task, and say nothing about how often the service is asked.

    While it waits the task is deferred and holds no worker slot, unless ``deferrable=False``.

    :param emulation_id: the emulation: a string, a template or another task's output
    :param prev_task_id: instead of ``emulation_id``: the task that started the emulation, to take the id from its XCom.
        Inside a task group the name within the group is enough; in a mapped group it is the start of the same map index
    :param poll_interval: seconds between two looks; a service that holds its answer (long poll) is not asked so often,
        and tells of the end at once
    :param max_retries: see above
    :param wait_timeout: see above
    :param deferrable: False polls from the worker instead
    :param cancel_on_kill: whether the emulation is cancelled once nobody waits for it any more: the task was killed,
        cleared or marked as something else, or the wait ran out
    :param emulation_label: what the log, errors, and a ``map_index_template`` that uses it, call the emulation; the id
        by default
    :param data_emulator_conn_id: the Airflow connection
    :raises EmulationFailedError: when it failed, or a thread of it did, whatever else the status says
    :raises EmulationCancelledError: when it was cancelled
    :raises EmulationTimeoutError: when it is not over in time
    :raises EmulationNotFoundError: when the service does not know it
    :raises DataEmulatorConfigError: when there is no usable id, or a parameter is of the wrong type
    :raises DataEmulatorUnavailableError: when the service cannot be reached for the first look; the only one for which
        Airflow's retries are used
    """

    template_fields: Sequence[str] = (
        "emulation_id",
        "prev_task_id",
        "wait_timeout",
        "emulation_label",
        "data_emulator_conn_id",
    )

    def __init__(
        self,
        *,
        emulation_id: Any = None,
        prev_task_id: str | None = None,
        poll_interval: float = 10,
        max_retries: int = 30,
        wait_timeout: float | str | None = None,
        deferrable: bool = True,
        cancel_on_kill: bool = True,
        emulation_label: str | None = None,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (emulation_id is None) == (prev_task_id is None):
            raise ValueError(f"Task {self.task_id}: give either emulation_id or prev_task_id")
        if poll_interval <= 0 or max_retries <= 0:
            raise ValueError(
                f"Task {self.task_id}: poll_interval and max_retries must be above 0, "
                f"got {poll_interval!r} and {max_retries!r}"
            )
        self.emulation_id = emulation_id
        self.prev_task_id = prev_task_id
        self.poll_interval = poll_interval
        self.max_retries = max_retries
        self.wait_timeout = wait_timeout
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self.emulation_label = emulation_label
        self.data_emulator_conn_id = data_emulator_conn_id
        self._polled_id: str | None = None
        self._completed_id: str | None = None

    def execute(self, context: Context) -> str:
        """Look once; then defer, or poll."""
        emulation_id = self._emulation_id(context)
        wait_s = self._wait_s()
        deadline = time.time() + wait_s
        status = DataEmulatorHook(self.data_emulator_conn_id).get_status(emulation_id)
        if status.state.is_terminal:
            return self._conclude(status)
        self.log.info("Emulation %s is %s; waiting up to %g s", self._name(emulation_id), status.state, wait_s)
        if self.deferrable:
            self.defer(
                trigger=EmulationTrigger(
                    emulation_id=emulation_id,
                    poll_interval=float(self.poll_interval),
                    deadline=deadline,
                    cancel_on_kill=self.cancel_on_kill,
                    data_emulator_conn_id=self.data_emulator_conn_id,
                ),
                method_name="execute_complete",
                timeout=timedelta(seconds=wait_s + _BACKSTOP_S),
            )
        return self._poll(emulation_id, deadline)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> str:
        """Go on after the trigger's event, which :class:`EmulationTrigger` describes."""
        emulation_id = event["emulation_id"]
        if event["outcome"] == "ended":
            return self._conclude(EmulationStatus.from_dict(event["status"]))
        if event["outcome"] == "refused":
            asked = f"Status of emulation {self._name(emulation_id)}: the service"
            raise request_error(asked, event["http_status"], event["detail"])
        return self._give_up(emulation_id, event["state"], event["last_error"])

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Emit the asset event of the emulation that has completed; Airflow passes no result."""
        emulation_id = self._completed_id or ""
        try:
            manifest = DataEmulatorHook(self.data_emulator_conn_id).get_manifest(emulation_id)
        except DataEmulatorRequestError as error:
            if error.http_status not in (404, 405):
                raise
            self.log.info("The service has no manifest of emulation %s, so no asset event is emitted", emulation_id)
        else:
            emit(context, Receipt.of_manifest(manifest))

    def on_kill(self) -> None:
        """Cancel the emulation that is being polled; while deferred, the trigger does it."""
        if self._polled_id is not None and self.cancel_on_kill:
            self._cancel(self._polled_id)

    def _emulation_id(self, context: Context) -> str:
        """The id to wait for.

        :raises DataEmulatorConfigError: when there is none
        """
        value, source = self.emulation_id, "emulation_id"
        if self.prev_task_id is not None:
            task_id = self._sibling(self.prev_task_id)
            ti = context["ti"]
            map_index = -1 if ti.map_index is None else ti.map_index
            source = f"the XCom of task {task_id!r} (map index {map_index})"
            value = ti.xcom_pull(task_ids=task_id, map_indexes=map_index)
            if value is None and map_index >= 0:
                value = ti.xcom_pull(task_ids=task_id, map_indexes=-1)  # a mapped wait for a start that is not mapped
        try:
            return parse_emulation_id(value)
        except DataEmulatorAnswerError as error:
            raise DataEmulatorConfigError(f"No emulation to wait for in {source}: {error}") from error

    def _sibling(self, task_id: str) -> str:
        """The full id of a task that is named from within this task's group: its own groups are tried inside out."""
        groups = self.task_id.split(".")[:-1]
        for depth in range(len(groups), 0, -1):
            candidate = ".".join([*groups[:depth], task_id])
            if self.dag.has_task(candidate):
                return candidate
        return task_id

    def _wait_s(self) -> float:
        if self.wait_timeout is None:
            return float(self.poll_interval * self.max_retries)
        try:
            wait_s = float(self.wait_timeout)
        except ValueError:
            wait_s = 0.0
        if not 0 < wait_s < float("inf"):
            raise DataEmulatorConfigError(
                f"wait_timeout must be a number of seconds above 0, got {self.wait_timeout!r}"
            )
        return wait_s

    def _poll(self, emulation_id: str, deadline: float) -> str:
        """Wait in the worker, as the deferred task does in the triggerer."""
        self._polled_id = emulation_id
        hook = DataEmulatorHook(self.data_emulator_conn_id)
        log = WaitLog(self.log, self._name(emulation_id))
        while (remaining_s := deadline - time.time()) > 0:
            time.sleep(min(self.poll_interval, remaining_s))
            status = hook.get_status(emulation_id)
            if status.state.is_terminal:
                return self._conclude(status)
            log.answered(status)
        return self._give_up(emulation_id, log.state, None)

    def _conclude(self, status: EmulationStatus) -> str:
        """The id of a completed emulation, or the error that its end is."""
        name = self._name(status.emulation_id)
        if status.state is EmulationState.COMPLETED:
            self.log.info("Emulation %s completed%s", name, f": {status.progress}" if status.progress else "")
            self._completed_id = status.emulation_id
            return status.emulation_id
        if status.state is EmulationState.FAILED:
            raise EmulationFailedError(f"Emulation {name} failed: {status.error or 'the service gives no reason'}")
        raise EmulationCancelledError(
            f"Emulation {name} was cancelled. To run it again, clear the task that starts it together with this one"
        )

    def _give_up(self, emulation_id: str, state: str | None, last_error: str | None) -> str:
        """Cancel an emulation that is not over in time, and fail; if it has just ended after all, that counts."""
        what_now = "it runs on, since cancel_on_kill is False"
        if self.cancel_on_kill:
            cancelled = self._cancel(emulation_id)
            if cancelled is False:
                return self._conclude(DataEmulatorHook(self.data_emulator_conn_id).get_status(emulation_id))
            what_now = "it was cancelled" if cancelled else "it could not be cancelled"
        raise EmulationTimeoutError(
            f"Emulation {self._name(emulation_id)} was not over after {self._wait_s():g} s; last seen "
            f"{state or 'nothing of it'}{f', last error: {last_error}' if last_error else ''}; {what_now}"
        )

    def _cancel(self, emulation_id: str) -> bool | None:
        """True if it will be cancelled, False if it was over already, None if the service does not do it."""
        # A hook of its own: on_kill interrupts whatever the polling one is doing.
        try:
            cancelled = DataEmulatorHook(self.data_emulator_conn_id).cancel(emulation_id)
        except DataEmulatorError as error:
            self.log.warning("Emulation %s was not cancelled and runs on: %s", self._name(emulation_id), error)
            return None
        self.log.info("Emulation %s %s", self._name(emulation_id), "cancelled" if cancelled else "was over already")
        return cancelled

    def _name(self, emulation_id: str) -> str:
        return f"{self.emulation_label} ({emulation_id})" if self.emulation_label else emulation_id
