"""The service as its users run it: a process of its own, on a free port, with its whole output kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

from data_emulator.stack import sessions
from data_emulator.stack.ports import PortReservation
from data_emulator.stack.processes import Child, Command, Supervisor

PATIENCE_S = 90

Json = dict[str, Any]


def request(**changes: Any) -> Json:
    """Return the body of a short, exact emulation: 100 transactions to S3."""
    body = {
        "emulator_sync": "minio",
        "emulation_domain": "transaction",
        "format_type": "json",
        "sync_type": "grouped",
        "max_chunk_size": 1024,
        "timeout": 30,
        "rate": None,
        "max_records": 100,
    }
    return {**body, **changes}


def endless(**changes: Any) -> Json:
    """Return the body of an emulation that no test waits for: it has to be cancelled, or killed."""
    return {**request(timeout=3600, rate=100), "max_records": None, **changes}


class RunningService:
    """``python -m data_emulator serve``. Start it, kill it, start it again on the same database.

    :param supervisor: what ends it, also when the test session is killed.
    :param environment: its settings, and nothing else of the kind from this process's environment.
    """

    def __init__(self, supervisor: Supervisor, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.output_path = folder / "output.log"
        folder.mkdir(parents=True, exist_ok=True)
        with PortReservation(1) as reservation:
            (self.port,) = reservation.ports
        self._supervisor = supervisor
        self._command = Command(
            name="service under test",
            argv=(sys.executable, "-m", "data_emulator", "serve", "--port", str(self.port), *arguments),
            log_path=self.output_path,
            env={
                "DATA_EMULATOR_DATABASE_URL": f"sqlite:///{folder / 'state.db'}",
                "DATA_EMULATOR_WORKERS": "1",
                "DATA_EMULATOR_SINK_TIMEOUT_S": "5",
                **environment,
            },
            cleared_prefixes=("DATA_EMULATOR_", "AWS_"),
        )
        self._children: list[Child] = []
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._children.append(self._supervisor.launch(self._command))
        wait_until(self._answers, "the service answers")

    def _answers(self) -> bool:
        assert self._children[-1].is_running(), f"the service has ended:\n{self.output()}"
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def terminate(self, within_s: float = 60) -> None:
        """Ask it to end, as a supervisor does, and wait for its end."""
        process = self._children[-1].process
        process.terminate()
        process.wait(within_s)

    def kill(self) -> None:
        """Kill the service, and only it: its workers have to notice."""
        process = self._children[-1].process
        process.kill()
        process.wait()

    def end(self) -> None:
        """Leave no process behind."""
        self.http.close()
        for child in self._children:
            self._supervisor.stop(child, grace_s=30)

    def pids(self) -> list[int]:
        """Return the processes of all its starts that still run: the service and its workers."""
        return [pid for child in self._children for pid in sessions.members(child.record.session)]

    def worker_pids(self) -> list[int]:
        """Return its worker processes."""
        children = psutil.Process(self._children[-1].process.pid).children()
        return [each.pid for each in children if "spawn_main" in " ".join(each.cmdline())]

    def output(self) -> str:
        """Return all that it has written to standard output and standard error."""
        return self.output_path.read_text()

    def post(self, body: Json, **headers: str) -> str:
        """Start an emulation and return its id."""
        answer = self.http.post("/emulator/", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        emulation_id = answer.json()["id"]
        assert isinstance(emulation_id, str)
        return emulation_id

    def status(self, emulation_id: str) -> Json:
        """Return the body of a status."""
        answer = self.http.get(f"/emulator/{emulation_id}/status")
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    def state(self, emulation_id: str) -> str:
        """Return where an emulation is."""
        return str(self.status(emulation_id)["status"]["global_status"])

    def ended(self, emulation_id: str) -> Json:
        """Wait for an emulation's end and return its status."""
        wait_until(lambda: self.state(emulation_id) not in ("queued", "processing"), "the emulation ends")
        return self.status(emulation_id)

    def wait_for_records(self, emulation_id: str, at_least: int = 1) -> None:
        """Wait until an emulation has written something."""
        wait_until(lambda: self.status(emulation_id)["progress"]["records"] >= at_least, "records are written")

    def manifest(self, emulation_id: str) -> Json:
        """Return an emulation's manifest."""
        answer = self.http.get(f"/emulator/{emulation_id}/manifest")
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body


def simultaneous_posts(service: RunningService, key: str, body: Json, count: int) -> list[httpx.Response]:
    """Send a request so many times at once, each with the same idempotency key."""
    with ThreadPoolExecutor(count) as pool:
        headers = {"Idempotency-Key": key}
        futures = [pool.submit(service.http.post, "/emulator/", json=body, headers=headers) for _ in range(count)]
        return [future.result() for future in futures]


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait, with patience: how long it takes is not what is tested."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
