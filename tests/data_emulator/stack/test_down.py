"""Stacks are stopped and deleted by any Python, with nothing installed, and by the commands of the Makefile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_emulator.stack.folders import addresses_path, incidents_path, processes_path, project_dir
from data_emulator.stack.incidents import Incident, record_incident
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.records import recorded

# A process that runs a stack: it records itself, says so, and when it is told to end it says that.
_OWNER = """
import signal, sys
from pathlib import Path
from data_emulator.stack.owner import record_owner
run_dir = Path(sys.argv[1])
def end(*_):
    (run_dir / "ended").touch()
    sys.exit()
signal.signal(signal.SIGTERM, end)
record_owner(run_dir)
(run_dir / "ready").touch()
signal.pause()
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which nothing is installed."""
    clone = tmp_path / "a clone"
    (clone / "dags").mkdir(parents=True)
    shutil.copy(project_dir() / "Makefile", clone)
    shutil.copytree(
        project_dir() / "data_emulator", clone / "data_emulator", ignore=shutil.ignore_patterns("__pycache__", "*.json")
    )
    return clone


@pytest.fixture
def up_dir(clone: Path) -> Path:
    path = clone / ".lab" / "up"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def server(up_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server of the clone's stack, with its data."""
    supervisor = Supervisor(processes_path(up_dir), guarded=False)
    (up_dir / "data").write_text("kept")
    addresses_path(up_dir).write_text("{}")
    child = supervisor.launch(Command("server", ("sleep", "600"), up_dir / "log"))
    yield child.process
    child.process.kill()
    child.process.wait()


def make(clone: Path, target: str) -> str:
    """Run `make TARGET` there, with a Python that finds no installed package."""
    bare = clone / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", target, "PYTHON=./bare-python"],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not (clone / ".venv").exists()
    return done.stdout


@pytest.mark.parametrize(
    ("target", "printed"), [("down", "No stack is up.\n"), ("reset", "There is nothing to delete.\n")]
)
def test_nothing_is_up_and_nothing_is_installed_or_created(clone: Path, target: str, printed: str) -> None:
    assert make(clone, target) == printed
    assert not (clone / ".lab").exists()


def test_down_stops_and_keeps_the_data(clone: Path, up_dir: Path, server: "subprocess.Popen[bytes]") -> None:
    assert make(clone, "down") == f"Stopped server.\nIts data stays in {up_dir}.\n"
    assert server.wait(0) == -signal.SIGTERM
    assert (up_dir / "data").read_text() == "kept"
    assert not addresses_path(up_dir).exists()


def test_reset_stops_and_deletes_the_data_and_what_failed_demos_left(
    clone: Path, up_dir: Path, server: "subprocess.Popen[bytes]"
) -> None:
    (clone / ".lab" / "demo-failed").mkdir()
    (clone / ".lab" / "apache-kafka").mkdir()
    printed = make(clone, "reset")
    assert server.wait(0) == -signal.SIGTERM
    assert "Stopped server." in printed
    assert f"Deleted {up_dir}." in printed
    assert {path.name for path in (clone / ".lab").iterdir()} == {"apache-kafka", "up.lock"}


def test_clean_stops_first_and_demos_too(clone: Path, up_dir: Path, server: "subprocess.Popen[bytes]") -> None:
    demo_dir = up_dir.rename(up_dir.with_name("demo-1"))
    printed = make(clone, "clean")
    assert server.wait(0) == -signal.SIGTERM
    assert f"Stopped server, which ran in {demo_dir}." in printed
    assert not (clone / ".lab").exists()


def test_the_process_that_runs_the_stack_is_asked_to_stop_it(
    clone: Path, up_dir: Path, server: "subprocess.Popen[bytes]"
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(up_dir)])
    try:
        deadline = time.monotonic() + 60
        while not (up_dir / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        make(clone, "down")
        assert (up_dir / "ended").exists()
        assert owner.wait(10) == 0
        assert recorded(processes_path(up_dir)) == []
    finally:
        owner.kill()
        owner.wait()


def test_down_says_why_a_stack_has_ended_by_itself(clone: Path, up_dir: Path) -> None:
    record_incident(up_dir, Incident(time.time(), "tansu died (exit status 1)", server="tansu", final=True))
    with incidents_path(up_dir).open("a") as file:
        file.write('{"at": 17')  # and then the disk was full
    printed = make(clone, "down")
    assert printed.startswith("No stack is up. The last stack ended by itself at 20")
    assert printed.endswith(": tansu died (exit status 1).\n")
