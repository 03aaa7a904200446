"""Base of all operators of emulations: their common parameters, their links, and how they cancel."""

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


#: The XCom that says why a task has failed: its label and the reason, for whoever sums up.
FAILURE_KEY = "failure"


class EmulationLink(BaseOperatorLink):
    """Link to the emulation in the service."""

    name = "Emulation"
    xcom_key = "emulation_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey | None) -> str:
        """Return the URL; Airflow calls this in the worker, at the end of the task's process, and stores it."""
        return operator.emulation_url() or "" if isinstance(operator, EmulationOperator) else ""


class EmulationOperator(BaseOperator):
    """Base of the operators that start emulations or wait for them.

    :param arguments: any of the templated parameters by name, which then count instead of those given by themselves; a
        value of None leaves that one as it is. For an argument of a mapped task group: a task fetches all that the
        group is mapped over, once for every such argument that it uses, so this one mapping is cheaper than ten
        values. Parameters of the other operators are passed over, so that a start and a wait can share a mapping. A
        ``map_index_template`` finds them there: ``{{ task.arguments.emulation_label }}``
    :param cancel_on_kill: whether the emulation is cancelled once nobody waits for it any more: when somebody marks or
        clears the task, or fails its run. A worker that stops (SIGTERM) cancels nothing: the next try goes on
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
        """Take the arguments, and do what the operator is for."""
        return self._run_step(self._execute, context)

    def on_kill(self) -> None:
        """Leave the try; and cancel the emulation, if somebody has ended or cleared the task."""
        if self._interruption is not None:
            self._interruption.on_signal()

    def _execute(self, context: Context) -> Any:
        raise NotImplementedError

    def _run_step(self, step: Callable[..., Any], context: Context, *args: Any) -> Any:
        """Run a step of the task with the arguments taken; an error of ours goes to the log without its traceback.

        Its text says what was wrong and what to do, which twenty lines of traceback would hide. It is left in the XCom
        ``failure``, too.
        """
        from .interruption import Interruption

        cancel = self._cancel_own if self.cancel_on_kill else None
        self._interruption = Interruption(context["ti"], cancel, self.log)
        try:
            self._take_arguments()
            result = step(context, *args)
            self._interruption = None  # what the task was for is done: a worker that stops now is none of its concern
            return result
        except DataEmulatorError as error:
            if not isinstance(error, TaskInterruptedError):
                context["ti"].xcom_push(key=FAILURE_KEY, value={"label": self.label, "reason": str(error)})
            self.log.debug("The task fails", exc_info=error)
            raise error.with_traceback(None) from None

    def _take_arguments(self) -> None:
        """Set the parameters that ``arguments`` names."""
        if self.arguments is None:
            return
        if not isinstance(self.arguments, Mapping):
            raise DataEmulatorConfigError(f"arguments must be a mapping of parameters, got {self.arguments!r}")
        known = {*parameters.COMMON, *parameters.START, *parameters.WAIT, *parameters.WAITED_FOR}
        if unknown := set(self.arguments) - known:
            raise DataEmulatorConfigError(f"arguments has unknown parameters: {', '.join(map(repr, sorted(unknown)))}")
        for name in set(self.template_fields).intersection(self.arguments) - {"arguments"}:
            if self.arguments[name] is not None:
                setattr(self, name, self.arguments[name])

    # What follows is imported when it is needed. A DAG file is parsed every half minute and at the start of every task,
    # and the HTTP provider alone takes a third of a CPU second: as much as all the rest of a task that only defers.

    def hook(self) -> DataEmulatorHook:
        """Return a new hook for the connection."""
        from ..hooks.data_emulator import DataEmulatorHook

        return DataEmulatorHook(self.data_emulator_conn_id)

    @cached_property
    def settings(self) -> ConnectionSettings:
        """Our own fields of the connection, without the hook.

        :raises DataEmulatorConfigError: naming each field whose value cannot be used
        """
        from ..connection import ConnectionSettings

        return ConnectionSettings.read(self.data_emulator_conn_id)

    def emulation_url(self) -> str | None:
        """Return where a browser finds the emulation, None if there is none yet, or nobody knows."""
        return None if self._emulation_id is None else self.settings.emulation_url(self._emulation_id)

    @property
    def label(self) -> str | None:
        """What people call the emulation."""
        return self.emulation_label

    def name_of(self, emulation_id: str) -> str:
        """Return what logs and errors call the emulation."""
        return f"{self.label} ({emulation_id})" if self.label else emulation_id

    def interruptible(self) -> AbstractContextManager[None]:
        """A block that a kill may leave at any moment; see :meth:`Interruption.interruptible`."""
        return nullcontext() if self._interruption is None else self._interruption.interruptible()

    def cancel(self, emulation_id: str, *, attempts: int | None = None) -> bool | None:
        """Cancel an emulation; what is in the way is logged.

        :return: True if it will be cancelled, False if it was over already, None if it was not to be done
        """
        # A hook of its own: a signal interrupts whatever another one is doing.
        try:
            cancelled = self.hook().cancel(emulation_id, attempts=attempts)
        except DataEmulatorError as error:
            self.log.warning("Emulation %s was not cancelled and runs on: %s", self.name_of(emulation_id), error)
            return None
        self.log.info("Emulation %s %s", self.name_of(emulation_id), "cancelled" if cancelled else "was over already")
        return cancelled

    def _cancel_own(self) -> None:
        """Cancel the emulation that the task is about, if there is one; once, since a killed task has little time."""
        if self._emulation_id is not None:
            self.cancel(self._emulation_id, attempts=1)
