"""What every request must pass: the bearer token, and the limit on the body's size."""

from __future__ import annotations

import secrets
from typing import Final

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_emulator.api.problems import refusal
from data_emulator.errors import BodyTooLarge, Unauthorized

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""What an orchestrator's probes ask: they carry no token, and the answers hold nothing secret."""


class RequireToken:
    """Refuses requests without the bearer token (RFC 6750)."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._expected = b"Bearer " + token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = Headers(scope=scope).get("authorization", "").encode("latin-1")
            if not secrets.compare_digest(given, self._expected):
                await refusal(Unauthorized("a valid bearer token is needed: Authorization: Bearer <token>"))(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class LimitBody:
    """Refuses bodies over a size, by their declared length or while they arrive."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        too_large = BodyTooLarge(f"the body exceeds {self._max_bytes} bytes")
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await refusal(too_large)(scope, receive, send)
            return
        # Bodies are small: each is taken in whole before the application sees it, whatever its declared length.
        messages: list[Message] = []
        received = 0
        while True:
            message = await receive()
            messages.append(message)
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                await refusal(too_large)(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                break

        async def replayed() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replayed, send)
