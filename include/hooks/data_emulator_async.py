"""The async twin of the hook, for triggers: same requests, answers, errors and retry policy, on aiohttp."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import aiohttp
from airflow.sdk import BaseHook
from asgiref.sync import sync_to_async
from tenacity import AsyncRetrying
from yarl import URL

from ..connection import CONN_NAME_ATTR, CONN_TYPE, HOOK_NAME, ConnectionSettings
from ..defaults import DEFAULT_CONN_NAME
from ..exceptions import DataEmulatorConnectionError
from ..wire.answer import Answer
from ..wire.call import Call, cancel_call, status_call, statuses_call
from ..wire.status import EmulationStatus, Statuses, parse_cancelled, parse_status, parse_statuses
from .body import BodyReader
from .no_answer import why_no_answer
from .route import Route

T = TypeVar("T")

_CHUNK_BYTES = 1 << 16

log = logging.getLogger(__name__)


class DataEmulatorAsyncHook(BaseHook):
    """Follow and cancel emulations without blocking the event loop.

    Look the connection up, and take one HTTP session, for a whole wait::

        async with hook.open() as client:
            status = await client.get_status(emulation_id, wait_s=30)

    :param data_emulator_conn_id: the Airflow connection, as for ``DataEmulatorHook``
    """

    conn_name_attr = CONN_NAME_ATTR
    default_conn_name = DEFAULT_CONN_NAME
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, data_emulator_conn_id: str = DEFAULT_CONN_NAME) -> None:
        super().__init__()
        self.data_emulator_conn_id = data_emulator_conn_id

    @asynccontextmanager
    async def open(self) -> AsyncIterator[DataEmulatorClient]:
        """Open one HTTP session.

        :raises DataEmulatorConfigError: for a connection that cannot be used
        """
        # In a thread: files are read, and Airflow before 3.3.2 has no way to mask an extra's secrets in an event loop.
        settings, route, tls = await sync_to_async(self._prepare, thread_sensitive=False)()
        headers = {**settings.http.headers, "Accept-Encoding": "gzip"}
        if route.authorization:
            headers["Authorization"] = route.authorization
        # The headers go with each request: those of a session aiohttp sends to the proxy, too, the token among them.
        async with aiohttp.ClientSession(
            proxy=route.proxy,
            connector=aiohttp.TCPConnector(ssl=tls),
            trust_env=False,  # the route has what counts of the environment
            auto_decompress=False,
        ) as session:
            yield DataEmulatorClient(session, settings, headers)

    def _prepare(self) -> tuple[ConnectionSettings, Route, ssl.SSLContext | bool]:
        settings = ConnectionSettings.read(self.data_emulator_conn_id)
        route = Route.to(settings, self.data_emulator_conn_id)
        uses_tls = settings.base_url.startswith("https://")
        return settings, route, route.tls_context(self.data_emulator_conn_id) if uses_tls else True


class DataEmulatorClient:
    """An open session with a Data Emulator Service; made by :meth:`DataEmulatorAsyncHook.open`.

    Methods mean, and raise, what the same methods of ``DataEmulatorHook`` do.

    :param session: of aiohttp
    :param settings: what the connection says; ``settings.retry`` is the policy
    :param headers: of every request
    """

    def __init__(
        self, session: aiohttp.ClientSession, settings: ConnectionSettings, headers: Mapping[str, str]
    ) -> None:
        self._session = session
        self._headers = headers
        self.settings = settings

    async def get_status(
        self, emulation_id: str, wait_s: int | None = None, *, attempts: int | None = None
    ) -> EmulationStatus:
        """Return the status of an emulation, with a long poll of up to ``wait_s`` seconds.

        :param attempts: instead of the policy's number; for a caller that paces itself
        """
        return await self._call(status_call(emulation_id, wait_s), partial(parse_status, emulation_id), attempts)

    async def get_statuses(self, emulation_ids: Sequence[str], wait_s: int, *, minimal: bool) -> Statuses:
        """Return the status of many emulations, with a long poll until one of them has ended.

        :param emulation_ids: at most 10,000, this project's service's limit
        :param wait_s: for how long the service may hold the answer, in seconds; 0 for not at all
        :param minimal: let it tell only of those that are over, or that it does not know; one that ignores this tells
            of all
        :raises DataEmulatorRequestError: with ``http_status`` 404 or 405 from a service that tells of one at a time
        """
        return await self._call(statuses_call(emulation_ids, wait_s, minimal=minimal), parse_statuses, attempts=1)

    async def cancel(self, emulation_id: str) -> bool:
        """Cancel an emulation; return False if it had already ended."""
        return await self._call(cancel_call(emulation_id), parse_cancelled)

    async def _call(self, call: Call, parse: Callable[[Answer], T], attempts: int | None = None) -> T:
        """Send a request, retrying as the policy allows, and parse the answer."""
        attempts = attempts if call.repeatable else 1
        retrying = AsyncRetrying(**self.settings.retry.tenacity_arguments(log.warning, attempts=attempts))

        async def attempt() -> T:
            return parse(await self._send(call))

        return await retrying(attempt)

    async def _send(self, call: Call) -> Answer:
        """Send a request once.

        :raises DataEmulatorConnectionError: when no answer came in time
        :raises DataEmulatorAnswerError: for an answer without an end
        """
        settings = self.settings
        url = settings.base_url + call.path
        answer_s = settings.read_timeout_s + call.held_s
        timeout = aiohttp.ClientTimeout(
            total=settings.connect_timeout_s + answer_s, connect=settings.connect_timeout_s, sock_read=answer_s
        )
        try:
            async with self._session.request(
                call.method,
                URL(url, encoded=True),
                json=call.json,
                headers={**self._headers, **call.headers},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                body = BodyReader(call.max_bytes)
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    body.add(chunk)
                    if body.is_full:
                        break
                return body.answer(call, settings, response.status, response.headers)
        except (aiohttp.ClientError, OSError) as error:
            raise DataEmulatorConnectionError(*why_no_answer(error, settings), f"{call.method} {url}") from None
