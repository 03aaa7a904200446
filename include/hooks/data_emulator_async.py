"""The hook's async twin, for triggers: the same requests, answers, errors and retry policy, on aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from airflow.providers.http.hooks.http import AsyncHttpSession, HttpAsyncHook, SessionConfig
from airflow.sdk import Connection
from tenacity import AsyncRetrying

from include.connection import (
    CONN_NAME_ATTR,
    CONN_TYPE,
    HOOK_NAME,
    ConnectionSettings,
    plain_http_connection,
)
from include.defaults import DEFAULT_CONN_NAME
from include.exceptions import DataEmulatorConfigError, DataEmulatorConnectionError
from include.wire.answer import Answer
from include.wire.call import Call, cancel_call, status_call, statuses_call
from include.wire.status import EmulationStatus, Statuses, parse_cancelled, parse_status, parse_statuses

T = TypeVar("T")


class DataEmulatorAsyncHook(HttpAsyncHook):
    """Watch and cancel emulations without blocking an event loop.

    Take the connection and one HTTP session for a whole wait::

        async with hook.open() as client:
            status = await client.get_status(emulation_id, wait_s=30)

    :param data_emulator_conn_id: the Airflow connection, as for ``DataEmulatorHook``
    """

    conn_name_attr = CONN_NAME_ATTR
    default_conn_name = DEFAULT_CONN_NAME
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, data_emulator_conn_id: str = DEFAULT_CONN_NAME) -> None:
        super().__init__(http_conn_id=data_emulator_conn_id)
        self.data_emulator_conn_id = data_emulator_conn_id

    @classmethod
    async def aget_connection(cls, conn_id: str) -> Connection:
        """The connection as the HTTP hook may see it: without the token and our own fields."""
        connection = await super().aget_connection(conn_id)
        return plain_http_connection(connection, await connection.aextra_dejson())

    async def config(self) -> SessionConfig:
        """The base class's configuration, with its TLS and proxy options as aiohttp takes them.

        :raises DataEmulatorConfigError: when a file that the connection names for TLS cannot be read
        """
        is_new = self._config is None
        config = await super().config()
        if is_new:
            options = config.extra_options = dict(config.extra_options or {})
            verify = options.pop("verify_ssl", True)
            if verify is False:
                options["ssl"] = False
            elif isinstance(verify, str):
                try:
                    options["ssl"] = await asyncio.to_thread(ssl.create_default_context, cafile=verify)
                except OSError as error:
                    raise DataEmulatorConfigError(
                        f"Connection {self.http_conn_id!r}, its extra: `verify` is {verify!r}: {error}"
                    ) from error
            if isinstance(proxies := options.get("proxy"), Mapping):
                options["proxy"] = proxies.get(urlsplit(config.base_url).scheme)
        return config

    @asynccontextmanager
    async def open(self) -> AsyncIterator[DataEmulatorClient]:
        """Open one HTTP session, and look the connection up once.

        :raises DataEmulatorConfigError: for a connection that cannot be used
        """
        connection = await super().aget_connection(self.http_conn_id)
        settings = ConnectionSettings.of(connection, await connection.aextra_dejson())
        # trust_env: proxies from the environment, as the synchronous hook has them.
        async with aiohttp.ClientSession(headers=settings.headers(), trust_env=True) as session:
            yield DataEmulatorClient(self, session, await self.config(), settings)


class DataEmulatorClient:
    """An open session with a Data Emulator Service; made by :meth:`DataEmulatorAsyncHook.open`.

    Methods mean, and raise, what the same methods of ``DataEmulatorHook`` do.

    :param settings: the connection's own fields; ``settings.retry`` is the policy
    """

    def __init__(
        self,
        hook: DataEmulatorAsyncHook,
        session: aiohttp.ClientSession,
        config: SessionConfig,
        settings: ConnectionSettings,
    ) -> None:
        self._hook = hook
        self._session = session
        self._config = config
        self.settings = settings

    async def get_status(
        self, emulation_id: str, wait_s: int | None = None, *, attempts: int | None = None
    ) -> EmulationStatus:
        """Look at an emulation, and let the service hold the answer for up to ``wait_s`` seconds.

        :param attempts: instead of the policy's number; for a caller that paces itself
        """
        return await self._call(status_call(emulation_id, wait_s), partial(parse_status, emulation_id), attempts)

    async def get_statuses(self, emulation_ids: Sequence[str], wait_s: int, *, minimal: bool) -> Statuses:
        """Look at many emulations, once, and let the service hold the answer until one of them is over.

        :param emulation_ids: at most 10,000, this project's service's limit
        :param wait_s: for how long the service may hold the answer, in seconds; 0 for not at all
        :param minimal: let it tell only of those that are over, or that it does not know; one that ignores this tells
            of all
        :raises DataEmulatorRequestError: with ``http_status`` 404 or 405 from a service that tells of one at a time
        """
        return await self._call(statuses_call(emulation_ids, wait_s, minimal=minimal), parse_statuses, attempts=1)

    async def cancel(self, emulation_id: str) -> bool:
        """Ask for an emulation to be cancelled; False if it was over already."""
        return await self._call(cancel_call(emulation_id), parse_cancelled)

    async def _call(self, call: Call, parse: Callable[[Answer], T], attempts: int | None = None) -> T:
        """Send a request as often as the policy allows, and parse the answer."""
        attempts = attempts if call.repeatable else 1
        retrying = AsyncRetrying(**self.settings.retry.tenacity_arguments(self._hook.log.warning, attempts=attempts))

        async def attempt() -> T:
            return parse(await self._send(call))

        return await retrying(attempt)

    async def _send(self, call: Call) -> Answer:
        """Send a request once.

        :raises DataEmulatorConnectionError: when no answer came, or only a part of one
        """
        request = self._hook._get_request_func(self._session, call.method)
        http = AsyncHttpSession(hook=self._hook, request=request, config=self._config, method=call.method)
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self.settings.connect_timeout_s, sock_read=self.settings.read_timeout_s + call.held_s
        )
        options: dict[str, Any] = {"check_response": False, "timeout": timeout, "allow_redirects": False}
        asked = f"{call.method} {self._config.base_url}{call.path}"
        try:
            response = await http.run(call.path, headers=dict(call.headers), extra_options=options, json=call.json)
            async with response:
                text = await response.text(encoding="utf-8", errors="replace")
                return Answer(asked, response.status, response.headers, text, self.settings.retry.status_codes)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise DataEmulatorConnectionError(f"{asked} got no answer: {reason}") from error
