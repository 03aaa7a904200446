"""The deferrable wait: follows one emulation from the triggerer until it is over, or the deadline passes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.connection import DEFAULT_CONN_NAME
from include.exceptions import DataEmulatorError, DataEmulatorRequestError, DataEmulatorUnavailableError
from include.hooks.data_emulator_async import DataEmulatorAsyncHook, DataEmulatorClient
from include.wait_log import WaitLog

#: An event that comes sooner can overtake the worker's own report that the task deferred, and fail the task.
FIRST_EVENT_AFTER_S = 5.0
#: How long the service is asked to hold one answer; below the 60 s after which proxies commonly give up.
LONG_POLL_S = 30
#: Between two requests at the least, whatever the service or the retry policy say.
MIN_PAUSE_S = 1.0
#: Share by which a poll interval varies, so that waits which began together spread out.
JITTER = 0.2


class EmulationTrigger(BaseTrigger):
    """Wait for an emulation, by long poll where the service offers that and by plain polling elsewhere.

    Passing failures are ridden out until the deadline. Fires one event, a dictionary with ``emulation_id`` and
    ``outcome``:

    - ``ended``: the emulation is over; ``status`` is its ``EmulationStatus`` as a dictionary
    - ``refused``: the service refused to tell; ``http_status`` and ``detail`` say how
    - ``deadline``: the deadline passed; ``state`` is the last one seen, ``last_error`` what was in the way at the end;
      either may be None

    :param data_emulator_conn_id: the Airflow connection
    :param emulation_id: the emulation
    :param poll_interval: seconds between two looks where the service does not hold its answer
    :param deadline: when to stop waiting, in seconds since the epoch: a restart of the triggerer does not extend it
    :param cancel_on_kill: whether to cancel the emulation when somebody ends or clears the waiting task
    """

    def __init__(
        self,
        *,
        emulation_id: str,
        poll_interval: float,
        deadline: float,
        cancel_on_kill: bool,
        data_emulator_conn_id: str = DEFAULT_CONN_NAME,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.emulation_id = emulation_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill
        self.data_emulator_conn_id = data_emulator_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments from which a triggerer builds this trigger anew."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "emulation_id": self.emulation_id,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "cancel_on_kill": self.cancel_on_kill,
                "data_emulator_conn_id": self.data_emulator_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event."""
        began = time.monotonic()
        async with DataEmulatorAsyncHook(self.data_emulator_conn_id).open() as client:
            payload = await self._wait(client)
        await asyncio.sleep(max(0.0, began + FIRST_EVENT_AFTER_S - time.monotonic()))
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the emulation: Airflow calls this when somebody marks or clears the waiting task."""
        if not self.cancel_on_kill:
            return
        try:
            async with DataEmulatorAsyncHook(self.data_emulator_conn_id).open() as client:
                cancelled = await client.cancel(self.emulation_id)
        except DataEmulatorError as error:
            self.log.warning("Emulation %s was not cancelled and runs on: %s", self.emulation_id, error)
        else:
            self.log.info("Emulation %s %s", self.emulation_id, "cancelled" if cancelled else "was over already")

    async def _wait(self, client: DataEmulatorClient) -> dict[str, Any]:
        """Look until there is something to tell; returns the event's payload."""
        log = WaitLog(self.log, self.emulation_id)
        failures = 0
        while (remaining_s := self.deadline - time.time()) > 0:
            asked_at = time.monotonic()
            try:
                # One attempt: an outage is paced, and logged, here.
                async with asyncio.timeout(remaining_s):
                    status = await client.get_status(
                        self.emulation_id, wait_s=min(LONG_POLL_S, int(remaining_s)), attempts=1
                    )
            except TimeoutError:
                break
            except DataEmulatorRequestError as error:
                return self._payload("refused", http_status=error.http_status, detail=error.detail)
            except DataEmulatorUnavailableError as error:
                failures += 1
                log.failed(error)
                pause_s = max(client.settings.retry.wait_s(failures, error), MIN_PAUSE_S)
            else:
                failures = 0
                log.answered(status)
                if status.state.is_terminal:
                    return self._payload("ended", status=status.as_dict())
                # A service that held its answer has done the waiting already.
                if status.waited and time.monotonic() - asked_at >= MIN_PAUSE_S:
                    pause_s = 0.0
                else:
                    pause_s = self.poll_interval * random.uniform(1 - JITTER, 1 + JITTER)
            await asyncio.sleep(max(0.0, min(pause_s, self.deadline - time.time())))
        return self._payload("deadline", state=log.state, last_error=log.last_error)

    def _payload(self, outcome: str, **details: Any) -> dict[str, Any]:
        return {"emulation_id": self.emulation_id, "outcome": outcome, **details}
