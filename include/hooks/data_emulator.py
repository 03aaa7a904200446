"""The hook: the only synchronous code that sends requests to a Data Emulator Service."""

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
    """Start, follow and cancel emulations.

    The connection is like Airflow's HTTP connection (see ``docs/airflow.md`` for the differences), with a Token that is
    sent as a bearer token, and the fields in ``include/provider_info.py``.

    Transient failures (no answer, an answer that is not the service's, the connection's ``retry_status_codes``) are
    retried by the connection's retry policy, a POST only if it carries an idempotency key. All methods raise
    ``DataEmulatorConfigError`` for an invalid connection, ``DataEmulatorUnavailableError`` when all attempts failed,
    and ``DataEmulatorRequestError`` when the service refused the request.

    :param data_emulator_conn_id: the Airflow connection, which is read once
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
        """The settings of the connection."""
        return ConnectionSettings.read(self.data_emulator_conn_id)

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session configured by the connection; the HTTP hook's own methods use it too.

        :param headers: for every request, in addition to the connection's
        :param extra_options: of the HTTP hook's ``run``
        :raises DataEmulatorConfigError: for an invalid connection
        """
        route = Route.to(self.settings, self.data_emulator_conn_id)
        session = requests.Session()
        session.trust_env = False  # the route already includes the environment's settings
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
        """Start an emulation.

        :param request: what to emulate
        :param idempotency_key: the same key and request give the same emulation, if the service supports the header;
            without a key the request is sent only once
        :return: the emulation's id
        """
        return self.find_or_start_emulation(request, idempotency_key).emulation_id

    def find_or_start_emulation(
        self, request: EmulationRequest, idempotency_key: str | None, *, attempts: int | None = None
    ) -> Started:
        """Start an emulation like :meth:`start_emulation`, and report whether it had already been started.

        :param attempts: overrides the policy's number
        """
        started = self._call(start_call(request, idempotency_key), parse_started, attempts=attempts)
        if started.replayed:
            self.log.info("Emulation %s was already started with this key; reusing it", started.emulation_id)
        return started

    def get_status(self, emulation_id: str, wait_s: int | None = None) -> EmulationStatus:
        """Return the status of an emulation.

        :param emulation_id: the emulation
        :param wait_s: long poll: let the service hold the answer until the emulation has ended, for up to this many
            seconds; a service without long polls answers at once, and then ``waited`` is False
        :raises EmulationNotFoundError: when the service does not know the emulation
        """
        return self._call(status_call(emulation_id, wait_s), partial(parse_status, emulation_id))

    def cancel(self, emulation_id: str, *, attempts: int | None = None) -> bool:
        """Cancel an emulation.

        :param attempts: overrides the policy's number
        :return: True if the service will cancel it, False if it had already ended
        :raises DataEmulatorRequestError: with ``http_status`` 405 from a service that cannot cancel
        :raises EmulationNotFoundError: when the service does not know the emulation
        """
        return self._call(cancel_call(emulation_id), parse_cancelled, attempts=attempts)

    def get_manifest(self, emulation_id: str) -> Manifest:
        """Return the manifest of a completed emulation: where its data is.

        :raises EmulationNotFoundError: when the service does not know the emulation
        :raises DataEmulatorRequestError: with ``http_status`` 404 from a service without manifests
        """
        return self._call(manifest_call(emulation_id), partial(parse_manifest, emulation_id))

    def test_connection(self) -> tuple[bool, str]:
        """Check whether the connection leads to a usable service; say what is wrong and what to do if not."""
        from .connection_check import check_connection  # no task needs it

        try:
            return check_connection(self._send, self.settings)
        except DataEmulatorConfigError as error:
            return False, f"{error}."

    def _call(self, call: Call, parse: Callable[[Answer], T], *, attempts: int | None = None) -> T:
        """Send a request, retrying as the policy allows, and parse the answer.

        :param attempts: overrides the policy's number; a request that is not repeatable is always sent once
        """
        attempts = attempts if call.repeatable else 1
        retrying = Retrying(**self.settings.retry.tenacity_arguments(self.log.warning, attempts=attempts))
        return retrying(lambda: parse(self._send(call)))

    def _send(self, call: Call) -> Answer:
        """Send a request once.

        :raises DataEmulatorConnectionError: when no answer came in time
        :raises DataEmulatorAnswerError: for an answer without an end
        :raises DataEmulatorConfigError: when a TLS file that the connection names cannot be read
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
