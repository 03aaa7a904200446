"""The trigger that waits for one emulation until it has ended or the deadline passes.

A worker imports this module only to defer, so what speaks HTTP is imported where it is used, which is in the triggerer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ..defaults import DEFAULT_CONN_NAME
from ..exceptions import DataEmulatorConfigError, DataEmulatorError, DataEmulatorRequestError
from ..wait_deadline import WaitDeadline
from ..wait_log import WaitLog

#: A worker may report that its task has deferred as late as its next heartbeat is due. If an event has resumed the task
#: by then, the scheduler fails it (ADR 8 has the measurements).
FIRST_EVENT_AFTER_S = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + 2.0


class EmulationTrigger(BaseTrigger):
    """Wait for an emulation, together with the connection's other triggers (:mod:`include.triggers.shared_wait`).

    Transient failures are retried until the deadline. Fires one event, a dictionary with ``emulation_id`` and
    ``outcome``:

    - ``ended``: the emulation is over; ``status`` is its ``EmulationStatus`` as a dictionary
    - ``refused``: the service refused to tell; ``http_status`` and ``detail`` say how
    - ``misconfigured``: the connection cannot be used; ``problem`` says why
    - ``deadline``: the deadline passed, at ``ended_at`` in seconds since the epoch; ``state`` is the last one seen,
      ``last_error`` what was in the way at the end; either may be None

    :param data_emulator_conn_id: the Airflow connection
    :param emulation_id: the emulation
    :param emulation_label: what people call it
    :param poll_interval: seconds between two looks where the service does not hold its answer
    :param deadline: when to stop waiting, in seconds since the epoch: a restart of the triggerer does not extend it
    :param latest_deadline: how far time in the service's queue may move the deadline; None for not at all
    :param cancel_on_kill: whether to cancel the emulation when somebody ends or clears the waiting task
    """

    def __init__(
        self,
        *,
        emulation_id: str,
        poll_interval: float,
        deadline: float,
        cancel_on_kill: bool,
        latest_deadline: float | None = None,  # None: from an earlier version, whose triggers may still wait
        emulation_label: str | None = None,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.emulation_id = emulation_id
        self.poll_interval = poll_interval
        self.emulation_label = emulation_label
        self.deadline = deadline
        self.latest_deadline = deadline if latest_deadline is None else latest_deadline
        self.cancel_on_kill = cancel_on_kill
        self.data_emulator_conn_id = data_emulator_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments from which a triggerer recreates this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "emulation_id": self.emulation_id,
                "poll_interval": self.poll_interval,
                "emulation_label": self.emulation_label,
                "deadline": self.deadline,
                "latest_deadline": self.latest_deadline,
                "cancel_on_kill": self.cancel_on_kill,
                "data_emulator_conn_id": self.data_emulator_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire one event."""
        began = time.monotonic()
        payload = await self._wait()
        await asyncio.sleep(max(0.0, began + FIRST_EVENT_AFTER_S - time.monotonic()))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the emulation; Airflow calls this when somebody marks or clears the waiting task."""
        if not self.cancel_on_kill:
            return
        from ..hooks.data_emulator_async import DataEmulatorAsyncHook

        try:
            async with DataEmulatorAsyncHook(self.data_emulator_conn_id).open() as client:
                cancelled = await client.cancel(self.emulation_id)
        except DataEmulatorError as error:
            self.log.warning("Could not cancel emulation %s, which keeps running: %s", self._name, error)
        else:
            self.log.info("Emulation %s %s", self._name, "cancelled" if cancelled else "had already ended")

    @property
    def _name(self) -> str:
        return f"{self.emulation_label} ({self.emulation_id})" if self.emulation_label else self.emulation_id

    async def _wait(self) -> dict[str, Any]:
        """Listen until the wait ends and return the event's payload."""
        from .shared_wait import Refusal, Trouble, shared_wait

        log = WaitLog(self.log, self._name)
        ends = WaitDeadline(self.deadline, self.latest_deadline)
        if ends.remaining_s() > 0:
            async with shared_wait(self.data_emulator_conn_id).follow(self.emulation_id, self.poll_interval) as news:
                while (remaining_s := ends.remaining_s()) > 0:
                    try:
                        async with asyncio.timeout(remaining_s):  # wait_for can lose a cancellation
                            heard = await news.get()
                    except TimeoutError:
                        continue
                    if isinstance(heard, Refusal):
                        return self._refused(heard.error)
                    if isinstance(heard, Trouble):
                        log.failed(heard.error) if heard.error else log.answered_again()
                    elif heard.state.is_terminal:
                        return self._payload("ended", status=heard.as_dict())
                    else:
                        log.answered(heard)
                        ends.saw(heard.state)
        return self._payload("deadline", state=log.state, last_error=log.in_the_way, ended_at=time.time())

    def _refused(self, error: DataEmulatorRequestError | DataEmulatorConfigError) -> dict[str, Any]:
        if isinstance(error, DataEmulatorRequestError):
            return self._payload("refused", http_status=error.http_status, detail=error.detail)
        return self._payload("misconfigured", problem=str(error))

    def _payload(self, outcome: str, **details: Any) -> dict[str, Any]:
        return {"emulation_id": self.emulation_id, "outcome": outcome, **details}
