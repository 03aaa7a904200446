"""Processes are told apart by when they started, with and without /proc."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_emulator.stack import process_table
from data_emulator.stack.process_table import Process
from tests.support.missing import missing


@pytest.fixture(params=["proc", "ps"], autouse=True)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if request.param == "ps":
        if not Path("/bin/ps").exists():
            missing("there is no ps")
        monkeypatch.setattr(process_table, "_PROC", tmp_path)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose name is as awkward as names get, in a session of its own."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def test_a_running_process_is_known_by_its_start(sleeper: "subprocess.Popen[bytes]") -> None:
    started = process_table.started(sleeper.pid)
    assert started
    assert Process(sleeper.pid, started).is_running()
    assert not Process(sleeper.pid, "at another time").is_running()
    assert Process.current().is_running()


def test_a_zombie_does_not_run_and_keeps_its_start(sleeper: "subprocess.Popen[bytes]") -> None:
    started = process_table.started(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not process_table.is_running(sleeper.pid)
    assert process_table.started(sleeper.pid)
    assert started
    assert not Process(sleeper.pid, started).is_running()


def test_a_process_that_is_gone(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    sleeper.wait()
    assert process_table.started(sleeper.pid) is None
    assert not process_table.is_running(sleeper.pid)


def test_the_processes_of_a_session(sleeper: "subprocess.Popen[bytes]") -> None:
    assert process_table.pids_in_session(sleeper.pid) == [sleeper.pid]
    assert os.getpid() in process_table.pids_in_session(os.getsid(0))


def test_names_may_hold_blanks_and_parentheses(tmp_path: Path) -> None:
    name = tmp_path / "a) S (b"
    name.symlink_to("/bin/sleep")
    process = subprocess.Popen([name, "600"])
    try:
        assert process_table.is_running(process.pid)
        assert process_table.started(process.pid)
    finally:
        process.kill()
        process.wait()
