"""A server that dies is started again, with its reason, until it dies too often."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from data_emulator.stack import disk, restarts
from data_emulator.stack.incidents import describe_incidents, recorded_incidents
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.restarts import Restarts
from data_emulator.stack.server import Server


class Script(Server):
    """A server that is a shell script, and ready as soon as it has created the file `ready`."""

    def __init__(self, supervisor: Supervisor, folder: Path, script: str) -> None:
        super().__init__(supervisor)
        self.folder = folder
        self.script = script

    def command(self) -> Command:
        (self.folder / "ready").unlink(missing_ok=True)
        return Command("script", ("/bin/sh", "-c", self.script), self.folder / "log", cwd=self.folder)

    def is_ready(self) -> bool:
        return (self.folder / "ready").exists()


class Watched:
    """Servers that are watched, and what was said about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervisor = Supervisor(folder / "processes.json", guarded=False)
        self.said: list[str] = []
        self.restarts: Restarts | None = None

    def start(self, script: str) -> Script:
        server = Script(self.supervisor, self.folder, script)
        server.start()
        self.restarts = Restarts(self.folder, [server], self.said.append)
        self.restarts.begin()
        return server


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(restarts, "_POLL_INTERVAL_S", 0.02)
    monkeypatch.setattr(restarts, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(restarts, "_DISK_POLL_INTERVAL_S", 0.02)
    watched = Watched(tmp_path)
    yield watched
    if watched.restarts is not None:
        watched.restarts.end()
    watched.supervisor.stop_all(grace_s=0)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_server_comes_back_with_the_reason(watched: Watched, tmp_path: Path) -> None:
    server = watched.start("echo about to serve; touch ready; sleep 600 & wait")
    first = server.pid
    children = psutil.Process(first).children()
    psutil.Process(first).kill()
    wait_until(lambda: "script runs again" in watched.said)
    assert server.pid != first
    assert psutil.Process(server.pid).is_running()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert watched.said[0].startswith("script died (killed by SIGKILL); starting it again. The end of its log")
    assert "about to serve" in watched.said[0]
    [incident] = recorded_incidents(tmp_path)
    assert (incident.server, incident.final) == ("script", False)
    assert describe_incidents([incident, incident])[0].endswith(
        "script died (killed by SIGKILL) and was started again (so far 2 times)."
    )


def test_a_server_that_dies_again_and_again_is_given_up(watched: Watched, tmp_path: Path) -> None:
    watched.start("touch ready; sleep 0.1; echo the reason; exit 7")
    assert watched.restarts is not None
    failure = watched.restarts.wait_for_failure()
    assert "script died (exit status 7), for the 6th time within 10 minutes" in str(failure)
    assert "the reason" in str(failure)
    incidents = recorded_incidents(tmp_path)
    assert [incident.final for incident in incidents] == [False] * 5 + [True]


def test_a_start_that_fails_counts_as_a_death(watched: Watched, tmp_path: Path) -> None:
    server = watched.start("touch ready; sleep 600")
    server.script = "echo no luck; exit 3"
    psutil.Process(server.pid).kill()
    assert watched.restarts is not None
    assert "ended with exit status 3 while it was starting, for the 6th time" in str(
        watched.restarts.wait_for_failure()
    )


def test_a_server_that_is_stopped_or_killed_on_purpose_stays_so(watched: Watched) -> None:
    server = watched.start("touch ready; sleep 600")
    for end in (server.kill, server.stop):
        end()
        time.sleep(0.2)
        assert watched.said == []
        server.start()
        assert psutil.Process(server.pid).is_running()


def test_a_full_disk_is_said_once_and_is_given_as_the_reason(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = watched.start("touch ready; sleep 600")
    monkeypatch.setattr(disk, "total_bytes", lambda path: 10**9)
    monkeypatch.setattr(disk, "free_bytes", lambda path: 12_345_678)
    sentence = f"the disk with {tmp_path} is full (12 MB free)"
    wait_until(lambda: bool(watched.said))
    time.sleep(0.2)
    assert watched.said == [sentence]
    psutil.Process(server.pid).kill()
    wait_until(lambda: "script runs again" in watched.said)
    assert f"script died (killed by SIGKILL): {sentence}; starting it again" in watched.said[1]
    monkeypatch.setattr(disk, "free_bytes", lambda path: 10**9)
    wait_until(lambda: watched.said[-1] == f"the disk with {tmp_path} has room again")
    assert describe_incidents(recorded_incidents(tmp_path))[0].endswith(f"{sentence}.")
