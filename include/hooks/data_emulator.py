"""The hook: the only synchronous code that speaks HTTP with a Data Emulator Service."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import Connection
from tenacity import Retrying

from include.connection import (
    CONN_NAME_ATTR,
    CONN_TYPE,
    HOOK_NAME,
    ConnectionSettings,
    plain_http_connection,
)
from include.defaults import DEFAULT_CONN_NAME
from include.exceptions import (
    DataEmulatorConfigError,
    DataEmulatorConnectionError,
)
from include.wire.answer import Answer
from include.wire.call import Call, cancel_call, manifest_call, start_call, status_call
from include.wire.manifest import Manifest, parse_manifest
from include.wire.request import EmulationRequest
from include.wire.status import EmulationStatus, Started, parse_cancelled, parse_started, parse_status

T = TypeVar("T")


class _SettingsAuth(requests.auth.AuthBase):
    """Sends the token. Being the session's auth, it also keeps requests from taking another one out of ``~/.netrc``."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._settings.headers())
        return request


class DataEmulatorHook(HttpHook):
    """Start, watch and cancel emulations.

    Host, schema and port of the connection are as for Airflow's HTTP connection. So are the headers and HTTP options in
    its extra, but redirects are not followed and ``timeout`` gives way to our two. The password is the bearer token.
    ``include/provider_info.py`` describes the other fields.

    Passing failures (no connection, timeouts, garbled answers, the connection's ``retry_status_codes``) are tried again
    by the connection's retry policy, a POST only if it carries an idempotency key. All methods raise
    ``DataEmulatorConfigError`` for a connection that cannot be used, ``DataEmulatorUnavailableError`` when the last
    attempt failed in passing too, and ``DataEmulatorRequestError`` when the service refused.

    A hook holds the request that it is making, so it is for one thread: code that interrupts another, like a signal
    handler, takes a hook of its own.

    :param data_emulator_conn_id: the Airflow connection
    """

    conn_name_attr = CONN_NAME_ATTR
    default_conn_name = DEFAULT_CONN_NAME
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, data_emulator_conn_id: str = DEFAULT_CONN_NAME) -> None:
        super().__init__(http_conn_id=data_emulator_conn_id)
        self.data_emulator_conn_id = data_emulator_conn_id
        # The HTTP hook looks the connection up for each request. It may see neither the token nor our own fields.
        self.get_connection = lambda conn_id: self._http_connection  # type: ignore[method-assign]

    @cached_property
    def settings(self) -> ConnectionSettings:
        """Our own fields of the connection."""
        return ConnectionSettings.of(self._connection, self._connection.extra_dejson)

    @cached_property
    def _connection(self) -> Connection:
        """The connection, looked up once: that is a request to Airflow."""
        return type(self).get_connection(self.http_conn_id)

    @property
    def _http_connection(self) -> Connection:
        return plain_http_connection(self._connection, self._connection.extra_dejson)

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

        :raises EmulationNotFoundError: when the service does not know the emulation, or knows no manifests
        """
        return self._call(manifest_call(emulation_id), partial(parse_manifest, emulation_id))

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether a Data Emulator Service can be used by this connection, or what is wrong and what to do."""
        from include.hooks.connection_check import check_connection  # no task needs it

        try:
            return check_connection(self._send, self.url_from_endpoint(""), self.settings)
        except DataEmulatorConfigError as error:
            return False, str(error)

    def _configure_session_from_auth(self, session: requests.Session, connection: Connection) -> requests.Session:
        session.auth = _SettingsAuth(self.settings)
        return session

    def _call(self, call: Call, parse: Callable[[Answer], T], *, attempts: int | None = None) -> T:
        """Send a request as often as the policy allows, and parse the answer.

        :param attempts: instead of the policy's number; a request that is not repeatable is sent once anyway
        """
        settings = self.settings
        attempts = attempts if call.repeatable else 1
        retrying = Retrying(**settings.retry.tenacity_arguments(self.log.warning, attempts=attempts))
        return retrying(lambda: parse(self._send(call)))

    def _send(self, call: Call) -> Answer:
        """Send a request once.

        :raises DataEmulatorConnectionError: when no answer came
        :raises DataEmulatorConfigError: when a file that the connection names for TLS cannot be read
        """
        self.method = call.method
        options: dict[str, Any] = {
            "check_response": False,
            "timeout": (self.settings.connect_timeout_s, self.settings.read_timeout_s + call.held_s),
            "allow_redirects": False,  # a redirected POST would arrive as a GET
        }

        def asked() -> str:  # after the request: the HTTP hook has read the connection for the URL by then
            return f"{call.method} {self.url_from_endpoint(call.path)}"

        try:
            response = self.run(call.path, headers=dict(call.headers), extra_options=options, json=call.json)
        except requests.RequestException as error:
            raise DataEmulatorConnectionError(f"{asked()} got no answer: {error}") from error
        except OSError as error:  # what requests says of a `verify` or `cert` that is not there
            raise DataEmulatorConfigError(f"Connection {self.http_conn_id!r}, its extra: {error}") from error
        text = response.content.decode(errors="replace")
        return Answer(asked(), response.status_code, response.headers, text, self.settings.retry.status_codes)
