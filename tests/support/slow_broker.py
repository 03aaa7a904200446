"""A broker whose store takes its time.

Tansu looks through its whole log in the store for the records that a consumer wants. With some ten thousand batches in
a partition that takes longer than librdkafka lets a broker wait; here each request to the store takes that long.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import obstore

from data_emulator.stack.processes import Command, Supervisor
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu

_DELAY_S = 0.6
_LOG_BUCKET = "slow-kafka-log"


class SlowBroker(Tansu):
    """A broker with a log of its own in a slow store."""

    def __init__(self, supervisor: Supervisor, store: SlowStore, *, work_dir: Path, log_path: Path, port: int) -> None:
        super().__init__(supervisor, store=store.store, work_dir=work_dir, log_path=log_path, port=port)
        self._slow_store = store
        obstore.put(store.store.bucket(_LOG_BUCKET), "created", b"")

    def command(self) -> Command:
        """Return the command line, for the slow store."""
        command = super().command()
        return replace(
            command,
            argv=(*command.argv[:-1], f"--storage-engine=s3://{_LOG_BUCKET}/"),
            env={**command.env, "AWS_ENDPOINT": self._slow_store.url},
        )

    @contextmanager
    def being_slow(self) -> Iterator[None]:
        """Be as slow as with a large log until the block ends."""
        self._slow_store.delay_s = _DELAY_S
        try:
            yield
        finally:
            self._slow_store.delay_s = 0


class SlowStore(ThreadingTCPServer):
    """Passes all that is sent to it on to a store, after `delay_s`."""

    daemon_threads = True

    def __init__(self, store: SeaweedFS) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.store = store
        self.delay_s = 0.0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> SlowStore:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(BaseRequestHandler):
    server: SlowStore

    def handle(self) -> None:
        address = urlsplit(self.server.store.endpoint)
        with socket.create_connection((address.hostname, address.port)) as store:
            back = threading.Thread(target=_copy, args=(store, self.request), daemon=True)
            back.start()
            while sent := self.request.recv(1 << 16):
                time.sleep(self.server.delay_s)
                store.sendall(sent)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while received := source.recv(1 << 16):
            target.sendall(received)
    except OSError:
        pass  # one of them is closed
