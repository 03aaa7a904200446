"""Explain in one sentence why a request got no answer and which field to correct, for requests and aiohttp."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import requests
import urllib3

from ..connection import ConnectionSettings

_DEFAULT_PORTS = {"http": 80, "https": 443}

# OpenSSL's numbers for what is wrong with a certificate (X509_V_ERR_...).
_EXPIRED = 10
_WRONG_NAME = (62, 64)

_PROXY_ERRORS = (
    requests.exceptions.ProxyError,
    urllib3.exceptions.ProxyError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ClientHttpProxyError,
)
_CONNECT_TIMEOUTS = (requests.ConnectTimeout, aiohttp.ConnectionTimeoutError)
_NOT_HTTP = (
    ConnectionError,
    urllib3.exceptions.ProtocolError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)
_NO_TLS_THERE = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def why_no_answer(error: BaseException, settings: ConnectionSettings) -> tuple[str, str]:
    """Return what happened, and what to do about it.

    :param error: what the HTTP library raised, or a TimeoutError for an answer that was not complete in time
    :param settings: of the connection that was used
    """
    parts = urlsplit(settings.base_url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    at = f"{f'[{host}]' if ':' in host else host}:{port}"

    if _find(error, *_PROXY_ERRORS):
        return (
            f"The proxy on the way to {at} does not work",
            "correct `proxies` in the connection's Extra, or HTTP_PROXY, HTTPS_PROXY and NO_PROXY where Airflow runs",
        )
    if unresolved := _find(error, socket.gaierror):
        return (
            f"The name {host} cannot be resolved ({unresolved.strerror})",
            "correct Host, or make the name known where Airflow runs",
        )
    if _find(error, ConnectionRefusedError):
        return (
            f"{at} refuses connections, so nothing listens there",
            (
                "correct Host and Port, or start the service; if it runs, it must listen on an address that Airflow "
                "can reach, not on loopback"
            ),
        )
    if _find(error, *_CONNECT_TIMEOUTS):
        return (
            f"{at} could not be reached within {settings.connect_timeout_s:g} s (connect_timeout)",
            "correct Host and Port, or let Airflow through the firewall in between",
        )
    if _find(error, requests.ReadTimeout, TimeoutError):
        return (
            f"{at} accepts connections, but did not answer within {settings.read_timeout_s:g} s (read_timeout)",
            (
                "see whether the service hangs, or correct Port if it is not the service that listens there; a Kafka "
                "broker, for one, may leave a request without an answer"
            ),
        )
    # aiohttp's own error is of the same class, but knows no reason.
    openssls = (each for each in _causes(error) if isinstance(each, ssl.SSLError))
    tls = next((each for each in openssls if not isinstance(each, aiohttp.ClientError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return _why_not_trusted(tls, at)
    if tls:
        if tls.reason in _NO_TLS_THERE:
            return f"{at} does not speak TLS", "set Schema to http, or correct Port"
        return f"TLS with {at} failed ({tls.reason or tls})", "correct Port, or the service's TLS, or `cert` in Extra"
    if _find(error, *_NOT_HTTP):
        other = ("TLS", "http") if parts.scheme == "https" else ("plain HTTP", "https")
        return (
            f"{at} broke the connection off, or does not speak {other[0]}",
            (
                f"see whether the service crashes, set Schema to {other[1]}, or correct Port if it is another's, like "
                "a Kafka broker's"
            ),
        )
    reason = next((each.strerror for each in _causes(error) if isinstance(each, OSError) and each.strerror), None)
    return f"{at} cannot be reached ({reason or type(error).__name__})", "correct Host and Port, or the way there"


def _why_not_trusted(error: ssl.SSLCertVerificationError, at: str) -> tuple[str, str]:
    if error.verify_code in _WRONG_NAME:
        return f"The certificate of {at} is for another name", "set Host to a name that the certificate has"
    if error.verify_code == _EXPIRED:
        return f"The certificate of {at} has expired", "renew it at the service"
    return (
        f"The certificate of {at} is not trusted ({error.verify_message})",
        'name the file of the authority\'s certificate in the connection\'s Extra, as "verify": "/path/to/ca.pem"',
    )


def _find(error: BaseException, *kinds: type[BaseException]) -> Any:
    """Return the first of an error's causes that is of one of these types."""
    return next((each for each in _causes(error) if isinstance(each, kinds)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, outermost first; urllib3 keeps causes in ``reason`` and arguments."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            waiting += [getattr(each, "reason", None), *each.args, each.__cause__, each.__context__]
