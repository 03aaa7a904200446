"""A small proxy in front of an S3 store that answers some requests itself, as a store that refuses them would."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """A request for the store.

    :param key: of the object; empty where the request is about the bucket.
    :param query: the parameters by their names.
    """

    method: str
    key: str
    query: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """An answer in the store's place: a status, and S3's error code unless it is empty."""

    status: int
    code: str

    @property
    def body(self) -> bytes:
        """The answer's body."""
        text = f"<Error><Code>{self.code}</Code><Message>Because of a test</Message></Error>"
        return text.encode() if self.code else b"refused"


@dataclass
class FaultyStore:
    """Passes requests on to a store, except those that `refuse` has an answer for.

    :param endpoint: of the store behind it.
    :param refuse: called with each request, from threads; `None`: pass it on.
    """

    endpoint: str
    refuse: Callable[[Request], Refusal | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    """All that were made."""

    def __enter__(self) -> FaultyStore:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(store: FaultyStore) -> type[BaseHTTPRequestHandler]:
    address = urlsplit(store.endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            request = Request(self.command, url.path.lstrip("/").partition("/")[2], query)
            store.requests.append(request)
            refusal = store.refuse(request)
            if refusal is not None:
                self._send(refusal.status, [("Content-Type", "application/xml")], refusal.body)
                return
            connection = http.client.HTTPConnection(address, timeout=60)
            try:
                # The host is signed, so it stays as it is.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                self._send(answer.status, answer.getheaders(), answer.read())
            finally:
                connection.close()

        def do_GET(self) -> None:
            self._answer()

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

        def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
