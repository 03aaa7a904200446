"""The service's image running, as its users run it: read-only, with one volume."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from data_emulator.stack.ports import LOOPBACK, PortReservation
from tests.support.images import container
from tests.support.images.buildah import Image

TOKEN = "a-token"
STATE = "/var/lib/data-emulator"
PATIENCE_S = 120
EMULATION = {
    "emulator_sync": "file",
    "emulation_domain": "transaction",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 60,
    "rate": None,
    "max_records": 100,
}


class ServiceContainer:
    """The service in a container.

    :param folder: its volume; made if it is not there.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        with PortReservation(1) as reservation:
            (self.port,) = reservation.ports
        self.image = image
        self.volume = container.volume(image, STATE, folder)
        self._settings = {
            "DATA_EMULATOR_HOST": LOOPBACK,  # not all addresses: the network is not a container's own
            "DATA_EMULATOR_PORT": str(self.port),
            "DATA_EMULATOR_TOKEN": TOKEN,
            "DATA_EMULATOR_WORKERS": "1",
            "DATA_EMULATOR_FILE_ROOT": f"{STATE}/data",
        }
        self.process = self.start(command(image))
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.end()
            raise

    def start(self, arguments: list[str]) -> subprocess.Popen[str]:
        """Start a command in a container that has the same volume and settings."""
        return container.start(self.image, arguments, volumes={STATE: self.volume}, environment=self._settings)

    def healthcheck(self) -> int:
        """Return the exit status of the image's health check."""
        kind, *arguments = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        process = self.start(arguments)
        process.communicate(timeout=PATIENCE_S)
        return process.returncode

    def request(self, path: str, body: dict[str, Any] | None = None, token: str = TOKEN) -> tuple[int, Any]:
        """Ask for a path, or post a body there; return status and answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def emulate(self, **changes: Any) -> dict[str, Any]:
        """Emulate 100 transactions, wait for the end, and return the manifest."""
        status, answer = self.request("/emulator/", {**EMULATION, **changes})
        assert status == 201, answer
        deadline = time.monotonic() + PATIENCE_S
        while True:
            _, manifest = self.request(f"/emulator/{answer['id']}/manifest")
            if manifest["state"] not in ("queued", "processing"):
                return dict(manifest)
            assert time.monotonic() < deadline, manifest
            time.sleep(0.1)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self.process.poll() is None, self.process.communicate()[0]
            try:
                assert self.request("/healthz") == (200, {"status": "ok"})
            except OSError:
                assert time.monotonic() < deadline, "the service does not answer"
                time.sleep(0.2)
            else:
                return

    def end(self) -> None:
        """Leave nothing of it running."""
        container.end(self.process)


def command(image: Image) -> list[str]:
    """Return what a container of the image runs by itself."""
    return [*image.config["Entrypoint"], *image.config["Cmd"]]
