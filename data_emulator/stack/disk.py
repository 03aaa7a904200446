"""How much room the disk of a stack has."""

import shutil
from pathlib import Path

from data_emulator.stack.processes import StackError

_MB = 1_000_000
# By whether Airflow is part of it, with room for some hours. Measured: 26 MB after `make demo`, 7 MB after the start of
# `make up`, 53 MB after its first run; 1 MB without Airflow.
_NEEDED_BYTES = {True: 200 * _MB, False: 50 * _MB}
# Below this SQLite, SeaweedFS and the logs are about to fail, whoever is the first.
_FULL_BELOW_BYTES = 20 * _MB
# SeaweedFS writes nothing when less than a hundredth of the disk is free; `weed mini` has no option for it.
_STORE_LEAVES_FREE = 0.01


def check_space(run_dir: Path, *, with_airflow: bool) -> None:
    """Raise StackError when a stack that starts in the existing folder `run_dir` would run out of space."""
    free, left = free_bytes(run_dir), _left_by_store(run_dir)
    needed = _NEEDED_BYTES[with_airflow] + left
    if free < needed:
        raise StackError(
            f"the disk with {run_dir} has {_mb(free)} MB free, and the stack needs {_mb(needed)} MB{_unused(left)}. "
            "Delete something; 'make reset' deletes what earlier stacks wrote"
        )


def full_disk(run_dir: Path) -> str | None:
    """Return a sentence, without its full stop, when the disk of a stack is full."""
    free, left = free_bytes(run_dir), _left_by_store(run_dir)
    if free >= max(_FULL_BELOW_BYTES, left):
        return None
    return f"the disk with {run_dir} is full ({_mb(free)} MB free{_unused(left)})"


def free_bytes(path: Path) -> int:
    """Return how much may still be written to the disk of `path`."""
    return shutil.disk_usage(path).free


def total_bytes(path: Path) -> int:
    """Return the size of the disk of `path`."""
    return shutil.disk_usage(path).total


def _left_by_store(run_dir: Path) -> int:
    return int(total_bytes(run_dir) * _STORE_LEAVES_FREE)


def _unused(left: int) -> str:
    """Return what is to be added where it counts that the store does not use the whole disk."""
    return f"; the S3 store leaves {_mb(left)} MB, 1 % of the disk, unused" if left > _FULL_BELOW_BYTES else ""


def _mb(size: int) -> str:
    return f"{size // _MB:,}"
