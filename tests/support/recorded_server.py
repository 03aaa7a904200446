"""A real HTTP server that answers as the original service was recorded to: no long poll, no cancel, no idempotency."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXCHANGES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).parents[1].joinpath("wire", "recorded.jsonl").read_text().splitlines()
]
#: What DAGs of ours add to a request without being asked to.
ADDED_FIELDS = {"abandon_after"}
BY_NAME = {exchange["name"]: exchange for exchange in EXCHANGES}


def body_text(response: dict[str, Any]) -> str:
    """A recorded answer's body as it was sent."""
    body = response["body"]
    return body if isinstance(body, str) else json.dumps(body)


class RecordedServer(ThreadingHTTPServer):
    """Answers on loopback.

    A request that was recorded gets its recorded answer; recorded more than once, the answers come in their order, and
    the last one stays. An emulation that was not recorded is unknown, in the recorded words.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for exchange in EXCHANGES:
            request = exchange["request"]
            key = (request["method"], request["path"], json.dumps(request["body"], sort_keys=True))
            self.answers[key].append(exchange["response"])
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, body: Any) -> dict[str, Any]:
        queue = self.answers.get((method, path, json.dumps(body, sort_keys=True)))
        if queue is None and isinstance(body, dict):
            # The original passes over what it does not know (docs/wire-contract.md).
            known = {name: value for name, value in body.items() if name not in ADDED_FIELDS}
            queue = self.answers.get((method, path, json.dumps(known, sort_keys=True)))
        if queue:
            return queue.pop(0) if len(queue) > 1 else queue[0]
        if method == "GET" and path.endswith("/status"):
            emulation_id = path.split("/")[2]
            unknown = BY_NAME["status non-uuid"]["response"]
            return {**unknown, "body": {"detail": unknown["body"]["detail"].replace("not-a-uuid", emulation_id)}}
        if method == "POST" and path == "/emulator/":
            raise AssertionError(f"no such request was recorded: {body}")
        return BY_NAME["GET collection"]["response"] if path.startswith("/emulator/") else {"status": 404, "body": {}}


class _Handler(BaseHTTPRequestHandler):
    server: RecordedServer
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        response = self.server.answer(self.command, self.path, body)
        data = body_text(response).encode()
        self.send_response(response["status"])
        for name, value in response.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _respond  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def recorded_server() -> Iterator[RecordedServer]:
    """Run the server for the length of a with block."""
    with RecordedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
