"""The service's URL, put together from a connection's Host, Schema and Port."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from airflow.sdk import Connection

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")


def base_url_of(connection: Connection, problems: list[str]) -> str:
    """Return the service's URL without a slash at its end, like ``https://emulator.example.com:8443/base/path``.

    Host may carry a scheme, a port and a path, and an IPv6 address may stand there with or without brackets. A scheme
    in Host counts instead of Schema.

    :param connection: as Airflow gave it
    :param problems: what is wrong is added here; nothing of what was given is repeated, since a connection that was
        mistyped as a whole has its token in any of its fields
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
        problems.append("Host must not hold a user or a password: they belong into Login and Token")
    elif re.search(r"[\s\x00-\x1f\x7f?#\\]", host):
        problems.append("Host must be a name or an address, with no blanks, ? and #")
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
        problems.append("Host must be a name or an address, maybe with a port from 1 to 65535")
        return ""
    if not _PATH.fullmatch(slash + path):
        problems.append("Host has a path with characters that a URL cannot have")
    if connection.port and port and port != connection.port:
        problems.append(f"Host names the port {port}, and Port is {connection.port}: give one of them")
    port = port or connection.port
    if port is not None and not 0 < port < 65536:
        problems.append(f"Port must be from 1 to 65535, got {port}")
    if len(problems) > before:
        return ""
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}{f':{port}' if port else ''}{slash}{path}".rstrip("/")


def _check_name(name: str) -> None:
    """Raise ValueError for what is neither an IP address nor a name that DNS could know."""
    if ":" in name:
        ipaddress.IPv6Address(name.partition("%")[0])
    elif not re.fullmatch(rb"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?", name.encode("idna")):  # UnicodeError is one
        raise ValueError


def _hint_of_scheme(connection: Connection) -> str:
    """A connection URI whose scheme has an underscore is not split into its fields: all of it ends up in Schema."""
    if connection.conn_type:
        return ""
    return "; if this is a connection URI, it must begin with data-emulator://, with a dash"
