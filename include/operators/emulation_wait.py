"""Base of the operators that wait for an emulation."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf

from ..exceptions import (
    DataEmulatorConfigError,
    EmulationCancelledError,
    EmulationEndError,
    EmulationFailedError,
    EmulationTimeoutError,
)
from . import parameters
from .emulation import EmulationLink, EmulationOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from ..receipt import Receipt
    from ..wait_deadline import WaitDeadline
    from ..wire.status import EmulationStatus

#: The XCom that holds the receipt of a completed emulation.
RECEIPT_KEY = "receipt"

#: Seconds after the trigger's own deadline at which Airflow fails the task itself, in case no triggerer was running
#: when the deadline passed.
_BACKSTOP_S = 300.0


class DataLink(BaseOperatorLink):
    """Link to the bucket or topic in the console that the connection names."""

    name = "Data"
    xcom_key = "data_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey | None) -> str:
        """Return the URL; as for :class:`EmulationLink`."""
        return operator.data_url() or "" if isinstance(operator, EmulationWaitOperator) else ""


class EmulationWaitOperator(EmulationOperator):
    """Base of the operators that wait until an emulation has ended.

    A deferred task occupies no worker slot. When the emulation has completed, the receipt is in the XCom ``receipt``,
    and in the events of ``include.assets.EMULATIONS`` and ``EMULATIONS_BY_DOMAIN`` if they are among the task's
    outlets.

    :param poll_interval: seconds between two status requests to a service without long polls; with long polls the end
        is reported at once
    :param max_retries: the wait ends after ``poll_interval * max_retries`` seconds
    :param wait_timeout: instead of ``max_retries``: the seconds after which the wait ends. Either limit starts anew in
        each try, and does not count time in the service's queue (up to an hour, or the length of the wait if that is
        longer). Airflow's ``execution_timeout`` ends the wait too, counted from the start of the try, with the time in
        the queue
    :param deferrable: False polls from the worker; the default is Airflow's ``[operators] default_deferrable``
    :param cancel_on_kill: whether to cancel the emulation when nobody waits for it any more, because somebody marked or
        cleared the task, or the wait timed out. A worker that stops (SIGTERM) cancels nothing: the next try resumes
    :raises EmulationFailedError: when it failed, or one of its threads did, whatever else the status says
    :raises EmulationCancelledError: when it was cancelled
    :raises EmulationTimeoutError: when it has not ended in time
    :raises EmulationNotFoundError: when the service does not know it
    :raises DataEmulatorConfigError: when a parameter is of the wrong type
    :raises DataEmulatorUnavailableError: when the service cannot be reached, and the task polls
    """

    template_fields: Sequence[str] = (*parameters.WAIT, *parameters.COMMON)
    operator_extra_links: Collection[BaseOperatorLink] = (EmulationLink(), DataLink())

    def __init__(
        self,
        *,
        poll_interval: float | str = 10,
        max_retries: int = 30,
        wait_timeout: float | str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("poll_interval", poll_interval), ("max_retries", max_retries)):
            if isinstance(value, int | float) and value <= 0:
                raise ValueError(f"Task {self.task_id}: {name} must be above 0, got {value!r}")
        self.poll_interval = poll_interval
        self.max_retries = max_retries
        self.wait_timeout = wait_timeout
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.receipt: Receipt | None = None

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Resume after the trigger's event (see :class:`include.triggers.emulation.EmulationTrigger`)."""
        return self._run_step(self._resume, context, event)

    def current_id(self, context: Context, waited_for: str) -> str:
        """Return the emulation to wait for from now on; operators override it if that can change during the wait."""
        return waited_for

    def result(self, receipt: Receipt | None, emulation_id: str) -> Any:
        """Return the task's result for a completed emulation; without a receipt if the service reports too little."""
        raise NotImplementedError

    def ended_badly(self, context: Context, error: EmulationEndError) -> EmulationEndError:
        """Return the error to raise for an emulation that did not complete."""
        raise NotImplementedError

    def wait_for(self, context: Context, emulation_id: str) -> Any:
        """Wait for an emulation, deferred or by polling.

        The status is not requested before deferring: the emulation nearly always still runs then, and the trigger
        delays an event that would come too early (``FIRST_EVENT_AFTER_S``).
        """
        from ..wait_deadline import WaitDeadline, latest_end

        poll_interval_s, wait_s = self._poll_interval_s(), self._wait_s()
        self._emulation_id = emulation_id
        _ = self.settings  # an invalid connection fails the task here, not in the triggerer
        deadline = time.time() + wait_s
        must_end_at = self._must_end_at(context)
        ends = WaitDeadline(min(deadline, must_end_at), min(latest_end(deadline, wait_s), must_end_at))
        self.log.info("Waiting up to %.0f s for emulation %s", ends.remaining_s(), self.name_of(emulation_id))
        if self.deferrable:
            self._defer(emulation_id, poll_interval_s, ends)
        return self._poll(context, emulation_id, poll_interval_s, ends)

    def data_url(self) -> str | None:
        """Return the browser URL of the data; None if there is none: without data, a console, or in a folder."""
        if self.receipt is None or self.receipt.sink == "file":
            return None
        if self.receipt.sink == "s3":
            return self.settings.bucket_url(*self.receipt.bucket_and_prefix)
        return self.settings.topic_url(self.receipt.topic)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the bucket or topic as the task's output, for the OpenLineage provider if it is installed."""
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage(outputs=[Dataset(*self.receipt.lineage_name)] if self.receipt else [])

    def _poll_interval_s(self) -> float:
        return _seconds("poll_interval", self.poll_interval)

    def _wait_s(self) -> float:
        if self.wait_timeout is None:
            return self._poll_interval_s() * self.max_retries
        return _seconds("wait_timeout", self.wait_timeout)

    def _must_end_at(self, context: Context) -> float:
        """Return when ``execution_timeout`` ends this try, in Unix seconds; Airflow ignores it while deferred."""
        if self.execution_timeout is None:
            return float("inf")
        return context["ti"].start_date.timestamp() + self.execution_timeout.total_seconds()

    def _defer(self, emulation_id: str, poll_interval_s: float, ends: WaitDeadline) -> None:
        from ..triggers.emulation import EmulationTrigger

        self.defer(
            trigger=EmulationTrigger(
                emulation_id=emulation_id,
                emulation_label=self.label,
                poll_interval=poll_interval_s,
                deadline=ends.at,
                latest_deadline=ends.latest,
                cancel_on_kill=self.cancel_on_kill,
                data_emulator_conn_id=self.data_emulator_conn_id,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, ends.latest - time.time()) + _BACKSTOP_S),
        )

    def _resume(self, context: Context, event: Mapping[str, Any]) -> Any:
        waited_for = event["emulation_id"]
        self._emulation_id = emulation_id = self.current_id(context, waited_for)
        if emulation_id != waited_for:
            self.log.info("Emulation %s was replaced by %s; waiting for the new one", waited_for, emulation_id)
            return self.wait_for(context, emulation_id)
        if event["outcome"] == "ended":
            from ..wire.status import EmulationStatus

            return self._conclude(context, EmulationStatus.from_dict(event["status"]))
        if event["outcome"] == "refused":
            from ..wire.answer import request_error

            asked = f"the status of emulation {self.name_of(emulation_id)}"
            raise request_error(asked, event["http_status"], event["detail"])
        if event["outcome"] == "misconfigured":
            raise DataEmulatorConfigError(event["problem"])
        return self._give_up(context, emulation_id, event["state"], event["last_error"], event.get("ended_at"))

    def _poll(self, context: Context, emulation_id: str, poll_interval_s: float, ends: WaitDeadline) -> Any:
        """Wait in the worker, polling."""
        from airflow.sdk.exceptions import AirflowTaskTimeout

        from ..wait_log import WaitLog

        # Airflow does this only when the task's process ends.
        context["ti"].xcom_push(key=EmulationLink.xcom_key, value=self.emulation_url() or "")
        hook = self.hook()
        _ = hook.settings  # reads from Airflow, which an interruptible block must not do
        log = WaitLog(self.log, self.name_of(emulation_id))
        try:
            while True:
                with self.interruptible():
                    status = hook.get_status(emulation_id)
                if status.state.is_terminal:
                    return self._conclude(context, status)
                log.answered(status)
                ends.saw(status.state)
                if (remaining_s := ends.remaining_s()) <= 0:
                    return self._give_up(context, emulation_id, log.state, log.in_the_way)
                with self.interruptible():
                    time.sleep(min(poll_interval_s, remaining_s))
        except AirflowTaskTimeout:  # Airflow's own execution_timeout came first
            return self._give_up(context, emulation_id, log.state, log.in_the_way)

    def _conclude(self, context: Context, status: EmulationStatus) -> Any:
        """Return the result of a completed emulation, or raise the error for any other end."""
        from ..wire.status import EmulationState
        from ..wording import first_sentence

        name = self.name_of(status.emulation_id)
        if status.state is EmulationState.COMPLETED:
            self.log.info("Emulation %s completed%s", name, f": {status.progress}" if status.progress else "")
            if status.shortfall:
                self.log.warning("Emulation %s made %s", name, status.shortfall)
            self._leave_receipt(context, status)
            return self.result(self.receipt, status.emulation_id)
        reason = f": {first_sentence(status.error)}" if status.error else ""
        if status.error and status.error not in reason:
            self.log.info("The service's reason in full: %s", status.error)
        if status.state is EmulationState.FAILED:
            reason = reason or ": the service gave no reason"
            raise self.ended_badly(context, EmulationFailedError(f"Emulation {name} failed{reason}"))
        raise self.ended_badly(context, EmulationCancelledError(f"Emulation {name} was cancelled{reason}"))

    def _leave_receipt(self, context: Context, status: EmulationStatus) -> None:
        """Publish the receipt of a completed emulation: in XCom, the log and the asset events."""
        from ..assets import emit
        from ..receipt import Receipt

        self.receipt = receipt = Receipt.of_status(status, label=self.emulation_label)
        if receipt is None:
            self.log.info("The service does not report where the data is, so there is no receipt and no asset event")
            return
        self.log.info("Receipt: %s", receipt)
        context["ti"].xcom_push(key=RECEIPT_KEY, value=receipt.as_dict())
        emit(context, receipt, self.outlets)

    def _give_up(
        self,
        context: Context,
        emulation_id: str,
        state: str | None,
        last_error: str | None = None,
        ended_at: float | None = None,
    ) -> Any:
        """Cancel an emulation that has not ended in time and fail, unless it has just ended after all.

        :param ended_at: when the wait ended, in Unix seconds; None for now
        """
        limit = self._limit(context, time.time() if ended_at is None else ended_at)
        what_now = "it keeps running because cancel_on_kill is False"
        if self.cancel_on_kill:
            cancelled = self.cancel(emulation_id)
            if cancelled is False:
                return self._conclude(context, self.hook().get_status(emulation_id))
            what_now = "it was cancelled" if cancelled else "it could not be cancelled"
        text = (
            f"Emulation {self.name_of(emulation_id)} had not ended after {limit}; last status: "
            f"{state or 'unknown'}{f', last error: {last_error}' if last_error else ''}; {what_now}"
        )
        raise self.ended_badly(context, EmulationTimeoutError(text))

    def _limit(self, context: Context, ended_at: float) -> str:
        """Name the limit that ended the wait, with its value."""
        if self.execution_timeout is not None and ended_at >= self._must_end_at(context):
            return f"{self.execution_timeout.total_seconds():g} s (execution_timeout)"
        name = "poll_interval * max_retries" if self.wait_timeout is None else "wait_timeout"
        return f"{self._wait_s():g} s ({name})"


def _seconds(name: str, value: float | str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise DataEmulatorConfigError(f"{name} must be a number of seconds above 0, got {value!r}")
    return seconds
