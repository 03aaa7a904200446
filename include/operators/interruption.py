"""What a task does when its process is told to end, by SIGTERM.

The signal comes in two ways that look the same from within. Somebody has marked or cleared the task, or failed its run:
then nobody waits for the emulation any more, and it is cancelled. Or the process has to go, since its pod is evicted or
the worker stopped: then this try fails, and the next one goes on with the same emulation. So Airflow is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ..exceptions import TaskInterruptedError

#: States of a task that somebody means to be carried on, in this try or the next.
_GOES_ON = frozenset({"running", "deferred", "up_for_retry", "up_for_reschedule", "scheduled", "queued"})
#: From the signal on a killed task has five seconds. So long an interrupted one waits for its emulation's cancellation.
_CANCELLED_WITHIN_S = 4.0
#: Where the code that the signal has interrupted must go on first, the signal's handler waits no longer than this.
_HANDLER_WAITS_S = 1.0


class Interruption:
    """Ends a try of a task whose process was told to end.

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
        """Handle the signal; within :meth:`interruptible` by leaving the try.

        The rest is done in a thread. The code that the signal has interrupted may be waiting for an answer of
        Airflow's, and hold the lock that all questions to Airflow need: in the handler none would ever be answered.

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
        """A block that only waits, or speaks with the service: nothing of Airflow's is asked in it.

        :raises TaskInterruptedError: as soon as the task is told to end, or if it was before
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
        raise TaskInterruptedError("The task's process was told to end (SIGTERM) before the emulation was over")

    def _cancel_if_ended(self) -> None:
        if self._cancel is None:
            return
        state = self._state()
        if state in _GOES_ON:
            self._log.info("Nobody has ended the task (it is %s): its emulation runs on, for the next try", state)
        else:
            self._log.info("The task was ended or cleared (it is %s)", state or "without a state")
            self._cancel()

    def _state(self) -> str | None:
        """The state that Airflow has for the task, None for one that was just cleared."""
        ti = self._ti
        name = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        try:
            states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
        except Exception as error:
            # Whatever it is: an emulation that should not run is cancelled by the service (abandon_after), and one that
            # should have run on could not be had back.
            self._log.warning("Airflow cannot be asked whether somebody has ended the task: %s", error)
            return "running"
        state = states.get(ti.run_id, {}).get(name)
        return None if state is None else str(state)
