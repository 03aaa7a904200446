"""The command that starts a stack and leaves it running."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from data_emulator.console import Clock, console
from data_emulator.stack import folders
from data_emulator.stack.addresses import Addresses, running_addresses, shell_script
from data_emulator.stack.down import lock, stop_stack
from data_emulator.stack.incidents import describe_end, describe_incidents, recorded_incidents
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.processes import StackError, read_tail
from data_emulator.stack.seaweedfs import write_private


def up(airflow: bool) -> int:
    """Start the stack in `.lab/up`, leave it running, print its addresses, and return the exit status.

    A stack that is up already is left as it is, and its addresses are printed.
    """
    run_dir = folders.up_dir()
    try:
        return _up(run_dir, airflow)
    except OSError as error:  # no space left, or a folder that is somebody else's
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def _up(run_dir: Path, airflow: bool) -> int:
    with lock(run_dir):
        addresses = running_addresses(run_dir)
        if addresses is not None and airflow and addresses.airflow_url is None:
            console.print("The stack is up without Airflow. Stop it with 'make down', and start it again.")
            return 1
        if addresses is not None:
            console.print("The stack is up already.")
            for line in describe_incidents(recorded_incidents(run_dir)):
                console.print(line, style="yellow", markup=False, soft_wrap=True)
            _print_addresses(run_dir, addresses)
            return 0
        if end := describe_end(run_dir):
            console.print(end, style="yellow", markup=False, soft_wrap=True)
        stop_stack(run_dir)  # What is left of one whose process was killed.
        with interrupts_raise():
            try:
                addresses = _start(run_dir, airflow)
            except Interrupted as interruption:  # Once only: what follows is not disturbed.
                stop_stack(run_dir)
                console.print("Interrupted; nothing is left running.")
                return interruption.exit_status
            except StackError as error:
                stop_stack(run_dir)
                console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
                return 1
    console.print("The stack is up, and stays up until 'make down'.", style="green")
    _print_addresses(run_dir, addresses)
    return 0


def _start(run_dir: Path, airflow: bool) -> Addresses:
    """Start the process that runs the stack, and return when the stack is ready. Raises StackError."""
    log_path = folders.log_path(run_dir)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with log_path.open("w") as log:
        watcher = subprocess.Popen(  # noqa: S603 - what the stack itself composed
            [sys.executable, "-m", "data_emulator.stack.watcher", str(run_dir), *(["--airflow"] if airflow else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            # Its modules must be found from whatever folder this process was started in.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        try:
            for message in map(json.loads, watcher.stdout or ()):
                if "ready" in message:
                    return _announce(run_dir)
                if "failed" in message:
                    raise StackError(message["failed"])
                clock.say(message["say"])
        except BaseException:
            watcher.terminate()
            watcher.wait()
            raise
    watcher.wait()
    raise StackError(
        f"the process that runs the stack has ended. The end of its log, {log_path}:\n{read_tail(log_path)}"
    )


def _announce(run_dir: Path) -> Addresses:
    """Write the file for shells, and return where the stack is reached. Raises StackError when it has ended already."""
    addresses = running_addresses(run_dir)
    if addresses is None:
        raise StackError(f"the stack has ended right after its start: see {folders.log_path(run_dir)}")
    variables = addresses.environment()
    if addresses.airflow_url is not None:
        variables["AIRFLOW_HOME"] = str(run_dir / "airflow")
    write_private(folders.environment_path(run_dir), shell_script(variables))
    return addresses


def _print_addresses(run_dir: Path, addresses: Addresses) -> None:
    lines = [
        "",
        *([f"  {'Airflow':<10}{addresses.airflow_url}"] if addresses.airflow_url else []),
        f"  {'Service':<10}{addresses.service_url}",
        f"  {'S3':<10}{addresses.s3_endpoint}",
        f"  {'Kafka':<10}{addresses.kafka_bootstrap_servers}",
        "",
        "A file gives your shell these addresses and the keys:",
        f"  . {_shown(folders.environment_path(run_dir))}",
        "Then try, for example:",
        "  data-emulator sample transaction -n 5",
        "  data-emulator emulate transaction --records 1000 --to s3",
        "  data-emulator ls",
    ]
    if addresses.airflow_url:
        lines += [
            "  airflow dags unpause all_emulations_dag",
            "  airflow dags trigger all_emulations_dag",
            "Or open Airflow, and press Trigger at all_emulations_dag.",
            "The Variable emulation_domains says what it emulates.",
        ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _shown(path: Path) -> str:
    """Return a path as somebody in the current folder types it."""
    relative = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(str(relative))
