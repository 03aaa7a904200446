"""The HTTP server: uvicorn, with a prompt shutdown even while clients hold long polls."""

from __future__ import annotations

import gc
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from data_emulator.settings import Settings

_SHUTDOWN_GRACE_S: Final = 5
"""How long a request that is being answered may take once the service has been told to end."""

_GC_THRESHOLDS: Final = (50_000, 20, 100)
"""Requests leave few cycles behind: to look for them after every 700 new objects costs a sixth of each request."""


class Server(uvicorn.Server):
    """Serves the application on the address of its settings.

    :param on_started: called with the service's URL once it answers.
    """

    def __init__(self, app: FastAPI, settings: Settings, on_started: Callable[[str], None] = lambda url: None) -> None:
        self._app = app
        self._on_started = on_started
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_SHUTDOWN_GRACE_S,
            )
        )

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Serve until told to end."""
        # All that is there by now stays: a full collection need not go through it again and again, which holds every
        # answer up for a tenth of a second or more.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        await super().serve(sockets)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start listening, and print the address."""
        await super().startup(sockets)
        if self.started:
            host = self.config.host if ":" not in self.config.host else f"[{self.config.host}]"
            self._on_started(f"http://{host}:{self.servers[0].sockets[0].getsockname()[1]}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start shutting down. Answer long polls now: workers are stopped in order only when nobody waits any more."""
        super().handle_exit(sig, frame)
        self._app.state.emulations.stop_waiting()
