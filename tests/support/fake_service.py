"""A real aiohttp server on loopback that follows a script: for what the trigger and the async hook meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Any]


def status(state: str, *, held: bool = False, **more: Any) -> Answer:
    """Answer with a status; ``held``: as a service does that applied the preference to wait."""
    headers = {"Preference-Applied": "wait=1"} if held else {}
    body = {"id": "e1", "status": {"global_status": state, "threads": {}}, **more}
    return lambda request: web.json_response(body, headers=headers)


def error(status_code: int, detail: str = "because", **headers: str) -> Answer:
    return lambda request: web.json_response({"detail": detail}, status=status_code, headers=headers)


def text(body: str) -> Answer:
    return lambda request: web.Response(text=body)


def reset(request: web.Request) -> web.Response:
    """Break the connection off without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def cut_off(request: web.Request) -> web.StreamResponse:
    """Begin an answer, and break off."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"status":')
    if request.transport is not None:
        request.transport.abort()
    return response


async def hang(request: web.Request) -> web.Response:
    """Never answer."""
    await asyncio.sleep(3600)
    return web.Response()


class FakeService:
    """Gives the answers in order, and the last one for ever; keeps the requests. It tells of one emulation at a time.

    :param script: the answers to everything but a DELETE, and to who asks for many
    :param delete: the answer to every DELETE
    """

    def __init__(self, script: list[Answer], delete: Answer) -> None:
        self.script = script
        self.delete = delete
        self.requests: list[web.BaseRequest] = []
        self.connections: set[Any] = set()
        self.url = ""

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    async def handle(self, request: web.BaseRequest) -> Any:
        if request.path == "/emulator/status":
            return web.json_response({"detail": "Not Found"}, status=404)
        self.requests.append(request)
        self.connections.add(request.transport)
        if request.method == "DELETE":
            answer = self.delete
        else:
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        result = answer(request)  # type: ignore[arg-type]
        return await result if asyncio.iscoroutine(result) else result


@asynccontextmanager
async def fake_service(*script: Answer, delete: Answer | None = None) -> AsyncIterator[FakeService]:
    """Run the service for the length of an async with block."""
    service = FakeService(list(script), delete or error(405, "Method Not Allowed"))
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", service.handle)
    async with TestServer(app) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service
