"""What the button *Test* of a connection's form says: one plain sentence on what is wrong, and what to do about it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import requests
import urllib3

from include.connection import ConnectionSettings
from include.exceptions import DataEmulatorConnectionError
from include.wire.answer import Answer
from include.wire.call import Call, readiness_call, status_call

_DEFAULT_PORTS = {"http": 80, "https": 443}

# OpenSSL's numbers for what is wrong with a certificate (X509_V_ERR_...).
_EXPIRED = 10
_WRONG_NAME = (62, 64)


def check_connection(send: Callable[[Call], Answer], base_url: str, settings: ConnectionSettings) -> tuple[bool, str]:
    """Ask for an emulation that cannot exist, and then whether the service is ready; each is asked once.

    The answer to the first tells whether the token is good and an emulator is there, of whatever make.

    :param send: sends a request once, or raises DataEmulatorConnectionError
    :param base_url: where it sends to
    :return: whether the connection can be used, and a text for the form, without secrets
    :raises DataEmulatorConfigError: as ``send`` does
    """
    emulation_id = str(uuid.UUID(int=0))
    try:
        answer = send(status_call(emulation_id))
    except DataEmulatorConnectionError as error:
        return False, _why_no_answer(error.__cause__ or error, base_url, settings)
    # Other services have a 404 too, but do not name the emulation in its `detail`.
    if answer.status_code != 404 or emulation_id not in str(_json_object(answer).get("detail")):
        return False, _why_no_emulator(answer, base_url, settings)

    try:
        readiness = send(readiness_call())
    except DataEmulatorConnectionError as error:
        if _find(error, requests.ReadTimeout):
            return False, (
                f"A Data Emulator Service answers at {base_url}, but did not tell within {settings.read_timeout_s:g} s "
                "whether its sinks are ready: most likely one of them hangs; ask its /readyz, and read its log."
            )
        return False, _why_no_answer(error.__cause__ or error, base_url, settings)
    return _readiness(readiness, base_url)


def _why_no_answer(error: BaseException, base_url: str, settings: ConnectionSettings) -> str:
    """The sentence for a request that got no answer."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return f"{base_url} is not the URL of a service: set Schema to http or https, and correct Host and Port."
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    at = f"{host}:{port}"

    if _find(error, requests.exceptions.ProxyError):
        return (
            f"The proxy on the way to {at} does not work: correct `proxies` in the connection's Extra, or HTTP_PROXY, "
            "HTTPS_PROXY and NO_PROXY where Airflow runs."
        )
    if unresolved := _find(error, socket.gaierror):
        return (
            f"The name {host} cannot be resolved ({unresolved.strerror}): correct Host, or make the name known where "
            "Airflow runs."
        )
    if _find(error, ConnectionRefusedError):
        return (
            f"{at} refuses connections, so nothing listens there: correct Host and Port, or start the service; if it "
            "runs, it must listen on an address that Airflow can reach, not on loopback."
        )
    if _find(error, requests.ConnectTimeout):
        return (
            f"{at} could not be reached within {settings.connect_timeout_s:g} s (connect_timeout): correct Host and "
            "Port, or let Airflow through the firewall in between."
        )
    if _find(error, requests.ReadTimeout):
        return (
            f"{at} accepts connections, but did not answer within {settings.read_timeout_s:g} s (read_timeout): see "
            "whether the service hangs, or correct Port if it is not the service that listens there."
        )
    if untrusted := _find(error, ssl.SSLCertVerificationError):
        return _why_not_trusted(untrusted, at)
    if tls := _find(error, ssl.SSLError):
        if tls.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            return f"{at} does not speak TLS: set Schema to http, or correct Port."
        return f"TLS with {at} failed ({tls.reason or tls}): correct Port, or the service's TLS, or `cert` in Extra."
    if parts.scheme == "https":
        return (
            f"{at} broke the connection off while TLS was set up: set Schema to http if the service has no TLS, or "
            "correct Port."
        )
    if _find(error, ConnectionError, urllib3.exceptions.ProtocolError):
        if _speaks_tls(parts, settings.connect_timeout_s):
            return f"{at} speaks TLS: set Schema to https."
        return f"{at} does not answer as an HTTP server does: correct Port, or see whether the service crashes."
    reason = next((each.strerror for each in _causes(error) if isinstance(each, OSError) and each.strerror), None)
    return f"{at} cannot be reached ({reason or type(error).__name__}): correct Host and Port, or the way there."


