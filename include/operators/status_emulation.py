"""Wait for an emulation to complete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import XComArg

from ..exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorConfigError,
    EmulationEndError,
    EmulationReplacedError,
)
from . import parameters
from .emulation_wait import EmulationWaitOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ..receipt import Receipt


class StatusEmulationOperator(EmulationWaitOperator):
    """Wait until an emulation has completed; return its id, with the receipt in the XCom ``receipt``.

    If the task that starts the emulation is cleared during the wait and starts another one, the wait continues with the
    new one. If the emulation failed, was cancelled or timed out, the task fails at once, without Airflow's retries,
    which could only wait for the same emulation. The error says which task to clear.

    :param emulation_id: the emulation: a string, a template or another task's output
    :param prev_task_id: instead of ``emulation_id``: the task that started the emulation, to read the id from its XCom.
        Inside a task group the name within the group is enough; in a mapped group the start of the same map index is
        used
    :param cancel_on_kill: as for :class:`EmulationWaitOperator`. By default only an emulation of the task's own run is
        cancelled: one given by ``prev_task_id`` or another task's output, as a bare ``emulation_id`` may be anybody's
    :param kwargs: as for :class:`EmulationWaitOperator`, and what it raises
    :raises DataEmulatorConfigError: also when there is no usable id
    """

    template_fields: Sequence[str] = (*parameters.WAITED_FOR, *parameters.WAIT, *parameters.COMMON)

    def __init__(
        self,
        *,
        emulation_id: Any = None,
        prev_task_id: str | None = None,
        cancel_on_kill: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if cancel_on_kill is None:
            cancel_on_kill = prev_task_id is not None or isinstance(emulation_id, XComArg)
        super().__init__(cancel_on_kill=cancel_on_kill, **kwargs)
        if (emulation_id is None) == (prev_task_id is None):
            raise ValueError(f"Task {self.task_id}: give either emulation_id or prev_task_id")
        self.emulation_id = emulation_id
        self.prev_task_id = prev_task_id

    def current_id(self, context: Context, waited_for: str) -> str:
        """Return the emulation that the other task started last.

        :raises EmulationReplacedError: when that task has been cleared, and is about to start another one
        """
        from ..wire.status import parse_emulation_id

        value, source = self._stated_id(context)
        if value is None:
            raise EmulationReplacedError(
                f"Emulation {self.name_of(waited_for)} is not in {source} any more: that task is being run again. A "
                "retry of this one waits for what it starts"
            )
        return parse_emulation_id(value)

    def result(self, receipt: Receipt | None, emulation_id: str) -> str:
        """Return the id."""
        return emulation_id

    def ended_badly(self, context: Context, error: EmulationEndError) -> EmulationEndError:
        """Return an error that Airflow does not retry and that says what to do."""
        task = "the task that starts it" if self.prev_task_id is None else f"task {self._sibling(self.prev_task_id)!r}"
        return error.without_retries(f"{error}. To run it again, clear {task} together with this task")

    def _execute(self, context: Context) -> Any:
        from ..wire.status import parse_emulation_id

        value, source = self._stated_id(context)
        try:
            emulation_id = parse_emulation_id(value)
        except DataEmulatorAnswerError as error:
            raise DataEmulatorConfigError(f"No emulation to wait for in {source}: {error}") from error
        return self.wait_for(context, emulation_id)

    def _stated_id(self, context: Context) -> tuple[Any, str]:
        """Return what should be the id, and where it comes from."""
        if self.prev_task_id is None:
            return self.emulation_id, "emulation_id"
        task_id = self._sibling(self.prev_task_id)
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        value = ti.xcom_pull(task_ids=task_id, map_indexes=map_index)
        if value is None and map_index >= 0:
            value = ti.xcom_pull(task_ids=task_id, map_indexes=-1)  # a mapped wait for a start that is not mapped
        return value, f"the XCom of task {task_id!r} (map index {map_index})"

    def _sibling(self, task_id: str) -> str:
        """Return the full id of a task named within this task's group, looking in its groups from the inside out."""
        groups = self.task_id.split(".")[:-1]
        for depth in range(len(groups), 0, -1):
            candidate = ".".join([*groups[:depth], task_id])
            if self.dag.has_task(candidate):
                return candidate
        return task_id
