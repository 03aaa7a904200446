"""Servers that misbehave, each in its own way: every leg ends in bounded time and memory, and says why.

What answers is not always the service: a proxy, a login page, another program on its port, a machine that is ill.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import socketserver
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from include.exceptions import DataEmulatorAnswerError, DataEmulatorConnectionError, DataEmulatorUnavailableError
from include.hooks.body import decoded_text
from include.hooks.data_emulator import DataEmulatorHook
from include.triggers import emulation, shared_wait
from include.triggers.emulation import EmulationTrigger
from include.wire import call
from include.wire.request import EmulationRequest
from include.wire.status import EmulationState
from tests.include.hooks.conftest import Look

pytestmark = pytest.mark.timeout(60)

TIMEOUT_S = 0.3
TIMEOUTS = {"connect_timeout": TIMEOUT_S, "read_timeout": TIMEOUT_S}
STATUS = json.dumps({"status": {"global_status": "completed", "threads": {}}}).encode()
REQUEST = EmulationRequest(
    emulator_sync="minio",
    emulation_domain="transaction",
    format_type="json",
    sync_type="grouped",
    max_chunk_size=1024,
    timeout=1,
)

Send = Callable[[bytes], None]
Mode = Callable[[Send], None]


def answer(body: bytes = STATUS, status: str = "200 OK", **headers: str) -> bytes:
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def repeat(send: Send, piece: bytes, pause_s: float = 0.0) -> None:
    """Send a piece until nobody listens any more."""
    while True:
        send(piece)
        time.sleep(pause_s)


def drips_its_body(send: Send) -> None:
    send(answer(b"", Content_Length="100000"))
    repeat(send, b" ", 0.05)


def drips_its_headers(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    repeat(send, b"x", 0.05)


def says_continue_for_ever(send: Send) -> None:
    repeat(send, b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)


def has_no_end(send: Send) -> None:
    send(answer(b"", Content_Length="1000000000000"))
    repeat(send, b"x" * 65536)


def has_no_end_in_chunks(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    repeat(send, b"10000\r\n" + b"x" * 65536 + b"\r\n")


def has_headers_without_end(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\n")
    repeat(send, b"X-Header: " + b"x" * 1000 + b"\r\n")


def has_one_line_without_end(send: Send) -> None:
    repeat(send, b"HTTP/1.1 200 " + b"x" * 65536)


#: 300 kB that become 300 MB.
BOMB = gzip.compress(b" " * 300_000_000, 9)


def explodes(send: Send) -> None:
    send(answer(BOMB, Content_Encoding="gzip"))


def plain(*data: bytes) -> Mode:
    """Send it, and close the connection."""
    return lambda send: [send(each) for each in data] and None


#: Those that never come to an end, or that would fill the memory.
ENDLESS: list[Mode] = [
    drips_its_body,
    drips_its_headers,
    says_continue_for_ever,
    has_no_end,
    has_no_end_in_chunks,
    has_headers_without_end,
    has_one_line_without_end,
    explodes,
    lambda send: time.sleep(30),
]
#: Those that say something else than the service does: up to "a bad chunk" it is no answer, the others are.
WRONG: dict[str, Mode] = {
    "nothing": plain(b""),
    "another protocol": plain(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "half a status line": plain(b"HTTP/1.1 20"),
    "no number": plain(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a negative length": plain(answer(Content_Length="-7")),
    "less than promised": plain(answer(Content_Length="1000")),
    "a bad chunk": plain(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "an empty body": plain(answer(b"")),
    "no content": plain(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "a page": plain(answer(b"<html>Welcome to nginx!</html>")),
    "another page": plain(answer(b"<html>404</html>", "404 Not Found")),
    "not found": plain(answer(b'{"detail": "Not Found"}', "404 Not Found")),
    "a login page": plain(answer(b"", "302 Found", Location="https://sso.example.com/login?token=hunter2")),
    "a redirect to itself": plain(answer(b"", "307 Temporary Redirect", Location="/emulator/e1/status")),
    "forbidden by a proxy": plain(answer(b"<html>Forbidden</html>", "403 Forbidden")),
    "a list": plain(answer(b"[1]")),
    "another object": plain(answer(b'{"ok": true}')),
    "a state that is not known": plain(answer(b'{"status": "paused"}')),
    "another emulation": plain(answer(b'{"id": "e2", "status": "completed"}')),
    "no utf-8": plain(answer(b'{"status": "\xff\xfe"}')),
    "a nesting": plain(answer(b"[" * 1_000_000)),
    "a number": plain(answer(b"9" * 1_000_000)),
    "no gzip": plain(answer(STATUS, Content_Encoding="gzip")),
    "half a gzip": plain(answer(gzip.compress(STATUS)[:-12], Content_Encoding="gzip")),
    "an encoding": plain(answer(STATUS, Content_Encoding="br")),
}
RIGHT: dict[str, Mode] = {
    "as it is": plain(answer()),
    "gzip": plain(answer(gzip.compress(STATUS), Content_Encoding="gzip")),
    "deflate": plain(answer(zlib.compress(STATUS), Content_Encoding="deflate")),
    "identity": plain(answer(STATUS, Content_Encoding="identity")),
    "until it closes": plain(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", STATUS),
    "byte by byte": plain(*(bytes([each]) for each in answer())),
    "continue": plain(b"HTTP/1.1 100 Continue\r\n\r\n" + answer()),
    "chunks": plain(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(STATUS), STATUS)
    ),
}


class Misbehaving(socketserver.ThreadingTCPServer):
    """Answers every request by a mode; a mode may depend on what is asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, mode_of: Callable[[bytes], Mode]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.mode_of = mode_of
        self.sent_bytes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    server: Misbehaving
    request: socket.socket

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := self.request.recv(65536)):
            head += data
        with suppress(OSError):
            self.server.mode_of(head)(self._send)

    def _send(self, data: bytes) -> None:
        self.request.sendall(data)
        self.server.sent_bytes += len(data)


