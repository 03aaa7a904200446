"""How much room the disk of a stack has."""

import shutil
from pathlib import Path

from data_emulator.stack.processes import StackError

_MB = 1_000_000
# Measured: what the servers write while they start, and what they need to write the demo's data and their logs.
_NEEDED_BYTES = {True: 500 * _MB, False: 200 * _MB}
# Below this SQLite, SeaweedFS and the logs are about to fail, whoever is the first.
_FULL_BELOW_BYTES = 20 * _MB


def check_space(run_dir: Path, *, with_airflow: bool) -> None:
    """Raise StackError when a stack that starts in the existing folder `run_dir` would run out of space."""
    free, needed = free_bytes(run_dir), _NEEDED_BYTES[with_airflow]
    if free < needed:
        raise StackError(
            f"the disk with {run_dir} has {free // _MB} MB free, and the stack needs {needed // _MB} MB: "
            "delete something, or 'make reset' deletes what earlier stacks wrote"
        )


def full_disk(run_dir: Path) -> str | None:
    """Return a sentence, without its full stop, when the disk of a stack is full."""
    free = free_bytes(run_dir)
    return f"the disk with {run_dir} is full ({free // _MB} MB free)" if free < _FULL_BELOW_BYTES else None


def free_bytes(path: Path) -> int:
    """Return how much may still be written to the disk of `path`."""
    return shutil.disk_usage(path).free
