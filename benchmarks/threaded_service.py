"""A small emulator that works as many first versions do: each emulation in threads of the API's own process.

It is what `benchmarks.concurrency` compares the service with. Per emulation four threads make records, with `random`
and `json`, as fast as they go, and one puts them together and, in the end, puts them into S3 as one object. It answers
the original two requests, and keeps what it knows in memory.

Run by `ThreadedService` as ``python -m benchmarks.threaded_service PORT``, with the store in its environment.
"""

from __future__ import annotations

import json
import os
import queue
import random
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import obstore
import uvicorn
from fastapi import FastAPI, HTTPException
from obstore.store import S3Store

from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.server import Server

_GENERATORS = 4
_BUCKET = "probe"
_CITIES = [("Lisbon", "PT", 38.72, -9.14), ("Osaka", "JP", 34.69, 135.5), ("Lima", "PE", -12.05, -77.04)]


class ThreadedService(Server):
    """This program, as a server beside those of the stack."""

    def __init__(self, supervisor: Supervisor, store: SeaweedFS, log_path: Path, port: int) -> None:
        super().__init__(supervisor)
        self._store = store
        self._log_path = log_path
        self._port = port
        self.url = f"http://{LOOPBACK}:{port}"

    def command(self) -> Command:
        """Return the command line; the store's key pair goes by the environment."""
        return Command(
            name="threaded-service",
            argv=(sys.executable, "-m", "benchmarks.threaded_service", str(self._port)),
            log_path=self._log_path,
            env={
                "STORE_ENDPOINT": self._store.endpoint,
                "STORE_ACCESS_KEY_ID": self._store.access_key_id,
                "STORE_SECRET_ACCESS_KEY": self._store.secret_access_key,
                "STORE_REGION": self._store.region,
            },
            cwd=Path(__file__).parents[1],
        )

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return httpx.get(f"{self.url}/docs", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class _Emulation:
    """One emulation and its five threads."""

    def __init__(self, store: S3Store, duration_s: float) -> None:
        self.id = str(uuid.uuid4())
        self.records = 0
        self.threads = {str(number): "started" for number in range(_GENERATORS + 1)}
        self._store = store
        self._ends_at = time.monotonic() + duration_s
        self._made: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def start(self) -> None:
        for number in range(_GENERATORS):
            threading.Thread(target=self._generate, args=(str(number),), daemon=True).start()
        threading.Thread(target=self._write, args=(str(_GENERATORS),), daemon=True).start()

    def _generate(self, name: str) -> None:
        while time.monotonic() < self._ends_at:
            self._made.put(json.dumps({"emulation_id": self.id, "timestamp": time.time(), "data": _transaction()}))
        self._made.put(None)
        self.threads[name] = "finished"

    def _write(self, name: str) -> None:
        lines: list[str] = []
        ended = 0
        while ended < _GENERATORS:
            line = self._made.get()
            if line is None:
                ended += 1
            else:
                lines.append(line)
        obstore.put(self._store, f"{self.id}.json", "\n".join(lines).encode())
        self.records = len(lines)
        self.threads[name] = "finished"


def _transaction() -> dict[str, Any]:
    city, country, latitude, longitude = random.choice(_CITIES)
    return {
        "transaction_id": f"{random.getrandbits(128):032x}",
        "user_id": f"{random.getrandbits(128):032x}",
        "amount": round(random.lognormvariate(3.4, 0.9), 2),
        "currency": random.choice(("EUR", "JPY", "PEN")),
        "merchant": random.choice(("Alder Groceries", "Birch Fuel", "Cedar Books")),
        "timestamp": "2026-01-01T00:00:00.000Z",
        "location": {"city": city, "country": country, "latitude": latitude, "longitude": longitude},
        "is_fraud": random.random() < 0.005,
    }


def create_app(store: S3Store) -> FastAPI:
    """Return the two routes of the original."""
    app = FastAPI()
    emulations: dict[str, _Emulation] = {}

    @app.post("/emulator/", status_code=201)
    async def start(body: dict[str, Any]) -> dict[str, Any]:
        emulation = _Emulation(store, body["timeout"])
        emulations[emulation.id] = emulation
        emulation.start()
        return {"id": emulation.id, **body}

    @app.get("/emulator/{emulation_id}/status")
    async def status(emulation_id: str) -> dict[str, Any]:
        if emulation_id not in emulations:
            raise HTTPException(404)
        emulation = emulations[emulation_id]
        threads = dict(emulation.threads)
        done = all(state == "finished" for state in threads.values())
        return {
            "id": emulation_id,
            "status": {"global_status": "completed" if done else "processing", "threads": threads},
            "progress": {"records": emulation.records},
        }

    return app


if __name__ == "__main__":
    environment = os.environ
    the_store = S3Store(
        _BUCKET,
        endpoint=environment["STORE_ENDPOINT"],
        region=environment["STORE_REGION"],
        access_key_id=environment["STORE_ACCESS_KEY_ID"],
        secret_access_key=environment["STORE_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True, "timeout": timedelta(minutes=10)},  # it has a lot to put at once
    )
    uvicorn.run(create_app(the_store), host=LOOPBACK, port=int(sys.argv[1]), log_level="warning", access_log=False)
