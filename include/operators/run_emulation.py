"""Start an emulation and wait for it, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..exceptions import EmulationEndError, EmulationTimeoutError
from . import parameters
from .emulation_wait import EmulationWaitOperator
from .start_emulator import StartEmulatorOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ..receipt import Receipt


class RunEmulationOperator(StartEmulatorOperator, EmulationWaitOperator):
    """Start an emulation, wait until it has ended, and return its receipt, which is also in the XCom ``receipt``.

    One task instead of two, with the same parameters and guarantees. Airflow's ``retries`` apply to the emulation as
    well: if it failed, was cancelled or timed out, the next try starts another one. If a try ends for another reason,
    such as a worker that stops, the next try resumes with the same emulation. Clearing the task starts another one. The
    receipt is a dictionary (see :class:`include.receipt.Receipt`); it has only the id if the service reports too
    little.

    :param kwargs: as for :class:`StartEmulatorOperator` and :class:`EmulationWaitOperator`, and what they raise
    """

    template_fields: Sequence[str] = (*parameters.START, *parameters.WAIT, *parameters.COMMON)
    operator_extra_links = EmulationWaitOperator.operator_extra_links

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def result(self, receipt: Receipt | None, emulation_id: str) -> dict[str, Any]:
        """Return the receipt."""
        return receipt.as_dict() if receipt else {"id": emulation_id}

    def ended_badly(self, context: Context, error: EmulationEndError) -> EmulationEndError:
        """Return the error; the next try starts another emulation, unless this one was left running."""
        from ..idempotency import RUN_AGAIN, remember_end

        if self.cancel_on_kill or not isinstance(error, EmulationTimeoutError):
            remember_end(context, RUN_AGAIN, self.log)
        return error

    def _execute(self, context: Context) -> Any:
        return self.wait_for(context, self.start(context, done=False))
