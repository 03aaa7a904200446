"""The process that runs the stack of `up`: what it tells `up`, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A stack of no servers, which writes down what is done to it.
_WATCHER = """
import sys, time
from pathlib import Path
from data_emulator.stack import watcher
from data_emulator.stack.processes import StackError

class Stack:
    def __init__(self, run_dir, **options):
        self.ended = run_dir / "stopped"
    def start(self, say):
        say("half of it is up")
        %(start)s
    def wait_for_failure(self):
        %(wait)s
    def stop(self):
        self.ended.touch()

watcher.Stack = Stack
sys.exit(watcher.main())
"""
Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    started = []

    def start(**does: str) -> "subprocess.Popen[str]":
        source = _WATCHER % {"start": "pass", "wait": "time.sleep(600)", **does}
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", source, str(tmp_path)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def told(process: "subprocess.Popen[str]") -> list[dict[str, object]]:
    """What is told until the process lets go of the pipe, which it does once the start is over."""
    assert process.stdout is not None
    return [json.loads(line) for line in process.stdout]


def test_it_tells_how_far_the_start_is_and_runs_until_it_is_told_to_end(start: Started, tmp_path: Path) -> None:
    watcher = start()
    assert told(watcher) == [{"say": "half of it is up"}, {"ready": True}]
    assert watcher.poll() is None
    assert not (tmp_path / "stopped").exists()
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(60) == 0
    assert (tmp_path / "stopped").exists()
    log = (tmp_path / "log").read_text().splitlines()
    assert [line[20:] for line in log] == ["half of it is up", "stopped"]


def test_a_start_that_fails_is_told_and_stopped(start: Started, tmp_path: Path) -> None:
    watcher = start(start="raise StackError('no broker')")
    assert told(watcher)[-1] == {"failed": "no broker"}
    assert watcher.wait(60) == 1
    assert (tmp_path / "stopped").exists()


def test_a_server_that_is_given_up_ends_the_stack_with_the_reason(start: Started, tmp_path: Path) -> None:
    watcher = start(wait="return StackError('tansu died too often')")
    assert watcher.wait(60) == 1
    assert (tmp_path / "stopped").exists()
    assert "stopping the stack: tansu died too often" in (tmp_path / "log").read_text()


def test_it_stops_when_up_is_gone_before_the_start_is_over(start: Started, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    watcher = start(start=f"open({str(tmp_path / 'go')!r}).read(); say('the other half, too')")
    assert watcher.stdout is not None
    watcher.stdout.readline()
    watcher.stdout.close()
    (tmp_path / "go").write_text("")
    assert watcher.wait(60) == 1
    assert (tmp_path / "stopped").exists()
