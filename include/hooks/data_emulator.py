"""The hook: the only synchronous code that speaks HTTP with a Data Emulator Service."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar

import requests
import urllib3
from airflow.providers.http.hooks.http import HttpHook
from tenacity import Retrying

from ..connection import CONN_NAME_ATTR, CONN_TYPE, HOOK_NAME, ConnectionSettings
from ..defaults import DEFAULT_CONN_NAME
from ..exceptions import DataEmulatorConfigError, DataEmulatorConnectionError
from ..wire.answer import Answer
from ..wire.call import Call, cancel_call, manifest_call, start_call, status_call
from ..wire.manifest import Manifest, parse_manifest
from ..wire.request import EmulationRequest
from ..wire.status import EmulationStatus, Started, parse_cancelled, parse_started, parse_status
from .body import BodyReader
from .deadline import call_within
from .no_answer import why_no_answer
from .route import Route

T = TypeVar("T")

_CHUNK_BYTES = 1 << 16


class DataEmulatorHook(HttpHook):
    """Start, watch and cancel emulations.

    The connection is like Airflow's HTTP connection (``docs/airflow.md`` has what differs), with a Token that is sent
    as a bearer token, and the fields that ``include/provider_info.py`` describes.

    Transient failures (no answer, an answer that is not the service's, the connection's ``retry_status_codes``) are
    retried by the connection's retry policy, a POST only if it carries an idempotency key. All methods raise
    ``DataEmulatorConfigError`` for a connection that cannot be used, ``DataEmulatorUnavailableError`` when the last
    attempt failed too, and ``DataEmulatorRequestError`` when the service refused.

    :param data_emulator_conn_id: the Airflow connection, which is looked up once
    """

    conn_name_attr = CONN_NAME_ATTR
    default_conn_name = DEFAULT_CONN_NAME
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, data_emulator_conn_id: str = DEFAULT_CONN_NAME) -> None:
        super().__init__(http_conn_id=data_emulator_conn_id)
        self.data_emulator_conn_id = data_emulator_conn_id

    @cached_property
    def settings(self) -> ConnectionSettings:
        """What the connection says."""
        return ConnectionSettings.read(self.data_emulator_conn_id)

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Make a session of requests by the connection; the HTTP hook's own methods use it too.

        :param headers: of every request, beside the connection's
        :param extra_options: of the HTTP hook's ``run``
        :raises DataEmulatorConfigError: for a connection that cannot be used
        """
        route = Route.to(self.settings, self.data_emulator_conn_id)
        session = requests.Session()
        session.trust_env = False  # the route has what counts of the environment
        session.verify = route.authorities or False
        if route.cert is not None:
            file, key = route.cert
            session.cert = file if key is None else (file, key)
        session.proxies = {"http": route.proxy, "https": route.proxy} if route.proxy else {}
        session.headers.update({**self.settings.http.headers, "Accept-Encoding": "gzip", **(headers or {})})
        if route.authorization:
            session.headers["Authorization"] = route.authorization
        self.base_url = self.settings.base_url
        self.merged_extra = dict(extra_options or {})
        return session

    def start_emulation(self, request: EmulationRequest, idempotency_key: str | None) -> str:
        """Ask for an emulation.

        :param request: what to emulate
        :param idempotency_key: the same key and request give the same emulation, at a service that knows the header;
            without a key the request is sent once only
        :return: the emulation's id
        """
        return self.find_or_start_emulation(request, idempotency_key).emulation_id

    def find_or_start_emulation(
        self, request: EmulationRequest, idempotency_key: str | None, *, attempts: int | None = None
    ) -> Started:
        """Ask for an emulation as :meth:`start_emulation` does, and tell whether it was there already.

        :param attempts: instead of the policy's number
        """
        started = self._call(start_call(request, idempotency_key), parse_started, attempts=attempts)
        if started.replayed:
            self.log.info("Emulation %s had been started under this key already; staying with it", started.emulation_id)
        return started

    def get_status(self, emulation_id: str, wait_s: int | None = None) -> EmulationStatus:
        """Look at an emulation.

        :param emulation_id: the emulation
        :param wait_s: let the service hold the answer until the emulation is over, or for that many seconds; a service
            that does not know long polls answers at once, and then ``waited`` is False
        :raises EmulationNotFoundError: when the service does not know the emulation
        """
        return self._call(status_call(emulation_id, wait_s), partial(parse_status, emulation_id))

    def cancel(self, emulation_id: str, *, attempts: int | None = None) -> bool:
        """Ask for an emulation to be cancelled.

        :param attempts: instead of the policy's number
        :return: True if the service will cancel it, False if it was over already
        :raises DataEmulatorRequestError: with ``http_status`` 405 from a service that cannot cancel
        :raises EmulationNotFoundError: when the service does not know the emulation
        """
        return self._call(cancel_call(emulation_id), parse_cancelled, attempts=attempts)

    def get_manifest(self, emulation_id: str) -> Manifest:
        """Where a completed emulation's data lies.

        :raises EmulationNotFoundError: when the service does not know the emulation
        :raises DataEmulatorRequestError: with ``http_status`` 404 from a service that knows no manifests
        """
        return self._call(manifest_call(emulation_id), partial(parse_manifest, emulation_id))

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether a Data Emulator Service can be used by this connection, or what is wrong and what to do."""
        from .connection_check import check_connection  # no task needs it

        try:
            return check_connection(self._send, self.settings)
        except DataEmulatorConfigError as error:
            return False, f"{error}."

    def _call(self, call: Call, parse: Callable[[Answer], T], *, attempts: int | None = None) -> T:
        """Send a request as often as the policy allows, and parse the answer.

        :param attempts: instead of the policy's number; a request that is not repeatable is sent once anyway
        """
        attempts = attempts if call.repeatable else 1
        retrying = Retrying(**self.settings.retry.tenacity_arguments(self.log.warning, attempts=attempts))
        return retrying(lambda: parse(self._send(call)))

    def _send(self, call: Call) -> Answer:
        """Send a request once.

        :raises DataEmulatorConnectionError: when no answer came in time
        :raises DataEmulatorAnswerError: for an answer without an end
        :raises DataEmulatorConfigError: when a file that the connection names for TLS cannot be read
        """
        settings = self.settings
        session = self.get_conn(dict(call.headers))
        url = settings.base_url + call.path
        answer_s = settings.read_timeout_s + call.held_s

        def exchange() -> Answer:
            ends_at = time.monotonic() + settings.connect_timeout_s + answer_s
            with (
                session,
                session.request(
                    call.method,
                    url,
                    json=call.json,
                    timeout=(settings.connect_timeout_s, answer_s),
                    allow_redirects=False,  # a redirected POST would arrive as a GET
                    stream=True,
                ) as response,
            ):
                body = BodyReader(call.max_bytes)
                while not body.is_full and (chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False)):
                    body.add(chunk)
                    if time.monotonic() > ends_at:
                        raise TimeoutError
                return body.answer(call, settings, response.status_code, response.headers)

        try:
            return call_within(settings.connect_timeout_s + answer_s, exchange)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise DataEmulatorConnectionError(*why_no_answer(error, settings), f"{call.method} {url}") from None
