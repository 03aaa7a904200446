"""A door between Airflow and the service: it sees what goes through, and can be held, or made to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PATIENCE_S = 120
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "date"}


@dataclass(frozen=True)
class Started:
    """What a start that went through was answered with."""

    key: str
    emulation_id: str
    replayed: bool


class Door(ThreadingHTTPServer):
    """Passes requests on to `service_url` and answers back."""

    daemon_threads = True
    request_queue_size = 200

    def __init__(self, service_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.client = httpx.Client(base_url=service_url, timeout=PATIENCE_S, trust_env=False)
        self.started: list[Started] = []
        self.followed: set[str] = set()
        """The emulations whose status a trigger has asked for, together with others."""
        self.polled: set[str] = set()
        """The emulations whose status was asked for by itself."""
        self.answered_with: dict[str, list[int]] = {}
        """By method and the path's end, status codes to answer with, one after the other, once all is done."""
        self.astray: httpx.Response | None = None
        """What is answered instead of the service, by something that is in between."""
        self.strayed = threading.Event()
        """Set once something was answered so."""
        self.next_ends: list[str] = []
        """What the next emulations that are started are told to be: `failed`, or `queued` until that is taken back."""
        self.told: dict[str, str] = {}
        """By emulation, the state that is told instead of its own."""
        self._open = threading.Event()
        self._open.set()
        self.holds = threading.Event()
        """Set while an answer to a start is being held."""

    def ids_of(self, run_id: str) -> list[str]:
        """The emulations that a run has started, each once, in their order."""
        return list(dict.fromkeys(each.emulation_id for each in self.started if f"/{run_id}/" in each.key))

    @contextmanager
    def holding_starts(self) -> Iterator[None]:
        """Hold the answers to starts, which the service has given, until the block ends."""
        self._open.clear()
        self.holds.clear()
        try:
            yield
        finally:
            self._open.set()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        if (method, path) == ("POST", "/emulator/status"):
            self.followed.update(json.loads(body)["ids"])
        if self.astray is not None:
            self.strayed.set()
            return self.astray
        if method == "GET" and path.endswith("/status"):
            self.polled.add(path.split("/")[-2])
        answer = self.client.request(method, path, headers=headers, content=body)
        is_start = (method, path) == ("POST", "/emulator/")
        if is_start and answer.is_success:
            key = headers.get("Idempotency-Key", "")
            started = Started(key, answer.json()["id"], "Idempotency-Replayed" in answer.headers)
            self.started.append(started)
            if self.next_ends and not started.replayed:
                self._end(started.emulation_id, self.next_ends.pop(0))
            if not self._open.is_set():
                self.holds.set()
                self._open.wait(PATIENCE_S)
        codes = self.answered_with.get(f"{method} {path.rsplit('/', 1)[1]}")
        if codes:
            return httpx.Response(codes.pop(0), json={"detail": "disturbed"})
        return self._retold(answer) if path.endswith("/status") and answer.is_success else answer

    def _end(self, emulation_id: str, state: str) -> None:
        self.told[emulation_id] = state
        if state == "failed":  # behind the door it is cancelled, so that it does not run on
            self.client.delete(f"/emulator/{emulation_id}")

    def _retold(self, answer: httpx.Response) -> httpx.Response:
        """The answer with the states that are told instead of those that are so."""
        body = answer.json()
        for each in body.get("emulations", [body]):
            if state := self.told.get(each["id"]):
                each["status"] = {"global_status": state, "threads": {}}
                each["error"] = "The disk is full. It has been for a week." if state == "failed" else None
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        return httpx.Response(answer.status_code, headers=headers, json=body) if self.told else answer


class _Handler(BaseHTTPRequestHandler):
    server: Door
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            answer = self.server.answer(self.command, self.path, headers, body)
        except httpx.TransportError:  # the service is away, so nobody is behind the door
            self.close_connection = True
            return
        try:
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
        except OSError:
            self.close_connection = True  # who asked is gone

    do_GET = do_POST = do_DELETE = _respond  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def door_to(service_url: str) -> Iterator[Door]:
    """Run a door for the length of a with block."""
    door = Door(service_url)
    thread = threading.Thread(target=door.serve_forever, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        door.shutdown()
        thread.join()
        door.server_close()
        door.client.close()
