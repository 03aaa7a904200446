"""Build the service's URL from a connection's Host, Schema and Port."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from airflow.sdk import Connection

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")


def base_url_of(connection: Connection, problems: list[str]) -> str:
    """Return the service's URL without a slash at its end, like ``https://emulator.example.com:8443/base/path``.

    Host may include a scheme, a port and a path, and may be an IPv6 address with or without brackets. A scheme in Host
    overrides Schema.

    :param connection: as Airflow gave it
    :param problems: problems are added here, without the given values: in a mistyped connection the token may be in any
        field
    :return: empty when there is a problem
    """
    before = len(problems)
    host = (connection.host or "").strip()
    scheme = (connection.schema or "http").strip().lower()
    if "://" in host:
        scheme, _, host = host.partition("://")
        scheme = scheme.lower()
    if scheme not in ("http", "https"):
        problems.append("Schema must be http or https" + _hint_of_scheme(connection))
    if not host:
        problems.append("Host must name the service's host")
    elif "@" in host:
        problems.append("Host must not contain a user or password: they belong in Login and Token")
    elif re.search(r"[\s\x00-\x1f\x7f?#\\]", host):
        problems.append("Host must be a name or an address, without spaces, ? and #")
    if len(problems) > before:
        return ""

    authority, slash, path = host.partition("/")
    if authority.count(":") > 1 and not authority.startswith("["):
        authority = f"[{authority}]"
    try:
        parts = urlsplit(f"//{authority}")
        name, port = parts.hostname or "", parts.port
        _check_name(name)
    except ValueError:
        problems.append("Host must be a name or an address, optionally with a port from 1 to 65535")
        return ""
    if not _PATH.fullmatch(slash + path):
        problems.append("Host has a path with characters that are not allowed in a URL")
    if connection.port and port and port != connection.port:
        problems.append(f"Host includes port {port}, but Port is {connection.port}: give only one of them")
    port = port or connection.port
    if port is not None and not 0 < port < 65536:
        problems.append(f"Port must be from 1 to 65535, got {port}")
    if len(problems) > before:
        return ""
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}{f':{port}' if port else ''}{slash}{path}".rstrip("/")


def _check_name(name: str) -> None:
    """Raise ValueError unless it is an IP address or a valid DNS name."""
    if ":" in name:
        ipaddress.IPv6Address(name.partition("%")[0])
    elif not re.fullmatch(rb"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?", name.encode("idna")):  # UnicodeError is one
        raise ValueError


def _hint_of_scheme(connection: Connection) -> str:
    """Return a hint for a connection URI whose scheme has an underscore: Airflow puts all of it into Schema."""
    if connection.conn_type:
        return ""
    return "; if this is a connection URI, it must begin with data-emulator://, with a dash"
