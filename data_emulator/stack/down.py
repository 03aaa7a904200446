"""The commands that stop stacks and delete their data.

They need nothing but the standard library, so that `make down`, `make reset` and `make clean` work with any Python,
also where nothing is installed, or no longer.
"""

import argparse
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_emulator.stack import folders
from data_emulator.stack.incidents import describe_end
from data_emulator.stack.owner import running_owner, stop_owner
from data_emulator.stack.records import recorded, stop_recorded


def down() -> int:
    """Stop the stack that `up` started, keep its data, and return the exit status."""
    run_dir = folders.up_dir()
    if not run_dir.exists():
        print("No stack is up.")
        return 0
    with lock(run_dir):
        stopped = stop_stack(run_dir)
    if stopped:
        whose = "Its" if len(stopped) == 1 else "Their"
        print(f"Stopped {', '.join(stopped)}.\n{whose} data stays in {run_dir}.")
    else:
        print(*filter(None, ("No stack is up.", describe_end(run_dir))))
    return 0


def reset() -> int:
    """Stop the stack that `up` started, delete its data and what failed demos left, and return the exit status."""
    lab_dir = folders.lab_dir()
    run_dir = folders.up_dir()
    left = [path for path in lab_dir.glob("demo-*") if running_owner(path) is None]
    if run_dir.exists():
        with lock(run_dir):
            stopped = stop_stack(run_dir)
            if stopped:
                print(f"Stopped {', '.join(stopped)}.")
            shutil.rmtree(run_dir)
        left.insert(0, run_dir)
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
        print(f"Deleted {path}.")
    if not left:
        print("There is nothing to delete.")
    return 0


def stop_all() -> int:
    """Stop every stack of this clone, those of demos that are running among them, and return the exit status."""
    for path in sorted(folders.lab_dir().glob("*/processes.json")):
        stopped = stop_stack(path.parent)
        if stopped:
            print(f"Stopped {', '.join(stopped)}, which ran in {path.parent}.")
    return 0


def stop_stack(run_dir: Path) -> list[str]:
    """Stop the stack in `run_dir`, whoever runs it, and return the names of the servers that ran."""
    running = [entry.name for entry in recorded(folders.processes_path(run_dir)) if entry.is_running()]
    stop_owner(run_dir)
    stop_recorded(folders.processes_path(run_dir))
    for path in (folders.addresses_path, folders.environment_path, folders.owner_path):
        path(run_dir).unlink(missing_ok=True)
    return running


@contextmanager
def lock(run_dir: Path) -> Iterator[None]:
    """Let one command at a time start or stop the stack in `run_dir`."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    with run_dir.with_name(f"{run_dir.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Run one of the commands."""
    commands = {"down": down, "reset": reset, "stop-all": stop_all}
    parser = argparse.ArgumentParser(prog="python -m data_emulator.stack.down", description=__doc__)
    parser.add_argument("command", choices=commands)
    return commands[parser.parse_args().command]()


if __name__ == "__main__":
    raise SystemExit(main())
