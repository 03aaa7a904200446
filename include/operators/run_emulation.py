"""Start an emulation and wait for it, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.operators import parameters
from include.operators.emulation_wait import EmulationWaitOperator
from include.operators.start_emulator import StartEmulatorOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.receipt import Receipt


class RunEmulationOperator(StartEmulatorOperator, EmulationWaitOperator):
    """Start an emulation and wait until it is over; returns its receipt, and has it in the XCom ``receipt`` too.

    For those who want one box instead of two, with the same parameters, errors and guarantees: a retry goes on waiting
    for the emulation of the try before, a clear starts another one, and what nobody waits for is cancelled. The receipt
    is a dictionary, described in :class:`include.receipt.Receipt`; of a service that tells too little it has only the
    id.

    :param kwargs: as for :class:`StartEmulatorOperator` and :class:`EmulationWaitOperator`, and what they raise
    """

    template_fields: Sequence[str] = (*parameters.START, *parameters.WAIT, *parameters.COMMON)
    operator_extra_links = EmulationWaitOperator.operator_extra_links

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _execute(self, context: Context) -> Any:
        return self.wait_for(context, self.start(context))

    def result(self, receipt: Receipt | None, emulation_id: str) -> dict[str, Any]:
        """The receipt."""
        return receipt.as_dict() if receipt else {"id": emulation_id}
