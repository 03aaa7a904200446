"""Which processes run, by the standard library alone: from `/proc` where there is one, from `ps` elsewhere.

So that a stack can be stopped by any Python, also when what was installed for it is gone.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_ZOMBIE = "Z"
# Where the fields of /proc/PID/stat are, counted from behind the name, which may contain blanks: proc_pid_stat(5).
_STATE, _START_TIME = 0, 19


@dataclass(frozen=True)
class Process:
    """A process by its id, with what tells it from a later one that was given the same id."""

    pid: int
    started: str

    @classmethod
    def current(cls) -> "Process":
        """Return this process."""
        return cls(os.getpid(), started(os.getpid()) or "")

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return is_running(self.pid) and started(self.pid) == self.started


def started(pid: int) -> str | None:
    """Return when process `pid` started, or None when there is none; a zombie is one.

    The text is only good for comparisons: it tells the process from a later one that is given the same id.
    """
    if _has_proc():
        fields = _stat(pid)
        return f"{_boot()}:{fields[_START_TIME]}" if fields else None
    return _ps("-o", "lstart=", "-p", str(pid)) or None


def is_running(pid: int) -> bool:
    """Tell whether process `pid` runs; a zombie does not."""
    if _has_proc():
        fields = _stat(pid)
        return bool(fields) and fields[_STATE] != _ZOMBIE
    state = _ps("-o", "stat=", "-p", str(pid))
    return bool(state) and not state.startswith(_ZOMBIE)


def pids_in_session(session_id: int) -> list[int]:
    """Return the ids of the processes of a session, zombies among them."""
    if _has_proc():
        pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    else:
        pids = [int(pid) for pid in _ps("-A", "-o", "pid=").split()]
    return [pid for pid in pids if _session_id(pid) == session_id]


def _session_id(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _has_proc() -> bool:
    return (_PROC / "self/stat").exists()


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _boot() -> str:
    """Return what tells this boot of the machine from others: start times count from it."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def _ps(*arguments: str) -> str:
    # Times are printed in the language and the zone of the caller.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    listed = subprocess.run(  # noqa: S603
        ("/bin/ps", *arguments), capture_output=True, text=True, check=False, env=environment
    )
    return listed.stdout.strip()
