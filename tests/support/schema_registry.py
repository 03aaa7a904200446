"""A small schema registry: the two calls of Confluent's REST API that are made here, checked as Confluent's does."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class FakeSchemaRegistry:
    """Gives each schema an id, counting from `first_id`, the same one when it comes again.

    :param login: ``user:password`` that every request must carry.
    :param answer: status and body of every answer instead; `None` holds the connection and says nothing.
    """

    def __init__(
        self, login: str | None = None, answer: tuple[int, str] | None = None, first_id: int = 1_000_001
    ) -> None:
        self.ids: dict[str, int] = {}
        self.subjects: list[str] = []
        self.lookups = 0
        self._login = login
        self._answer = answer
        self._first_id = first_id
        self._lock = threading.Lock()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(registry._answer or registry._register(self.path, dict(self.headers), body))

            def do_GET(self) -> None:
                self._send(registry._answer or registry._look_up(self.path, dict(self.headers)))

            def _send(self, status_and_answer: tuple[int, str]) -> None:
                status, answer = status_and_answer
                self.send_response(status)
                self.send_header("Content-Type", MEDIA_TYPE)
                self.send_header("Content-Length", str(len(answer.encode())))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> FakeSchemaRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def schema(self, schema_id: int) -> Any:
        """Return the schema of an id, parsed."""
        (text,) = [text for text, each in self.ids.items() if each == schema_id]
        return fastavro.parse_schema(json.loads(text))

    def _register(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        if not self._lets_in(headers):
            return 401, json.dumps({"error_code": 401, "message": "Unauthorized"})
        _, subjects, subject, versions = path.split("/")
        if (subjects, versions) != ("subjects", "versions"):
            return 404, json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"})
        if headers.get("Content-Type") != MEDIA_TYPE:
            return 415, json.dumps({"error_code": 415, "message": "HTTP 415 Unsupported Media Type"})
        sent = json.loads(body)
        if not set(sent) <= {"schema", "schemaType", "references"} or sent.get("schemaType", "AVRO") != "AVRO":
            return 422, json.dumps({"error_code": 422, "message": "Unrecognized field"})
        try:
            fastavro.parse_schema(json.loads(sent["schema"]))
        except Exception as error:  # whatever is wrong with it
            return 422, json.dumps({"error_code": 42201, "message": f"Invalid schema: {error}"})
        with self._lock:
            self.subjects.append(subject)
            schema_id = self.ids.setdefault(sent["schema"], self._first_id + len(self.ids))
        return 200, json.dumps({"id": schema_id})

    def _look_up(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if not self._lets_in(headers):
            return 401, json.dumps({"error_code": 401, "message": "Unauthorized"})
        found = [text for text, each in self.ids.items() if path == f"/schemas/ids/{each}"]
        if not found:
            return 404, json.dumps({"error_code": 40403, "message": "Schema not found"})
        self.lookups += 1
        return 200, json.dumps({"schema": found[0]})

    def _lets_in(self, headers: dict[str, str]) -> bool:
        if self._login is None:
            return True
        return headers.get("Authorization") == "Basic " + base64.b64encode(self._login.encode()).decode()
