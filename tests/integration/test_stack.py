"""A stack is left running and ended by its commands, keeps its data, and shares the machine with others."""

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import psutil
import pytest

from data_emulator.sinks.s3 import open_bucket
from data_emulator.stack import sessions
from data_emulator.stack import stack as stack_module
from data_emulator.stack.ports import LOOPBACK, PortReservation
from data_emulator.stack.processes import StackError
from data_emulator.stack.records import recorded
from data_emulator.stack.stack import Addresses, Stack, down, processes_path, running_addresses, up

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TIMEOUT = timedelta(seconds=30)


@pytest.fixture
def up_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that `up` and `down` work on, in place of the one in the clone."""
    monkeypatch.setattr(stack_module, "up_dir", lambda: tmp_path)
    yield tmp_path
    down()


def addresses_of(up_dir: Path) -> Addresses:
    addresses = running_addresses(up_dir)
    assert addresses is not None
    return addresses


def service_answers(addresses: Addresses) -> bool:
    try:
        return httpx.get(f"{addresses.service_url}/readyz", timeout=10).is_success
    except httpx.TransportError:
        return False


def test_up_again_and_down_and_up(up_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(airflow=False) == 0
    first = addresses_of(up_dir)
    assert service_answers(first)
    printed = capsys.readouterr().out
    assert first.service_url in printed
    assert first.s3_endpoint in printed
    secret = first.settings().s3_secret_access_key
    assert secret is not None
    assert secret.get_secret_value() not in printed
    assert Path(first.s3_credentials_path).stat().st_mode & 0o077 == 0
    obstore.put(open_bucket(first.settings(), "kept", TIMEOUT), "object", b"kept")
    processes = recorded(processes_path(up_dir))

    assert up(airflow=False) == 0
    assert "up already" in capsys.readouterr().out
    assert recorded(processes_path(up_dir)) == processes
    assert up(airflow=True) == 1
    assert "without Airflow" in capsys.readouterr().out

    assert any(Path(path).exists() for process in processes for path in process.leftovers)
    assert down() == 0
    assert not any(Path(path).exists() for process in processes for path in process.leftovers)
    assert not any(process.is_running() for process in processes)
    assert not service_answers(first)
    assert down() == 0
    assert "No stack is up" in capsys.readouterr().out

    assert up(airflow=False) == 0
    assert addresses_of(up_dir) == first
    assert bytes(obstore.get(open_bucket(first.settings(), "kept", TIMEOUT), "object").bytes()) == b"kept"


def test_up_after_a_part_has_died_starts_anew_on_other_ports_where_they_are_taken(up_dir: Path) -> None:
    assert up(airflow=False) == 0
    first = addresses_of(up_dir)
    processes = {process.name: process for process in recorded(processes_path(up_dir))}
    sessions.end([processes["service"].session], grace_s=0)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind_once_free(taken, int(first.service_url.rpartition(":")[2]))
        taken.listen()
        assert running_addresses(up_dir) is None
        assert up(airflow=False) == 0
        second = addresses_of(up_dir)
        assert second.service_url != first.service_url
        assert second.s3_endpoint == first.s3_endpoint
        assert service_answers(second)
    assert not processes["seaweedfs"].is_running()


def _bind_once_free(taken: socket.socket, port: int) -> None:
    """Bind to a port whose process has just been killed: the system may need a moment to take its sockets away."""
    deadline = time.monotonic() + 20
    while True:
        try:
            taken.bind((LOOPBACK, port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def test_two_stacks_side_by_side(tmp_path: Path) -> None:
    stacks = [Stack(tmp_path / name, with_airflow=False, guarded=True, scheduled=False) for name in ("a", "b")]
    try:
        addresses = [stack.start(print) for stack in stacks]
        assert all(service_answers(each) for each in addresses)
        assert addresses[0].service_url != addresses[1].service_url
    finally:
        for stack in stacks:
            stack.stop()


def test_a_port_taken_in_the_last_moment_costs_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    stack = Stack(tmp_path, with_airflow=False, guarded=True, scheduled=False)
    chosen: list[list[int]] = []
    choose = Stack._choose_ports

    with PortReservation(1) as held:

        def with_one_taken(self: Stack) -> list[int]:
            ports = list(choose(self))
            if not chosen:
                ports[0] = held.ports[0]
            chosen.append(ports)
            return ports

        monkeypatch.setattr(Stack, "_choose_ports", with_one_taken)
        try:
            addresses = stack.start(said.append)
            assert service_answers(addresses)
        finally:
            stack.stop()
    assert len(chosen) == 2
    assert any("starting again with other ports" in line for line in said)


def test_a_failure_while_starting_ends_what_has_started(tmp_path: Path) -> None:
    started: list[int] = []
    stack = Stack(tmp_path / "run", with_airflow=False, guarded=True, scheduled=False)

    def die_after_the_broker(line: str) -> None:
        if line.startswith("Kafka"):
            started.extend(process.session.id for process in recorded(processes_path(tmp_path / "run")))
            raise StackError("no service")

    with pytest.raises(StackError, match="no service"):
        stack.start(die_after_the_broker)
    assert len(started) == 2
    assert not any(psutil.pid_exists(pid) for pid in started)
    assert recorded(processes_path(tmp_path / "run")) == []
