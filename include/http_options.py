"""The HTTP options of a connection: headers, login, TLS and proxies."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Connection

#: Options of Airflow's HTTP connection that are not supported, and what to do instead.
_REFUSED = {
    "allow_redirects": "redirects are never followed",
    "auth_type": "Login and password are sent by basic authentication, a Token alone as a bearer token",
    "check_response": "every answer is checked",
    "max_redirects": "redirects are never followed",
    "srv_lookup": "set Host and Port to those of the service",
    "stream": "answers are short",
    "timeout": "set connect_timeout and read_timeout",
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110
_HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|")
_SECRET_NAME = re.compile("auth|key|secret|token|pass|cookie|session", re.IGNORECASE)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_BOOLEANS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


@dataclass(frozen=True)
class HttpOptions:
    """How to send HTTP requests to the service.

    :param headers: of every request; of the user's own, and ``Accept``
    :param authorization: the header ``Authorization``; None for none
    :param verify: whether to verify the service's certificate, or the file or folder of the authorities to trust
    :param cert: the files of the client's certificate and key (None if both are in the first)
    :param proxies: URLs by scheme, as requests has them
    :param trust_env: whether proxies, authorities and ``.netrc`` of the environment apply where the connection sets
        none
    :param secrets: values that no message may contain
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str | None = field(default=None, repr=False)
    verify: bool | str = True
    cert: tuple[str, str | None] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, connection: Connection, extra: Mapping[str, Any], problems: list[str]) -> HttpOptions:
        """Read the options.

        :param connection: as Airflow gave it
        :param extra: its extra without our own fields: options, and headers
        :param problems: problems are added here, without values that may be secret
        """
        rest = {name: value for name, value in extra.items() if value is not None}
        problems += [f"{name} is not supported: {why}" for name, why in _REFUSED.items() if rest.pop(name, None)]
        verify = _verify(rest.pop("verify", rest.pop("verify_ssl", True)), problems)
        cert = _cert(rest.pop("cert", None), problems)
        proxies = _proxies(rest.pop("proxies", rest.pop("proxy", None)), problems)
        trust_env = _boolean("trust_env", rest.pop("trust_env", True), problems)
        nested = from_text(rest.pop("headers", {}))
        if not isinstance(nested, Mapping):
            problems.append("headers must be an object of names and values")
            nested = {}
        headers = {"Accept": "application/json", **_headers({**rest, **nested}, problems)}
        authorization = _authorization(connection, headers, problems)
        secrets = [connection.password, authorization and authorization.partition(" ")[2]]
        secrets += [value for name, value in headers.items() if _SECRET_NAME.search(name)]
        secrets += [urlsplit(url).password for url in proxies.values()]
        return cls(headers, authorization, verify, cert, proxies, trust_env, tuple(each for each in secrets if each))


def basic_authorization(login: str, password: str) -> str:
    """Return the header ``Authorization`` of basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def from_text(value: Any) -> Any:
    """Parse a list or object given as JSON text, as in a connection URI; return anything else unchanged."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _boolean(name: str, value: Any, problems: list[str]) -> bool:
    known = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(known, bool):
        return known
    problems.append(f"{name} must be true or false")
    return True


def _verify(value: Any, problems: list[str]) -> bool | str:
    if isinstance(value, str) and value.strip().lower() not in _BOOLEANS:
        if value.strip():
            return value.strip()
    elif isinstance(value, bool | str):
        return _boolean("verify", value, problems)
    problems.append("verify must be true, false, or the path of a file or folder of authorities to trust")
    return True


def _cert(value: Any, problems: list[str]) -> tuple[str, str | None] | None:
    value = from_text(value)
    paths = [value] if isinstance(value, str) else value
    if not paths:
        return None
    if isinstance(paths, list) and len(paths) <= 2 and all(isinstance(path, str) and path.strip() for path in paths):
        return (paths[0], paths[1] if len(paths) == 2 else None)
    problems.append("cert must be the path of the client's certificate, or a list of two paths, certificate and key")
    return None


def _proxies(value: Any, problems: list[str]) -> dict[str, str]:
    value = from_text(value)
    if not value:
        return {}
    by_scheme = {"all": value} if isinstance(value, str) else value
    proxies: dict[str, str] = {}
    for scheme, url in by_scheme.items() if isinstance(by_scheme, Mapping) else [("", None)]:
        if url is None and scheme:
            continue
        if not isinstance(url, str) or (scheme != "no_proxy" and not _is_proxy(url)):
            problems.append("proxies must be the URL of an HTTP proxy, or an object of such URLs by scheme")
            return {}
        proxies[scheme] = url.strip()
    return proxies


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url.strip() if "://" in url else f"http://{url.strip()}")
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url.strip())
    except ValueError:
        return False


def _headers(given: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in given.items():
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if not _HEADER_NAME.fullmatch(name):
            problems.append(
                f"extra field {name!r} would be sent as a header, but a header's name cannot contain these characters"
            )
        elif not isinstance(text, str):
            problems.append(
                f"extra field {name!r} would be sent as a header, so it must be a string or a number, not "
                + type(value).__name__
            )
        elif not _HEADER_VALUE.fullmatch(text):
            problems.append(
                f"the header {name!r} has a value that HTTP cannot carry: control characters, or spaces at its ends"
            )
        else:
            headers[name] = text
    return headers


def _authorization(connection: Connection, headers: dict[str, str], problems: list[str]) -> str | None:
    """Return the header ``Authorization``, removing it from the user's headers if present."""
    own = next((headers.pop(name) for name in list(headers) if name.lower() == "authorization"), None)
    login, password = connection.login or None, connection.password or None
    if own is not None and (login or password):
        problems.append("Authorization is given both as a header and by Login or Token: give only one of them")
    if login is not None:
        if ":" in login or re.search(r"[\x00-\x1f\x7f]", login + (password or "")):
            problems.append("Login must not contain a colon, nor Login or password control characters or line ends")
        return basic_authorization(login, password or "")
    if password is not None:
        if not _TOKEN.fullmatch(password):
            problems.append("Token must consist of visible ASCII characters, without spaces and line ends")
        return f"Bearer {password}"
    return own
