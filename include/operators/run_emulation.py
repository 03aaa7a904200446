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
    """Start an emulation and wait until it is over; returns its receipt, and has it in the XCom ``receipt`` too.

    For those who want one box instead of two, with the same parameters and guarantees, and with Airflow's ``retries``
    for the emulation too: a try whose emulation failed, was cancelled, or was not over in time is followed by one that
    starts another. A try that ends for another reason, like a worker that stops, is followed by one that goes on with
    the same emulation. A clear starts another one. The receipt is a dictionary, described in
    :class:`include.receipt.Receipt`; of a service that tells too little it has only the id.

    :param kwargs: as for :class:`StartEmulatorOperator` and :class:`EmulationWaitOperator`, and what they raise
    """

    template_fields: Sequence[str] = (*parameters.START, *parameters.WAIT, *parameters.COMMON)
    operator_extra_links = EmulationWaitOperator.operator_extra_links

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def result(self, receipt: Receipt | None, emulation_id: str) -> dict[str, Any]:
        """The receipt."""
        return receipt.as_dict() if receipt else {"id": emulation_id}

    def ended_badly(self, context: Context, error: EmulationEndError) -> EmulationEndError:
        """The error, after which the next try starts another emulation; one that was left running is waited for."""
        from ..idempotency import RUN_AGAIN, remember_end

        if self.cancel_on_kill or not isinstance(error, EmulationTimeoutError):
            remember_end(context, RUN_AGAIN, self.log)
        return error

    def _execute(self, context: Context) -> Any:
        return self.wait_for(context, self.start(context, done=False))
