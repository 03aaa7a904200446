"""The process that runs a stack: whoever wants the stack stopped asks this one to do it."""

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

from data_emulator.stack.folders import owner_path
from data_emulator.stack.process_table import Process

# It gives its servers 10 s to end, and then once more to those that the others write to.
_GRACE_S = 60.0
_POLL_INTERVAL_S = 0.05


def record_owner(run_dir: Path) -> None:
    """Record that this process runs the stack in `run_dir`."""
    path = owner_path(run_dir)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(Process.current())) + "\n")
    temporary.replace(path)


def running_owner(run_dir: Path) -> Process | None:
    """Return the process that runs the stack in `run_dir`, or None when nobody does."""
    path = owner_path(run_dir)
    if not path.exists():
        return None
    owner = Process(**json.loads(path.read_text()))
    return owner if owner.is_running() else None


def stop_owner(run_dir: Path) -> None:
    """Ask the process that runs the stack in `run_dir`, if any, to stop it, and wait until it has.

    One that does not is killed; its servers are then for `records.stop_recorded`.
    """
    owner = running_owner(run_dir)
    if owner is None or owner.pid == os.getpid():
        return
    deadline = time.monotonic() + _GRACE_S
    _signal(owner, signal.SIGTERM)
    while owner.is_running():
        if time.monotonic() >= deadline:
            _signal(owner, signal.SIGKILL)
        time.sleep(_POLL_INTERVAL_S)


def _signal(owner: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(owner.pid, number)
