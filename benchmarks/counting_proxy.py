"""An HTTP proxy that passes every request on, and remembers when each came: what the service is asked, counted."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from data_emulator.stack.ports import LOOPBACK

_PASSED_ON = ("Content-Type", "Prefer", "Authorization", "Idempotency-Key", "Accept")
_ANSWERED = ("Content-Type", "Preference-Applied", "Retry-After")
_READY_WITHIN_S = 10.0


class CountingProxy:
    """Listens on `port` of this machine, in a thread of its own, in front of the service at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._asked_at: list[float] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self.port = 0

    def asked_between(self, begin: float, end: float) -> int:
        """Return how many requests came between two moments of the monotonic clock."""
        return sum(begin <= each < end for each in list(self._asked_at))

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_READY_WITHIN_S):
            raise RuntimeError("the counting proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_READY_WITHIN_S)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(self._url, timeout=timeout, trust_env=False) as service:

            async def pass_on(request: web.Request) -> web.Response:
                self._asked_at.append(time.monotonic())
                headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
                body = await request.read()
                async with service.request(request.method, request.path_qs, headers=headers, data=body) as answer:
                    headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
                    return web.Response(status=answer.status, headers=headers, body=await answer.read())

            application = web.Application(client_max_size=2**24)
            application.router.add_route("*", "/{path:.*}", pass_on)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                site = web.TCPSite(runner, LOOPBACK, 0)
                await site.start()
                self.port = runner.addresses[0][1]
                self._ready.set()
                await self._stopped.wait()
            finally:
                await runner.cleanup()
