"""Proxy, TLS and login for requests to a service, from the connection and the environment, for both hooks."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import requests.utils
from urllib3.util import create_urllib3_context

from ..connection import ConnectionSettings
from ..exceptions import DataEmulatorConfigError
from ..http_options import basic_authorization


@dataclass(frozen=True)
class Route:
    """How requests reach a service.

    The connection's settings apply; where it has none, and ``trust_env`` is not false, those of the environment do, as
    in ``requests``: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, ``REQUESTS_CA_BUNDLE`` and
    ``CURL_CA_BUNDLE``, and the file ``.netrc``. Neither HTTP library reads the environment itself.

    :param proxy: the URL of the HTTP proxy to use; None for none
    :param authorities: the file or folder of the authorities to trust; None if no certificate is verified
    :param cert: the files of the client's certificate and key
    :param authorization: the header ``Authorization``
    """

    proxy: str | None = field(repr=False)
    authorities: str | None
    cert: tuple[str, str | None] | None
    authorization: str | None = field(repr=False)

    @classmethod
    def to(cls, settings: ConnectionSettings, conn_id: str) -> Route:
        """Determine the route.

        :param settings: of the connection
        :param conn_id: the connection, for errors
        :raises DataEmulatorConfigError: for a file that cannot be read, or an invalid proxy
        """
        http, url = settings.http, settings.base_url
        proxies = dict(http.proxies)
        if http.trust_env:
            proxies = {**requests.utils.get_environ_proxies(url, no_proxy=proxies.get("no_proxy")), **proxies}
        if requests.utils.should_bypass_proxies(url, no_proxy=proxies.pop("no_proxy", None) or ""):
            proxies = {}
        proxy = requests.utils.select_proxy(url, proxies)
        if proxy:
            proxy = proxy if "://" in proxy else f"http://{proxy}"
            if not proxy.lower().startswith("http://"):
                scheme = proxy.partition("://")[0]
                raise DataEmulatorConfigError(f"Connection {conn_id!r}: a proxy must be an HTTP proxy, not {scheme}")
        authorization = http.authorization
        if authorization is None and http.trust_env and (login := requests.utils.get_netrc_auth(url)):
            authorization = basic_authorization(*login)
        authorities = http.verify
        if authorities is True:
            variables = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if http.trust_env else ()
            named = next((value for name in variables if (value := os.environ.get(name))), None)
            authorities = named or requests.utils.DEFAULT_CA_BUNDLE_PATH
        route = cls(proxy or None, authorities or None, http.cert, authorization)
        if url.startswith("https://"):
            route.tls_context(conn_id)
        return route

    def tls_context(self, conn_id: str) -> ssl.SSLContext:
        """Load the TLS files.

        :raises DataEmulatorConfigError: naming the field, when a file cannot be read or is invalid
        """
        verified = ssl.CERT_NONE if self.authorities is None else ssl.CERT_REQUIRED
        context = create_urllib3_context(cert_reqs=verified)  # what requests makes, so that both hooks trust the same
        try:
            if self.authorities is None:
                pass
            elif Path(self.authorities).is_dir():
                context.load_verify_locations(capath=self.authorities)
            else:
                context.load_verify_locations(cafile=self.authorities)
        except (OSError, ValueError) as error:
            raise DataEmulatorConfigError(
                f"Connection {conn_id!r}: verify is {self.authorities!r}, which cannot be used: {_reason(error)}"
            ) from None
        try:
            if self.cert:
                # Without a password OpenSSL would prompt for one at the terminal.
                context.load_cert_chain(*self.cert, password="")
        except (OSError, ValueError) as error:
            named = " and ".join(repr(path) for path in self.cert or () if path)
            raise DataEmulatorConfigError(
                f"Connection {conn_id!r}: cert is {named}, which cannot be used: {_reason(error)}"
            ) from None
        return context


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"it is not a PEM file with a certificate and its unencrypted key ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