def _why_not_trusted(error: ssl.SSLCertVerificationError, at: str) -> str:
    if error.verify_code in _WRONG_NAME:
        return f"The certificate of {at} is for another name: set Host to a name that the certificate has."
    if error.verify_code == _EXPIRED:
        return f"The certificate of {at} has expired: renew it at the service."
    return (
        f"The certificate of {at} is not trusted ({error.verify_message}): name the file of the authority's "
        'certificate in the connection\'s Extra, as "verify": "/path/to/ca.pem".'
    )


def _why_no_emulator(answer: Answer, base_url: str, settings: ConnectionSettings) -> str:
    """The sentence for an answer that shows that the service is not there, or cannot be used."""
    status = answer.status_code
    is_html = answer.text.lstrip()[:1] == "<"
    if 300 <= status < 400:
        to = _without_query(answer.headers.get("Location", ""))
        return (
            f"{base_url} redirects to {to or 'an unnamed place'}, and redirects are not followed: set Schema, Host and "
            "Port to where the service itself is; if that is a login page, let Airflow past it."
        )
    if status == 401 and settings.token is None:
        return f"{base_url} wants a token (401): set Token to the service's DATA_EMULATOR_TOKEN."
    if status == 401:
        return f"{base_url} refuses the token (401): set Token to the service's DATA_EMULATOR_TOKEN."
    if status == 403:
        return f"{base_url} forbids the request (403): use a token that may use the service, or ask who runs it."
    if status in (502, 503, 504):
        return (
            f"Something at {base_url} answers {status}, most likely a proxy in front of the service: see whether the "
            "service behind it runs."
        )
    if status == 429 or (status >= 500 and not is_html):
        return f"{base_url} answers {status}, so the service is busy or broken: try again later, and read its log."
    parts = urlsplit(base_url)
    # Many servers of TLS answer plain HTTP with a plain 400.
    if status == 400 and parts.scheme == "http" and _speaks_tls(parts, settings.connect_timeout_s):
        return f"{parts.netloc} speaks TLS: set Schema to https."
    what = "an HTML page" if is_html else "something else"
    return (
        f"An HTTP server answers at {base_url}, but it is not a Data Emulator Service: asked for an emulation that "
        f"cannot exist it answered {status} with {what}; correct Host and Port."
    )


def _readiness(answer: Answer, base_url: str) -> tuple[bool, str]:
    """The result by the answer to ``GET /readyz``, which the original service does not have."""
    answers = f"A Data Emulator Service answers at {base_url}"
    checks = _checks(answer)
    if answer.status_code == 200 and checks:
        sinks = [
            f"{name} is {'ready' if state == 'ok' else state}" for name, state in checks.items() if name != "store"
        ]
        return True, f"{answers}: {', '.join(sinks)}."
    if answer.status_code == 503:
        wrong = [f"{name}: {state}" for name, state in checks.items() if state not in ("ok", "not configured")]
        return False, (
            f"{answers}, but is not ready ({'; '.join(wrong) or answer.detail()}): correct the service's settings for "
            "that, or start what it needs."
        )
    return True, f"{answers}. It does not tell whether its sinks are ready."


def _checks(answer: Answer) -> dict[str, str]:
    checks = _json_object(answer).get("checks")
    return {str(name): str(state)[:300] for name, state in checks.items()} if isinstance(checks, dict) else {}


def _json_object(answer: Answer) -> dict[str, Any]:
    try:
        body = json.loads(answer.text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _without_query(url: str) -> str:
    """A URL without what may be secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _speaks_tls(base_url: SplitResult, timeout_s: float) -> bool:
    """Whether a TLS handshake succeeds; whose certificate it is does not matter, as nothing is sent."""
    host, port = base_url.hostname or "", base_url.port or _DEFAULT_PORTS["http"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return True
    return False


def _find(error: BaseException, *kinds: type[BaseException]) -> Any:
    """The first of an error's causes that is of one of these kinds."""
    return next((each for each in _causes(error) if isinstance(each, kinds)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised for, from the outside in; urllib3 keeps causes in ``reason`` and arguments."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            waiting += [getattr(each, "reason", None), *each.args, each.__cause__, each.__context__]