@contextmanager
def misbehaving(mode: Mode | Callable[[bytes], Mode], *, by_request: bool = False) -> Iterator[Misbehaving]:
    server = Misbehaving(mode if by_request else lambda head: mode)  # type: ignore[arg-type, return-value]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "FIRST_EVENT_AFTER_S", 0.0)
    monkeypatch.setattr(shared_wait, "MIN_PAUSE_S", 0.01)


@pytest.mark.parametrize("mode", ENDLESS)
def test_an_answer_without_an_end_ends(mode: Mode, look: Look, connect: Any) -> None:
    with misbehaving(mode) as server:
        connect(server.url, token="hunter2", retry_attempts=1, **TIMEOUTS)
        with pytest.raises(DataEmulatorUnavailableError) as caught:
            look()
        assert isinstance(caught.value, DataEmulatorConnectionError | DataEmulatorAnswerError)
        assert "hunter2" not in f"{caught.value!r}"
        # What is on its way in buffers comes on top of what is read.
        assert server.sent_bytes < 4 * call.MAX_ANSWER_BYTES


@pytest.mark.parametrize("mode", ENDLESS)
def test_every_request_of_the_hook_ends(mode: Mode, connect: Any) -> None:
    with misbehaving(mode) as server:
        connect(server.url, retry_attempts=1, **TIMEOUTS)
        hook = DataEmulatorHook()
        for ask in (
            lambda: hook.start_emulation(REQUEST, "key"),
            lambda: hook.cancel("e1"),
        ):
            with pytest.raises(DataEmulatorUnavailableError):
                ask()
        works, message = hook.test_connection()
        assert not works
        assert message.endswith(".")


@pytest.mark.parametrize("mode", WRONG.values(), ids=WRONG)
def test_an_answer_that_is_not_the_services_is_transient(mode: Mode, look: Look, connect: Any) -> None:
    with misbehaving(mode) as server:
        connect(server.url, token="hunter2", retry_attempts=1, **TIMEOUTS)
        with pytest.raises(DataEmulatorUnavailableError) as caught:
            look()
        assert isinstance(caught.value, DataEmulatorConnectionError | DataEmulatorAnswerError)
        assert "hunter2" not in f"{caught.value!r}"
        works, message = DataEmulatorHook().test_connection()
        assert not works
        assert "hunter2" not in message


@pytest.mark.parametrize("mode", RIGHT.values(), ids=RIGHT)
def test_an_answer_in_an_unusual_form_is_read(mode: Mode, look: Look, connect: Any) -> None:
    with misbehaving(mode) as server:
        connect(server.url, retry_attempts=1)
        assert look().state is EmulationState.COMPLETED


async def fire(wait_s: float) -> dict[str, Any]:
    trigger = EmulationTrigger(
        emulation_id="e1", poll_interval=0.01, deadline=time.time() + wait_s, cancel_on_kill=False
    )
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    return payload


@pytest.mark.parametrize("mode", ENDLESS)
async def test_a_wait_that_meets_it_goes_on_until_its_deadline(mode: Mode, connect: Any) -> None:
    with misbehaving(mode) as server:
        connect(server.url, **TIMEOUTS)
        payload = await fire(5 * TIMEOUT_S)
    assert payload["outcome"] == "deadline"
    assert payload["last_error"]


@pytest.mark.parametrize("mode", [*ENDLESS, *WRONG.values()], ids=[*map(str, range(len(ENDLESS))), *WRONG])
async def test_a_wait_that_meets_it_for_a_while_completes(mode: Mode, connect: Any) -> None:
    """As a proxy that is restarted, or a login page that stands before the service for two seconds."""
    until = time.monotonic() + 2 * TIMEOUT_S

    def mode_of(head: bytes) -> Mode:
        if time.monotonic() < until:
            return mode
        if b"POST /emulator/status" in head:
            return plain(answer(b'{"detail": "Not Found"}', "404 Not Found"))
        return plain(answer())

    with misbehaving(mode_of, by_request=True) as server:
        connect(server.url, **TIMEOUTS)
        payload = await fire(50)
    assert payload["outcome"] == "ended"
    assert payload["status"]["state"] == "completed"


WRONG_OF_MANY = {
    **dict(list(WRONG.items())[list(WRONG).index("an empty body") :]),
    "nothing of any": plain(answer(b'{"emulations": [], "not_found": []}')),
    "of others": plain(answer(b'{"emulations": [{"id": "e2", "status": "completed"}], "not_found": ["e3"]}')),
}


@pytest.mark.parametrize("mode", WRONG_OF_MANY.values(), ids=WRONG_OF_MANY)
async def test_a_server_that_is_wrong_only_of_many_is_asked_for_each(mode: Mode, connect: Any) -> None:
    def mode_of(head: bytes) -> Mode:
        return mode if b"POST /emulator/status" in head else plain(answer())

    with misbehaving(mode_of, by_request=True) as server:
        connect(server.url, **TIMEOUTS)
        payload = await fire(20)
    assert payload["outcome"] == "ended"


def test_what_is_decompressed_is_bounded_in_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="longer than 1,000,000 bytes"):
            decoded_text(BOMB, "gzip", 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


async def test_what_is_endless_does_not_hold_the_event_loop(connect: Any) -> None:
    """Others wait in the same triggerer."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    with misbehaving(has_no_end) as server:
        connect(server.url, **TIMEOUTS)
        ticking = asyncio.create_task(tick())
        await fire(5 * TIMEOUT_S)
        ticking.cancel()
    assert ticks > 10
