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

import psutil  # type: ignore[import-untyped]

# psutil derives a start time from the boot time, which moves a little when the clock is adjusted.
_START_TIME_TOLERANCE_S = 2.0
_POLL_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Session:
    """A session by its id, with what tells it from a later one that was given the same id.

    `id` is the pid of the leader; `started_at` is when the leader started, in Unix seconds.
    """

    id: int
    started_at: float

    @classmethod
    def led_by(cls, pid: int) -> "Session":
        """Return the session whose leader is the running, or not yet reaped, process `pid`."""
        return cls(id=pid, started_at=psutil.Process(pid).create_time())


def members(session: Session) -> list[int]:
    """Return the pids of what still runs in `session`; none when its id belongs to someone else by now."""
    try:
        leader_started_at = psutil.Process(session.id).create_time()
    except psutil.Error:
        pass  # The leader is gone. As long as any member lives, the system gives its id to no other process.
    else:
        if abs(leader_started_at - session.started_at) > _START_TIME_TOLERANCE_S:
            return []
    return [pid for pid in psutil.pids() if _session_id(pid) == session.id and _is_running(pid)]


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


def _session_id(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
