"""Base of all emulation operators: common parameters, links and cancellation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from ..defaults import DEFAULT_CONN_NAME
from ..exceptions import DataEmulatorConfigError, DataEmulatorError, TaskInterruptedError
from . import parameters

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from ..connection import ConnectionSettings
    from ..hooks.data_emulator import DataEmulatorHook
    from .interruption import Interruption


#: The XCom that says why a task failed: its label and the reason, for the summary of the run.
FAILURE_KEY = "failure"


class EmulationLink(BaseOperatorLink):
    """Link to the emulation in the service."""

    name = "Emulation"
    xcom_key = "emulation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey | None) -> str:
        """Return the URL, which Airflow asks for and stores at the end of the task's process."""
        return operator.emulation_url() or "" if isinstance(operator, EmulationOperator) else ""


class EmulationOperator(BaseOperator):
    """Base of the operators that start emulations or wait for them.

    :param arguments: a mapping of templated parameters by name, which override those given directly; a value of None
        leaves a parameter unchanged. Use it in a mapped task group: a task fetches the whole list that the group is
        mapped over once for each group argument that it uses, so one mapping is cheaper than ten values. Parameters of
        the other operators are ignored, so that a start and a wait can share a mapping. In a ``map_index_template``
        use ``{{ task.arguments.emulation_label }}``
    :param cancel_on_kill: whether to cancel the emulation when nobody waits for it any more, because somebody marked or
        cleared the task, or failed its run. A worker that stops (SIGTERM) cancels nothing: the next try resumes
    :param emulation_label: what the log and errors call the emulation
    :param data_emulator_conn_id: the Airflow connection
    :raises DataEmulatorConfigError: when ``arguments`` has a name that no operator of emulations knows
    """

    template_fields: Sequence[str] = parameters.COMMON
    operator_extra_links: Collection[BaseOperatorLink] = (EmulationLink(),)

    def __init__(
        self,
        *,
        arguments: Any = None,
        cancel_on_kill: bool = True,
        emulation_label: str | None = None,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.cancel_on_kill = cancel_on_kill
        self.emulation_label = emulation_label
        self.data_emulator_conn_id = data_emulator_conn_id
        self._emulation_id: str | None = None
        self._interruption: Interruption | None = None

    def execute(self, context: Context) -> Any:
        """Apply ``arguments`` and run the operator."""
        return self._run_step(self._execute, context)

    def on_kill(self) -> None:
        """End this try, and cancel the emulation if somebody ended or cleared the task."""
        if self._interruption is not None:
            self._interruption.on_signal()

    def _execute(self, context: Context) -> Any:
        raise NotImplementedError

    def _run_step(self, step: Callable[..., Any], context: Context, *args: Any) -> Any:
        """Run a step of the task with ``arguments`` applied, and log our own errors without their traceback.

        The message says what is wrong and what to do, and would be lost in the traceback. It is also stored in the XCom
        ``failure``.
        """
        from .interruption import Interruption

        cancel = self._cancel_own if self.cancel_on_kill else None
        self._interruption = Interruption(context["ti"], cancel, self.log)
        try:
            self._take_arguments()
            result = step(context, *args)
            self._interruption = None  # the work is done: a worker that stops from here on changes nothing
            return result
        except DataEmulatorError as error:
            if not isinstance(error, TaskInterruptedError):
                context["ti"].xcom_push(key=FAILURE_KEY, value={"label": self.label, "reason": str(error)})
            self.log.debug("The task failed", exc_info=error)
            raise error.with_traceback(None) from None

    def _take_arguments(self) -> None:
        """Set the parameters that ``arguments`` names."""
        if self.arguments is None:
            return
        if not isinstance(self.arguments, Mapping):
            raise DataEmulatorConfigError(f"arguments must be a mapping of parameters, got {self.arguments!r}")
        known = {*parameters.COMMON, *parameters.START, *parameters.WAIT, *parameters.WAITED_FOR}
        if unknown := set(self.arguments) - known:
            raise DataEmulatorConfigError(
                f"arguments contains unknown parameters: {', '.join(map(repr, sorted(unknown)))}"
            )
        for name in set(self.template_fields).intersection(self.arguments) - {"arguments"}:
            if self.arguments[name] is not None:
                setattr(self, name, self.arguments[name])

    # Imported when needed: a DAG file is parsed every half minute and at the start of every task, and importing the
    # HTTP provider alone takes a third of a CPU second, as much as the rest of a task that only defers.

    def hook(self) -> DataEmulatorHook:
        """Return a new hook for the connection."""
        from ..hooks.data_emulator import DataEmulatorHook

        return DataEmulatorHook(self.data_emulator_conn_id)

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The settings of the connection, read without loading the hook.

        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        from ..connection import ConnectionSettings

        return ConnectionSettings.read(self.data_emulator_conn_id)

    def emulation_url(self) -> str | None:
        """Return the browser URL of the emulation; None if none was started yet."""
        return None if self._emulation_id is None else self.settings.emulation_url(self._emulation_id)

    @property
    def label(self) -> str | None:
        """The emulation's name for people."""
        return self.emulation_label

    def name_of(self, emulation_id: str) -> str:
        """Return the emulation's name for logs and errors."""
        return f"{self.label} ({emulation_id})" if self.label else emulation_id

    def interruptible(self) -> AbstractContextManager[None]:
        """Return a context that a kill may leave at any moment; see :meth:`Interruption.interruptible`."""
        return nullcontext() if self._interruption is None else self._interruption.interruptible()

    def cancel(self, emulation_id: str, *, attempts: int | None = None) -> bool | None:
        """Cancel an emulation; log a failure to do so.

        :return: True if it will be cancelled, False if it had already ended, None if that failed
        """
        # A new hook, because a signal may have interrupted another one.
        try:
            cancelled = self.hook().cancel(emulation_id, attempts=attempts)
        except DataEmulatorError as error:
            self.log.warning(
                "Could not cancel emulation %s, which keeps running: %s", self.name_of(emulation_id), error
            )
            return None
        self.log.info("Emulation %s %s", self.name_of(emulation_id), "cancelled" if cancelled else "had already ended")
        return cancelled

    def _cancel_own(self) -> None:
        """Cancel the task's emulation, if any, in a single attempt, as a killed task has little time."""
        if self._emulation_id is not None:
            self.cancel(self._emulation_id, attempts=1)
