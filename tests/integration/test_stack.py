"""A stack is left running and ended by its commands, keeps its data, and shares the machine with others."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from data_emulator.sinks.s3.bucket import open_bucket
from data_emulator.stack import folders
from data_emulator.stack.addresses import Addresses, running_addresses
from data_emulator.stack.down import down
from data_emulator.stack.folders import environment_path, processes_path
from data_emulator.stack.owner import running_owner
from data_emulator.stack.ports import LOOPBACK, PortReservation
from data_emulator.stack.processes import StackError
from data_emulator.stack.records import Recorded, recorded
from data_emulator.stack.stack import Stack
from data_emulator.stack.up import up

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TIMEOUT = timedelta(seconds=30)


@pytest.fixture
def up_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that `up` and `down` work on, in place of the one in the clone."""
    path = tmp_path / "up it's"  # a name that a shell has to be told with care
    monkeypatch.setattr(folders, "up_dir", lambda: path)
    yield path
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
    assert shlex.quote(str(environment_path(up_dir))) in printed
    assert_shell_reads(environment_path(up_dir), first)
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

    assert not environment_path(up_dir).exists()

    with socket.create_server((LOOPBACK, int(first.service_url.rpartition(":")[2]))):
        assert up(airflow=False) == 0
    second = addresses_of(up_dir)
    assert second.service_url != first.service_url
    assert second.s3_endpoint == first.s3_endpoint
    assert service_answers(second)
    assert bytes(obstore.get(open_bucket(second.settings(), "kept", TIMEOUT), "object").bytes()) == b"kept"


def assert_shell_reads(path: Path, addresses: Addresses) -> None:
    """Check what a shell that reads the file passes on to programs."""
    assert path.stat().st_mode & 0o077 == 0
    script = f'. {shlex.quote(str(path))}; exec {shlex.quote(sys.executable)} -c "$1"'
    source = "import os, json; print(json.dumps(dict(os.environ)))"
    read = subprocess.run(["sh", "-c", script, "sh", source], capture_output=True, text=True, check=True)
    found = json.loads(read.stdout)
    secret = addresses.settings().s3_secret_access_key
    assert secret is not None
    assert found["DATA_EMULATOR_S3_SECRET_ACCESS_KEY"] == found["AWS_SECRET_ACCESS_KEY"] == secret.get_secret_value()
    assert found["AWS_ENDPOINT_URL"] == found["DATA_EMULATOR_S3_ENDPOINT"] == addresses.s3_endpoint
    assert f"http://{found['DATA_EMULATOR_HOST']}:{found['DATA_EMULATOR_PORT']}" == addresses.service_url
    assert found["PATH"].startswith(str(Path(sys.executable).parent))


def test_killed_servers_come_back_with_their_data(up_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(airflow=False) == 0
    addresses = addresses_of(up_dir)
    settings = addresses.settings()
    obstore.put(open_bucket(settings, "kept", TIMEOUT), "object", b"kept")
    produce(addresses, 100)
    before = {process.name: process for process in recorded(processes_path(up_dir))}
    for process in before.values():
        os.kill(process.session.id, signal.SIGKILL)
    wait_until(lambda: {each.name for each in running(up_dir)} == set(before) and service_answers(addresses))
    assert addresses_of(up_dir) == addresses
    assert bytes(obstore.get(open_bucket(settings, "kept", TIMEOUT), "object").bytes()) == b"kept"
    assert consume(addresses) == 100
    capsys.readouterr()
    assert up(airflow=False) == 0
    printed = capsys.readouterr().out
    for name in ("seaweedfs", "tansu", "service"):
        assert f"{name} died (killed by SIGKILL) and was started again" in printed

    owner = running_owner(up_dir)
    assert owner is not None
    processes = running(up_dir)
    os.kill(owner.pid, signal.SIGKILL)
    wait_until(lambda: not any(process.is_running() for process in processes))
    assert running_addresses(up_dir) is None


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    source = """
import sys
from pathlib import Path
from data_emulator.stack import folders
from data_emulator.stack.up import up
folders.up_dir = lambda: Path(sys.argv[1])
sys.exit(up(airflow=False))
"""
    starting = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "up")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert starting.stdout is not None
    assert "S3 store ready" in starting.stdout.readline()
    processes = recorded(processes_path(tmp_path / "up"))
    assert processes
    starting.send_signal(signal.SIGINT)
    printed, _ = starting.communicate(timeout=120)
    assert "Interrupted; nothing is left running." in printed
    assert starting.returncode == 128 + signal.SIGINT
    assert not any(process.is_running() for process in processes)
    assert running_owner(tmp_path / "up") is None


def produce(addresses: Addresses, count: int) -> None:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "acks": "all"})
    for number in range(count):
        producer.produce("kept", str(number))
    assert producer.flush(60) == 0


def consume(addresses: Addresses) -> int:
    """Return how many different messages there are in the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": addresses.kafka_bootstrap_servers,
            "group.id": "reader",
            "enable.partition.eof": True,
            "session.timeout.ms": 6000,
        }
    )
    partitions = consumer.list_topics("kept", timeout=60).topics["kept"].partitions
    consumer.assign([TopicPartition("kept", partition, 0) for partition in partitions])
    values, ended = set(), 0
    while ended < len(partitions):
        message = consumer.poll(60)
        assert message is not None
        if message.error() is None:
            values.add(message.value())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended += 1
    consumer.close()
    return len(values)


def running(up_dir: Path) -> list[Recorded]:
    return [process for process in recorded(processes_path(up_dir)) if process.is_running()]


def wait_until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_stacks_side_by_side(tmp_path: Path) -> None:
    stacks = [Stack(tmp_path / name, with_airflow=False, scheduled=False) for name in ("a", "b")]
    try:
        with ThreadPoolExecutor() as pool:
            addresses = list(pool.map(lambda stack: stack.start(print), stacks))
        assert all(service_answers(each) for each in addresses)
        assert addresses[0].service_url != addresses[1].service_url
    finally:
        for stack in stacks:
            stack.stop()


def test_a_port_taken_in_the_last_moment_costs_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    stack = Stack(tmp_path, with_airflow=False, scheduled=False)
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
    stack = Stack(tmp_path / "run", with_airflow=False, scheduled=False)

    def die_after_the_broker(line: str) -> None:
        if line.startswith("Kafka"):
            started.extend(process.session.id for process in recorded(processes_path(tmp_path / "run")))
            raise StackError("no service")

    with pytest.raises(StackError, match="no service"):
        stack.start(die_after_the_broker)
    assert len(started) == 2
    assert not any(psutil.pid_exists(pid) for pid in started)
    assert recorded(processes_path(tmp_path / "run")) == []
