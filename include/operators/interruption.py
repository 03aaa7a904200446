"""React to SIGTERM, which tells a task's process to end.

The signal has two causes that look the same from within. Either somebody has marked or cleared the task, or failed its
run: then nobody waits for the emulation any more, and it is cancelled. Or the process has to stop, because its pod is
evicted or the worker shut down: then this try fails, and the next one resumes with the same emulation. Airflow's state
of the task tells which it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ..exceptions import TaskInterruptedError

#: States of a task that continues, in this try or the next.
_GOES_ON = frozenset({"running", "deferred", "up_for_retry", "up_for_reschedule", "scheduled", "queued"})
#: How long to wait for the cancellation: a killed task has five seconds from the signal on.
_CANCELLED_WITHIN_S = 4.0
#: How long the signal handler waits if the interrupted code has to continue first.
_HANDLER_WAITS_S = 1.0


class Interruption:
    """Ends a try whose process received SIGTERM.

    :param cancel: cancels the emulation; None to cancel nothing
    :param log: the task's logger
    """

    def __init__(self, task_instance: Any, cancel: Callable[[], None] | None, log: Any) -> None:
        self._ti = task_instance
        self._cancel = cancel
        self._log = log
        self._thread: threading.Thread | None = None
        self._may_raise = False

    def on_signal(self) -> None:
        """Handle the signal; within :meth:`interruptible`, end the try.

        The rest happens in a thread. The interrupted code may be waiting for Airflow's answer while it holds the lock
        that all requests to Airflow need, so a request made in the handler itself would never be answered.

        :raises TaskInterruptedError: within :meth:`interruptible`
        """
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._cancel_if_ended, name="on-kill")
        self._thread.start()
        if self._may_raise:
            self._leave(self._thread)
        self._thread.join(_HANDLER_WAITS_S)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Return a context that the signal may leave at once; code in it must not call Airflow.

        :raises TaskInterruptedError: as soon as the signal arrives, or if it has already arrived
        """
        if self._thread is not None:
            self._leave(self._thread)
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise = False

    def _leave(self, thread: threading.Thread) -> NoReturn:
        self._may_raise = False
        thread.join(_CANCELLED_WITHIN_S)
        raise TaskInterruptedError(
            "The task's process received SIGTERM before the emulation had ended; the next try resumes the wait"
        )

    def _cancel_if_ended(self) -> None:
        if self._cancel is None:
            return
        state = self._state()
        if state in _GOES_ON:
            self._log.info(
                "The task was not ended by anybody (its state is %s): the emulation keeps running for the next try",
                state,
            )
        else:
            self._log.info("The task was ended or cleared (its state is %s)", state or "none")
            self._cancel()

    def _state(self) -> str | None:
        """Return Airflow's state of the task; None if it was just cleared."""
        ti = self._ti
        name = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        try:
            states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
        except Exception as error:
            # On any error keep it running: the service cancels an unwanted emulation (abandon_after), but a cancelled
            # one cannot be brought back.
            self._log.warning("Cannot read the task's state from Airflow; leaving the emulation running: %s", error)
            return "running"
        state = states.get(ti.run_id, {}).get(name)
        return None if state is None else str(state)
