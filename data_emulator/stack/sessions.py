"""Which processes a server consists of, and ending all of them.

Every server of the stack is started as the leader of a session of its own. Its children may move to other process
groups (Airflow's task supervisor does), but they stay in the session: so a session, and not a group, is what is ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from data_emulator.stack import process_table

_POLL_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Session:
    """A session by its id, with what tells it from a later one that was given the same id.

    `id` is the pid of the leader; `started` is when the leader started, as `process_table.started` puts it.
    """

    id: int
    started: str

    @classmethod
    def led_by(cls, pid: int) -> "Session":
        """Return the session whose leader is the running, or not yet reaped, process `pid`.

        Raises ProcessLookupError when there is no such process.
        """
        started = process_table.started(pid)
        if started is None:
            raise ProcessLookupError(f"there is no process {pid}")
        return cls(id=pid, started=started)


def members(session: Session) -> list[int]:
    """Return the pids of what still runs in `session`; none when its id belongs to someone else by now."""
    # When the leader is gone: as long as any member lives, the system gives its id to no other process.
    if process_table.started(session.id) not in (session.started, None):
        return []
    return [pid for pid in process_table.pids_in_session(session.id) if process_table.is_running(pid)]


def end(sessions: Iterable[Session], *, grace_s: float) -> None:
    """End every process of `sessions`: SIGTERM, then SIGKILL to what is left after `grace_s` seconds.

    Leaders get SIGTERM first and alone, so that they end their own children in order. With `grace_s` 0 there is no
    SIGTERM, as in a crash. Raises RuntimeError when a process outlives SIGKILL.
    """
    remaining = list(sessions)
    if grace_s > 0:
        for session in remaining:
            if members(session):
                _signal([session.id], signal.SIGTERM)
        remaining = _wait(remaining, timeout_s=grace_s)
    for _ in range(3):  # A process may fork between being listed and being killed.
        _signal([pid for session in remaining for pid in members(session)], signal.SIGKILL)
        remaining = _wait(remaining, timeout_s=5)
        if not remaining:
            return
    pids = sorted(pid for session in remaining for pid in members(session))
    if pids:
        raise RuntimeError(f"processes {pids} could not be ended, not even with SIGKILL; end them by hand")


def _wait(sessions: list[Session], *, timeout_s: float) -> list[Session]:
    """Return those of `sessions` that still have members when all are gone or `timeout_s` is over.

    A leader that is gone will not end its children any more, so these get SIGTERM here.
    """
    deadline = time.monotonic() + timeout_s
    told: set[int] = set()
    while True:
        running = {session: members(session) for session in sessions}
        running = {session: pids for session, pids in running.items() if pids}
        if not running or time.monotonic() >= deadline:
            return list(running)
        for session, pids in running.items():
            orphans = [] if session.id in pids else [pid for pid in pids if pid not in told]
            _signal(orphans, signal.SIGTERM)
            told.update(orphans)
        time.sleep(_POLL_INTERVAL_S)


def _signal(pids: list[int], signal_number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
